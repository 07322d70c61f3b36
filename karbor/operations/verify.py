"""Verify: read back what a checkpoint claims to hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from karbor.domain.resource import Resource
from karbor.domain.step import Hook, Step, StepState
from karbor.engine.runner import Planned
from karbor.operations.choreography import unfold
from karbor.operations.restore import restorable
from karbor.operations.run import Run
from karbor.plugin.protection import Stages


class Verify:
    """Every resource is looked at, also after one was found damaged."""

    fail_fast = False

    def plan(self, run: Run) -> Planned:
        checkpoint = restorable(run.checkpoint)
        assert checkpoint.graph is not None  # noqa: S101
        steps = unfold(checkpoint.graph, lambda one: self.stages(run, one))
        return Planned({"graph": checkpoint.graph.to_dict()}, steps, checkpoint.id)

    def stages(self, run: Run, resource: Resource) -> Stages:
        groups = run.protection(resource).verify(resource).values()
        return {Hook.MAIN: [stage for group in groups for stage in group]}

    def keeps(self, run: Run) -> bool:
        return True

    def finish(self, run: Run, steps: Sequence[Step]) -> Mapping[str, Any]:
        return {"checkpoint_id": run.operation.checkpoint_id, "verified": report(run, steps)}

    def abandon(self, run: Run, steps: Sequence[Step], error: Mapping[str, Any]
                ) -> Mapping[str, Any]:
        if not run.operation.plan:
            return {}
        return self.finish(run, steps)


def report(run: Run, steps: Sequence[Step]) -> list[dict[str, Any]]:
    """A line per resource: what was proved, or what is wrong."""
    out = []
    for step in steps:
        if not step.resource:
            continue
        resource = run.graph[step.resource]
        line = {"type": resource.type, "id": resource.id, "name": resource.name}
        if step.state is StepState.DONE:
            line |= {"evidence": step.saved.get("evidence", ""),
                     "unproved": step.saved.get("unproved", "")}
        elif step.error:
            line |= {"error": step.error.get("message", "")}
        else:
            line |= {"error": "not looked at"}
        out.append(line)
    return out
