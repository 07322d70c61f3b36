"""Left over: what a protect that failed could not remove goes with its checkpoint.

The checkpoint's head says what it is (`Checkpoint.left`), so that whoever deletes the checkpoint
can remove it, on whatever machine and with a credential of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from karbor.domain.checkpoint import Checkpoint
from karbor.domain.errors import RemoteFailed
from karbor.domain.resource import Resource
from karbor.domain.step import Again, Failed, Hook, Outcome, Step, StepState
from karbor.operations import staging
from karbor.operations.work import StepWork
from karbor.plugin.protection import Protection, Stage, Stages, Task, Work


def left_by(steps: Sequence[Step]) -> list[Mapping[str, Any]]:
    """What these steps have made and could not remove, in the order in which it was made."""
    return [{"resource": step.resource, "stage": step.stage,
             # A deletion that failed is asked for again.
             "handle": {key: value for key, value in step.handle.items() if key != "deleting"}}
            for step in steps if step.state is StepState.LEFT]


def removals(checkpoint: Checkpoint, resource: Resource, protection: Protection | None) -> Stages:
    """Stages that remove what is left of one resource: what was made last goes first."""
    made = {} if protection is None else {
        stage.name: stage for stages in protection.protect(resource).values() for stage in stages}
    return {Hook.MAIN: [Removed(checkpoint.operation_id, one, made.get(one["stage"]))
                        for one in reversed(checkpoint.left) if one["resource"] == resource.key]}


class Removed(Task):
    """Undoes one stage of the protect, whose operation is over."""

    def __init__(self, operation_id: str, left: Mapping[str, Any], stage: Stage | Task | None
                 ) -> None:
        self.name = f"left_{left['stage']}_removed"     # type: ignore[misc]
        self._operation_id = operation_id
        self._left = left
        self._stage = stage

    def run(self, work: Work) -> Outcome:
        assert isinstance(work, StepWork)   # noqa: S101 - what the runner gives
        stage, left = self._stage, self._left
        if stage is None:
            return Failed(RemoteFailed(
                f"no installed plugin has the stage {left['stage']} that made "
                f"{left['handle'].get('id', 'something')}", resource=work.resource.key,
                remedy="delete it with the plugins that the checkpoint was made with"))
        undone = work.undoing(self._operation_id, left["stage"],
                              work.handle.get("undo", left["handle"]))
        outcome = (staging.undo(stage, undone) if isinstance(stage, Stage)
                   else stage.undo(undone))
        if isinstance(outcome, Again):
            handle = undone.handle if outcome.handle is None else outcome.handle
            return replace(outcome, handle={"undo": dict(handle)})
        return outcome
