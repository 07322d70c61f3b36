"""What has become due of one scheduled operation: the occurrences to write down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from karbor.domain.occurrence import Occurrence, OccurrenceState, occurrence_id
from karbor.domain.scheduled_operation import ScheduledOperation
from karbor.domain.trigger import Trigger
from karbor.schedule.times import Passed, next_after, passed


def written_down(
    scheduled_operation: ScheduledOperation,
    trigger: Trigger,
    *,
    now: float,
    window: float,
    held_until: float,
) -> tuple[Sequence[Occurrence], float | None]:
    """The occurrences since its `next_due_at`, and the next due time after now.

    The latest is due if its window is still open, once however many were missed before it: a second
    backup right after the first would be of no use. The others are missed, in one row, for a year
    of silence must not fill the database. Raises BadInput when the times cannot be told.
    """
    coming = next_after(trigger.properties, now)
    first = scheduled_operation.next_due_at
    found = None if first is None else passed(trigger.properties, first, now)
    if first is None or found is None:
        return [], coming       # the clock was put back, or the trigger was changed
    if now > found.latest + window:
        missed = replace(found, count=found.count + 1, older=found.latest)
        return [_missed(scheduled_operation, first, missed, now, window)], coming
    due = _row(scheduled_operation, found.latest, OccurrenceState.DUE, now, held_until=held_until)
    return ([_missed(scheduled_operation, first, found, now, window)] if found.count else []) + [
        due
    ], coming


def _missed(scheduled_operation: ScheduledOperation, first: float, found: Passed, now: float,
            window: float) -> Occurrence:
    last = found.older if found.count > 1 else None
    why = f"nobody began it within {window:.0f} s"
    if last is not None:
        most = "" if found.exact else "more than "
        why = (f"nobody began {most}{found.count} due times from {_at(first)} to {_at(last)} "
               f"within {window:.0f} s each")
    return _row(
        scheduled_operation,
        first,
        OccurrenceState.MISSED,
        now,
        reason=why,
        count=found.count,
        last_due_at=last,
        finished_at=now,
    )


def _row(
    scheduled_operation: ScheduledOperation,
    due_at: float,
    state: OccurrenceState,
    now: float,
    *,
    reason: str = "",
    count: int = 1,
    last_due_at: float | None = None,
    held_until: float = 0.0,
    finished_at: float | None = None,
) -> Occurrence:
    return Occurrence(
        id=occurrence_id(scheduled_operation.id, due_at),
        project_id=scheduled_operation.project_id,
        scheduled_operation_id=scheduled_operation.id,
        trigger_id=scheduled_operation.trigger_id,
        due_at=due_at,
        state=state,
        created_at=now,
        reason=reason,
        count=count,
        last_due_at=last_due_at,
        attempts=1 if state is OccurrenceState.DUE else 0,
        held_until=held_until,
        finished_at=finished_at,
    )


def _at(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
