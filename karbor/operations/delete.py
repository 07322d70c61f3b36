"""Delete: a checkpoint and everything that it alone holds."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from karbor.checkpoints.deferred_deletions import DeferredDeletions
from karbor.domain import errors
from karbor.domain.checkpoint_record import UNHIDDEN
from karbor.domain.errors import KarborError
from karbor.domain.resource import Resource
from karbor.domain.step import Step, StepState
from karbor.engine.runner import Planned
from karbor.operations.cleanup import sweep
from karbor.operations.left_over import removals
from karbor.operations.protect import by_type
from karbor.operations.restore import target
from karbor.operations.run import Run
from karbor.operations.step_graph import build_steps
from karbor.plugin.protection import Stages

LOG = logging.getLogger(__name__)


class Delete:
    """Hides the checkpoint before the first thing of it is removed. Where the deletion fails and
    has removed nothing, the checkpoint is shown again as it was; else it stays hidden, and its
    deletion can be asked for again."""

    fail_fast = False

    def plan(self, run: Run) -> Planned:
        checkpoint = run.checkpoint
        # Nothing is kept of one that failed, nor of one whose head an earlier deletion took; but
        # what the former could not remove is still there.
        steps = ([] if not (checkpoint.kept or checkpoint.left) else
                 build_steps(checkpoint.graph, lambda resource: self.stages(run, resource)))
        run.checkpoints.hide(checkpoint.id, run.setting.clock(), run.operation.id)
        return Planned({"graph": checkpoint.graph.to_dict()}, steps, checkpoint.id)

    def stages(self, run: Run, resource: Resource) -> Stages:
        protection = run.setting.provider.protections.get(resource.type)
        if run.checkpoint.left:
            return removals(run.checkpoint, resource, protection)
        return protection.remove(resource) if protection else {}

    def keeps(self, run: Run) -> bool:
        return True     # what is deleted cannot be undone

    def finish(self, run: Run, steps: Sequence[Step]) -> Mapping[str, Any]:
        deferred_deletions = DeferredDeletions(run.setting.provider.bank, run.operation.project_id)
        deferred = []
        for step in steps:
            if step.state is StepState.DONE and (later := step.saved.get("deferred")):
                resource = run.graph[step.resource]
                deferred_deletions.add(resource.type, later["id"], {
                    **later, "checkpoint_id": run.operation.checkpoint_id})
                deferred.append({"type": resource.type, "name": resource.name, **later})
        run.checkpoints.removing(run.operation.checkpoint_id)
        run.checkpoints.clear(run.operation.checkpoint_id)
        result: dict[str, Any] = {"checkpoint_id": run.operation.checkpoint_id,
                                  "deferred": deferred}
        # The checkpoint is gone; what is older stays recorded, and the next operation tries again.
        swept = sweep(run.setting.provider, run.operation.project_id, lambda: run.cloud)
        return result | {"swept": swept.gone} | ({"not_swept": swept.why} if swept.why else {})

    def abandon(self, run: Run, steps: Sequence[Step], error: Mapping[str, Any]
                ) -> Mapping[str, Any]:
        """The result says in `unhidden` what the checkpoint is, where it is shown again."""
        identity = run.operation.checkpoint_id
        shown = None
        if all(_refused(step) for step in steps):
            shown = run.checkpoints.unhide(identity, hidden_by=run.operation.id)
        if shown is None and self._intact(run):
            shown = run.checkpoints.unhide(identity)
        return {"checkpoint_id": identity, **({UNHIDDEN: shown.value} if shown else {})}

    @staticmethod
    def _intact(run: Run) -> bool:
        """Whether all that its protections keep outside of the bank is there; False in doubt."""
        try:
            checkpoint, seen = run.checkpoint, target(run)
            groups = by_type(seen.graph)
        except KarborError as error:
            LOG.info("checkpoint %s stays hidden: %s", run.operation.checkpoint_id, error)
            return False
        if not checkpoint.kept:
            return False
        for type, resources in groups.items():
            protection = run.setting.provider.protections.get(type)
            try:
                if protection is not None and not protection.intact(resources, seen):
                    return False
            except KarborError as error:
                LOG.info("checkpoint %s stays hidden: %s", checkpoint.id, error)
                return False
            except Exception:       # a bug in a plugin must not keep the operation from its end
                LOG.exception("checkpoint %s stays hidden", checkpoint.id)
                return False
        return True


def _refused(step: Step) -> bool:
    """Whether the step has removed nothing for sure: it was never entered, or the only request of
    its only entry was refused (see `Protection.remove`)."""
    if not step.resource or step.state is StepState.WAITING:
        return True
    kind = getattr(errors, str((step.error or {}).get("error", "")), None)
    answered = isinstance(kind, type) and issubclass(kind, errors.CloudError |
                                                     errors.CredentialError)
    return (step.state is StepState.FAILED and step.entries <= 1 and not step.handle
            and answered)       # else it may be a fault of the plugin, after its request
