"""Operation: one run of a verb (protect, restore, verify, delete, copy)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Verb(StrEnum):
    PROTECT = "protect"
    RESTORE = "restore"
    VERIFY = "verify"
    DELETE = "delete"
    COPY = "copy"


class OperationState(StrEnum):
    QUEUED = "queued"           # accepted; nothing has happened yet
    PLANNING = "planning"       # resources are being looked up; nothing has been made
    RUNNING = "running"
    UNDOING = "undoing"         # it failed or was cancelled: what it made is being removed
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        return self in _OVER

    def may_become(self, other: OperationState) -> bool:
        return other in _MOVES[self]


_OVER = {OperationState.DONE, OperationState.FAILED, OperationState.CANCELLED}
_S = OperationState
_MOVES: dict[OperationState, set[OperationState]] = {
    _S.QUEUED: {_S.PLANNING, _S.CANCELLED, _S.FAILED},
    _S.PLANNING: {_S.PLANNING, _S.RUNNING, _S.UNDOING, _S.FAILED, _S.CANCELLED},
    _S.RUNNING: {_S.RUNNING, _S.UNDOING, _S.DONE},
    _S.UNDOING: {_S.UNDOING, _S.FAILED, _S.CANCELLED},
    # What could not be removed is taken up again, with a credential that works.
    _S.DONE: set(), _S.FAILED: {_S.UNDOING}, _S.CANCELLED: {_S.UNDOING},
}


READERS = frozenset({Verb.RESTORE, Verb.VERIFY})
"""What only reads the checkpoint it works on."""


class Wanted(StrEnum):
    RUN = "run"
    CANCEL = "cancel"


@dataclass(frozen=True)
class Operation:
    """What was asked, by whom, and how it stands.

    `request` is what the user asked for, already checked (names resolved to ids). `plan` is what
    the planning phase found (the resource graph and what the verb needs to know again after a
    restart). `result` is what the verb tells at its end. `credential` says how the caller is
    represented (`rung`, `cloud`, `sealed`, `deadline`, `why`): sealed, never in clear.
    `checkpoint_id` is the checkpoint that it works on; of a copy the new one, and its request has
    the `source_id` of the one that is copied.
    """

    id: str
    verb: Verb
    project_id: str
    caller: Mapping[str, Any]
    credential: Mapping[str, Any]
    request: Mapping[str, Any]
    checkpoint_id: str = ""
    state: OperationState = OperationState.QUEUED
    wanted: Wanted = Wanted.RUN
    plan: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, Any] | None = None
    created_at: float = 0.0
    finished_at: float | None = None

    @property
    def mark(self) -> str:
        """What every remote thing made by this operation bears (in its metadata or tags)."""
        return mark_of(self.id)

    @property
    def reads(self) -> frozenset[str]:
        """Checkpoints that must stay as they are meanwhile."""
        if self.verb is Verb.COPY:
            return frozenset({str(self.request["source_id"])})
        return self._own if self.verb in READERS else frozenset()

    @property
    def changes(self) -> frozenset[str]:
        """Checkpoints that nobody else must work on meanwhile."""
        return frozenset() if self.verb in READERS else self._own

    @property
    def _own(self) -> frozenset[str]:
        return frozenset({self.checkpoint_id} if self.checkpoint_id else ())


def mark_of(operation_id: str) -> str:
    """See `Operation.mark`."""
    return f"karbor:{operation_id}"


@dataclass(frozen=True)
class OperationEvent:
    """Something that happened to an operation, for people; `at` is in seconds since the epoch."""

    at: float
    text: str
