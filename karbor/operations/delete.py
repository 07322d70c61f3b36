"""Delete: a checkpoint and everything that it alone holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from karbor.domain.resource import Resource
from karbor.domain.step import Step, StepState
from karbor.engine.runner import Planned
from karbor.operations.choreography import unfold
from karbor.operations.left_over import removals
from karbor.operations.run import Run
from karbor.operations.sweeping import sweep
from karbor.operations.tombstones import Tombstones
from karbor.plugin.protection import Stages


class Delete:
    """Hides the checkpoint at once; a deletion that failed can be asked for again."""

    fail_fast = False

    def plan(self, run: Run) -> Planned:
        checkpoint = run.checkpoint
        assert checkpoint.graph is not None  # noqa: S101
        run.checkpoints.hide(checkpoint.id, run.setting.clock())
        # Nothing is kept of one that failed, nor of one whose head an earlier deletion took; but
        # what the former could not remove is still there.
        steps = ([] if not (checkpoint.kept or checkpoint.left) else
                 unfold(checkpoint.graph, lambda one: self.stages(run, one)))
        return Planned({"graph": checkpoint.graph.to_dict()}, steps, checkpoint.id)

    def stages(self, run: Run, resource: Resource) -> Stages:
        protection = run.setting.provider.protections.get(resource.type)
        if run.checkpoint.left:
            return removals(run.checkpoint, resource, protection)
        return protection.remove(resource) if protection else {}

    def keeps(self, run: Run) -> bool:
        return True     # what is deleted cannot be undone

    def finish(self, run: Run, steps: Sequence[Step]) -> Mapping[str, Any]:
        tombstones = Tombstones(run.setting.provider.bank, run.operation.project_id)
        deferred = []
        for step in steps:
            if step.state is StepState.DONE and (later := step.saved.get("deferred")):
                resource = run.graph[step.resource]
                tombstones.add(resource.type, later["id"], {
                    **later, "checkpoint_id": run.operation.checkpoint_id})
                deferred.append({"type": resource.type, "name": resource.name, **later})
        run.checkpoints.clear(run.operation.checkpoint_id)
        result: dict[str, Any] = {"checkpoint_id": run.operation.checkpoint_id,
                                  "deferred": deferred}
        # The checkpoint is gone; what is older stays recorded, and the next operation tries again.
        swept = sweep(run.setting.provider, run.operation.project_id, lambda: run.cloud)
        return result | {"swept": swept.gone} | ({"not_swept": swept.why} if swept.why else {})

    def abandon(self, run: Run, steps: Sequence[Step], error: Mapping[str, Any]
                ) -> Mapping[str, Any]:
        return {"checkpoint_id": run.operation.checkpoint_id}
