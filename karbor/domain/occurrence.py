"""Occurrence: one due time of a scheduled operation, and what came of it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum

_OCCURRENCES = uuid.UUID("6f1d3a52-5c0e-4c0a-9a55-0d8b3f3f1a01")
_OPERATIONS = uuid.UUID("6f1d3a52-5c0e-4c0a-9a55-0d8b3f3f1a02")

WANTED = "wanted"
"""What `retention` says until it has been carried out."""


class OccurrenceState(StrEnum):
    DUE = "due"             # claimed; its operation has not been accepted yet
    RUNNING = "running"     # its operation has been accepted
    DONE = "done"
    FAILED = "failed"
    MISSED = "missed"       # nobody was there to begin it in its window
    SKIPPED = "skipped"     # the previous run was still going

    @property
    def over(self) -> bool:
        return self not in (OccurrenceState.DUE, OccurrenceState.RUNNING)


@dataclass(frozen=True)
class Occurrence:
    """`reason` says in words why it failed, was missed or skipped, or what it waits for.

    A row can stand for many that were missed: `count` of them, from `due_at` to `last_due_at`.
    `manual` ones were asked for by somebody. Until `held_until` the process that claimed it is
    believed to work on it; then another may take it. `retention` is what came of it in words;
    WANTED before; "" where none is wanted. Times are seconds since the epoch.
    """

    id: str
    project_id: str
    scheduled_operation_id: str
    trigger_id: str
    due_at: float
    state: OccurrenceState
    created_at: float
    operation_id: str = ""      # once it has been accepted
    reason: str = ""
    manual: bool = False
    count: int = 1
    last_due_at: float | None = None
    attempts: int = 0
    held_until: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    retention: str = ""

    @property
    def reserved_operation_id(self) -> str:
        """The id that its operation has, or will have: the same whoever fires it and how often, so
        that it cannot be accepted twice."""
        return str(uuid.uuid5(_OPERATIONS, self.id))


def occurrence_id(scheduled_operation_id: str, due_at: float) -> str:
    """Return the id of an occurrence: the same for everybody who looks at the same due time."""
    return str(uuid.uuid5(_OCCURRENCES, f"{scheduled_operation_id}/{due_at!r}"))
