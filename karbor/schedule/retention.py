"""Retention: the checkpoints of a scheduled operation that are too many, too old, or failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from karbor.domain.errors import KarborError
from karbor.domain.retention import Candidate, Rules, Verdict, judge
from karbor.domain.scheduled_operation import ScheduledOperation
from karbor.domain.trigger import Trigger
from karbor.schedule.times import zone


class RetentionCheckpoints(Protocol):
    """The checkpoints that retention looks at, and how one is removed."""

    def checkpoints(self, scheduled_operation: ScheduledOperation) -> Sequence[Candidate]:
        """Those of its plan in the bank of its provider. It may leave out what another made."""
        ...

    def delete(self, scheduled_operation: ScheduledOperation, checkpoint_id: str) -> None:
        """Have its deletion accepted, on behalf of the scheduled operation's caller. One that is
        gone or being deleted is no error. Raises Conflict where something works on it."""
        ...


class Retention:
    """Carried out after each successful protect of a retention_protect, and by nothing else: where
    nothing new is kept, nothing old goes."""

    def __init__(self, checkpoints: RetentionCheckpoints) -> None:
        self._checkpoints = checkpoints

    def preview(self, scheduled_operation: ScheduledOperation, trigger: Trigger, now: float
                ) -> Sequence[Verdict]:
        """What would be kept and what would go, each with its reason, newest first. Raises what the
        bank raises, BadInput for rules or a time zone that cannot be read."""
        return judge(self._checkpoints.checkpoints(scheduled_operation), scheduled_operation.id,
                     Rules.from_definition(scheduled_operation.operation_definition),
                     now=now, zone=zone(trigger.properties.time_zone))

    def carry_out(self, scheduled_operation: ScheduledOperation, trigger: Trigger, now: float
                  ) -> str:
        """Have the deletions accepted, oldest first, and tell it in words. One that cannot be
        deleted does not save the others; if it may work later, its error is raised at the end, so
        that all of it is tried again."""
        verdicts = self.preview(scheduled_operation, trigger, now)
        removed, left = [], []
        later: KarborError | None = None
        for verdict in reversed(verdicts):
            if verdict.kept:
                continue
            try:
                self._checkpoints.delete(scheduled_operation, verdict.checkpoint_id)
                removed.append(f"{verdict.checkpoint_id} ({verdict.reason})")
            except KarborError as error:
                left.append(f"{verdict.checkpoint_id}: {error}")
                later = error if error.transient else later
        if later is not None:
            raise later
        told = [f"removed {len(removed)}, kept {sum(verdict.kept for verdict in verdicts)}"]
        if removed:
            told.append("removed: " + ", ".join(removed))
        if left:
            told.append("could not be removed, and is tried again after the next protect: "
                        + ", ".join(left))
        return "; ".join(told)
