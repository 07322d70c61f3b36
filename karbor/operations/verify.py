"""Verify: read back what a checkpoint claims to hold."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from karbor.domain.checkpoint import Evidence
from karbor.domain.errors import KarborError
from karbor.domain.resource import Resource
from karbor.domain.step import Hook, Step, StepState
from karbor.domain.verification import Damage, Verification, is_damage
from karbor.engine.runner import Planned
from karbor.operations.restore import restorable
from karbor.operations.run import Run
from karbor.operations.step_graph import build_steps
from karbor.plugin.protection import Stages

LOG = logging.getLogger(__name__)


class Verify:
    """Every resource is looked at, also after one was found damaged. What was found stands in the
    bank beside the checkpoint before the operation is over."""

    fail_fast = False

    def plan(self, run: Run) -> Planned:
        checkpoint = restorable(run.checkpoint)
        steps = build_steps(checkpoint.graph, lambda resource: self.stages(run, resource))
        return Planned({"graph": checkpoint.graph.to_dict()}, steps, checkpoint.id)

    def stages(self, run: Run, resource: Resource) -> Stages:
        groups = run.protection(resource).verify(resource).values()
        return {Hook.MAIN: [stage for group in groups for stage in group]}

    def keeps(self, run: Run) -> bool:
        return True

    def finish(self, run: Run, steps: Sequence[Step]) -> Mapping[str, Any]:
        return {"checkpoint_id": run.operation.checkpoint_id, "verified": report(run, steps),
                **_recorded(run, steps)}

    def abandon(self, run: Run, steps: Sequence[Step], error: Mapping[str, Any]
                ) -> Mapping[str, Any]:
        if not run.operation.plan:
            return {}
        return self.finish(run, steps)


def _recorded(run: Run, steps: Sequence[Step]) -> dict[str, Any]:
    """Write it into the bank. What may be possible later is raised, so that it is tried again; a
    bank that takes nothing keeps nobody from hearing what was found."""
    verification = concluded(run, steps)
    if not verification.conclusive:
        return {}
    try:
        verification = run.checkpoints.note_verified(run.operation.checkpoint_id, verification)
    except KarborError as error:
        if error.transient:
            raise
        LOG.warning("what the verify of checkpoint %s found is not in its bank: %s",
                    run.operation.checkpoint_id, error)
        return {"verification": verification.to_dict(), "not_recorded": str(error)}
    return {"verification": verification.to_dict()}


def concluded(run: Run, steps: Sequence[Step]) -> Verification:
    """What the steps say of the checkpoint as a whole. A step that failed because nobody could look
    says nothing of what is kept."""
    damage, unseen, levels = [], [], []
    for step in steps:
        if not step.resource:
            continue
        if step.state is StepState.DONE:
            if level := step.saved.get("evidence"):
                levels.append(Evidence(level))
        elif step.error and is_damage(step.error):
            resource = run.graph[step.resource]
            damage.append(Damage(resource.key, resource.type, resource.id, resource.name,
                                 str(step.error.get("message", ""))))
        else:
            unseen.append(step.resource)
    weakest = min(levels, key=lambda evidence: evidence.rank, default="")
    return Verification(run.operation.id, run.setting.clock(), str(weakest), tuple(damage),
                        tuple(dict.fromkeys(unseen)))


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
