"""What the clock and its verbs need of others: the store, the desk where operations are accepted,
the banks. Whoever wires Karbor together hands these in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from karbor.domain.occurrence import Occurrence, OccurrenceState
from karbor.domain.operation import Operation
from karbor.domain.retention import Candidate
from karbor.domain.scheduled_operation import ScheduledOperation
from karbor.domain.trigger import Trigger


class OperationStarter(Protocol):
    """Begins the operation of an occurrence."""

    def run(self, scheduled_operation: ScheduledOperation, occurrence: Occurrence) -> str:
        """Have an operation accepted under the id `occurrence.reserved_operation_id`, on behalf of
        the scheduled operation's caller, and return that id.

        Called from the thread of the clock; again with the same occurrence, from any process, when
        the one before died or was slow: where an operation with that id exists already it does
        nothing and returns the id. It returns when the operation stands in the records, not when
        it is over. Raises KarborError: a transient one is tried again while the occurrence's
        window lasts, any other one ends the occurrence as failed, with its words.
        """
        ...


class Outcomes(Protocol):
    """How operations stand."""

    def of(self, operation_ids: Sequence[str]) -> Mapping[str, Operation]:
        """By id; one that does not exist is left out."""
        ...


class PostRun(Protocol):
    """What follows a successful protect of the type retention_protect."""

    def carry_out(self, scheduled_operation: ScheduledOperation, trigger: Trigger, now: float
                  ) -> str:
        """Tells in words what was done. Idempotent: it may be called again for the same one.
        Raises KarborError; after a transient one it is called again."""
        ...


class RetentionCheckpoints(Protocol):
    """The checkpoints that retention looks at, and how one is removed."""

    def checkpoints(self, scheduled_operation: ScheduledOperation) -> Sequence[Candidate]:
        """Those of its plan in the bank of its provider. It may leave out what another made."""
        ...

    def delete(self, scheduled_operation: ScheduledOperation, checkpoint_id: str) -> None:
        """Have its deletion accepted, on behalf of the scheduled operation's caller. One that is
        gone or being deleted is no error. Raises Conflict where something works on it."""
        ...


class OccurrenceStore(Protocol):
    """Occurrences of all projects; implemented by `karbor.store.occurrences.Occurrences`, where
    each method says what it does."""

    def due(self, now: float) -> Sequence[tuple[ScheduledOperation, Trigger]]: ...

    def next_due(self) -> float | None: ...

    def claim(self, scheduled_operation: ScheduledOperation, next_due_at: float | None,
              occurrences: Sequence[Occurrence]) -> Sequence[Occurrence] | None: ...

    def waiting(self, now: float) -> Sequence[tuple[Occurrence, ScheduledOperation, Trigger]]: ...

    def to_retain(self, now: float
                  ) -> Sequence[tuple[Occurrence, ScheduledOperation, Trigger]]: ...

    def running(self, after: str = "") -> Sequence[tuple[Occurrence, ScheduledOperation]]: ...

    def hold(self, occurrence: Occurrence, until: float) -> Occurrence | None: ...

    def postpone(self, occurrence: Occurrence, until: float, reason: str) -> bool: ...

    def begin(self, occurrence: Occurrence, operation_id: str, now: float) -> bool: ...

    def end(self, occurrence: Occurrence, state: OccurrenceState, now: float, reason: str = "",
            retention: str = "") -> bool: ...

    def retained(self, occurrence: Occurrence, told: str) -> bool: ...

    def prune(self, before: float) -> int: ...

    def fault(self, trigger_id: str, text: str) -> None: ...
