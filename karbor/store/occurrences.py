"""Occurrences in SQL: who begins which due time, and what came of it.

Every claim compares what was read with what stands there, in the transaction that writes: of any
number of engines one wins. PostgreSQL lets the others wait for the row, SQLite for the database.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from karbor.domain.errors import BadInput, Conflict, NotFound
from karbor.domain.listing import Listing, Page, Sort
from karbor.domain.occurrence import WANTED, Occurrence, OccurrenceState
from karbor.domain.operation import Operation
from karbor.domain.scheduled_operation import ScheduledOperation
from karbor.domain.trigger import Trigger
from karbor.store.connect import reading, writing
from karbor.store.listing import page
from karbor.store.operation_rows import operation_from_row
from karbor.store.schedule_rows import BOTH, both_from_row, occurrence_from_row, occurrence_to_row
from karbor.store.schedule_tables import OCCURRENCES, SCHEDULED_OPERATIONS, TRIGGERS
from karbor.store.tables import OPERATIONS

_S = OccurrenceState
_GOING = (_S.DUE, _S.RUNNING)
_KEYS = {"id": "id", "created_at": "created_at", "due_at": "due_at", "status": "state"}
_CHUNK = 500
_JOINED = SCHEDULED_OPERATIONS.join(TRIGGERS,
                                    TRIGGERS.c.id == SCHEDULED_OPERATIONS.c.trigger_id)

Entry = tuple[Occurrence, ScheduledOperation, Trigger]


class Occurrences:
    """What the clock asks for, over all projects; and what users see, through their project."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    # ------------------------------------------------------------------ for users
    def list(self, project_id: str, scheduled_operation_id: str, listing: Listing | None = None
             ) -> Page[Occurrence]:
        """Return a page of a schedule's occurrences. Raises BadInput for a key that cannot be
        sorted by, NotFound for an unknown marker."""
        asked = replace(listing or Listing(project_id, sort=(Sort("due_at"),)),
                        project_id=project_id)
        with reading(self._engine) as connection:
            rows = page(connection, OCCURRENCES, asked, noun="occurrence", keys=_KEYS, wanted=[
                OCCURRENCES.c.scheduled_operation_id == scheduled_operation_id])
        return Page(map(occurrence_from_row, rows), cut=rows.cut)

    def of_operation(self, project_id: str, operation_id: str) -> Occurrence | None:
        """Return the occurrence that an operation was begun for."""
        with reading(self._engine) as connection:
            row = connection.execute(sa.select(OCCURRENCES).where(
                OCCURRENCES.c.project_id == project_id,
                OCCURRENCES.c.operation_id == operation_id)).mappings().first()
        return None if row is None else occurrence_from_row(row)

    def ask(self, occurrence: Occurrence) -> None:
        """Add one that somebody asked for. Raises NotFound when its scheduled operation is gone,
        BadInput when it is paused, Conflict while another run of it is going."""
        mine = SCHEDULED_OPERATIONS.c.id == occurrence.scheduled_operation_id
        try:
            with writing(self._engine) as connection:
                row = connection.execute(sa.select(SCHEDULED_OPERATIONS.c.enabled).where(
                    mine, SCHEDULED_OPERATIONS.c.project_id == occurrence.project_id)
                    .with_for_update()).first()
                if row is None:
                    raise NotFound("no scheduled operation "
                                   f"{occurrence.scheduled_operation_id} in this project")
                if not row.enabled:
                    raise BadInput("the scheduled operation is paused", remedy="resume it first")
                if why := _going(connection, occurrence.scheduled_operation_id):
                    raise Conflict(why, remedy="wait for its end")
                connection.execute(sa.insert(OCCURRENCES).values(occurrence_to_row(occurrence)))
        except IntegrityError as error:
            raise Conflict("it is due at this moment already") from error

    # ------------------------------------------------------------------ for the clock
    def due(self, now: float) -> builtins.list[tuple[ScheduledOperation, Trigger]]:
        """Return the scheduled operations with a due time that nobody has looked at, the longest
        waiting first."""
        query = sa.select(*BOTH).select_from(_JOINED).where(
            SCHEDULED_OPERATIONS.c.enabled, SCHEDULED_OPERATIONS.c.next_due_at <= now
        ).order_by(SCHEDULED_OPERATIONS.c.next_due_at, SCHEDULED_OPERATIONS.c.id)
        with reading(self._engine) as connection:
            return [both_from_row(row) for row in connection.execute(query).mappings()]

    def next_due(self) -> float | None:
        """Return when something is due next, of triggers whose times can be told."""
        query = (sa.select(sa.func.min(SCHEDULED_OPERATIONS.c.next_due_at)).select_from(_JOINED)
                 .where(SCHEDULED_OPERATIONS.c.enabled, TRIGGERS.c.fault == ""))
        with reading(self._engine) as connection:
            found = connection.execute(query).scalar()
        return None if found is None else float(found)

    def claim(self, scheduled_operation: ScheduledOperation, next_due_at: float | None,
              occurrences: Sequence[Occurrence]) -> Sequence[Occurrence] | None:
        """Write down what has become due, and when it is due next, unless somebody else has, or it
        was paused or changed since `one` was read: then None. Due ones are skipped while an earlier
        one is going. Returns what was written."""
        table = SCHEDULED_OPERATIONS
        try:
            with writing(self._engine) as connection:
                changed = connection.execute(
                    sa.update(table)
                    .where(
                        table.c.id == scheduled_operation.id,
                        table.c.revision == scheduled_operation.revision,
                        table.c.enabled,
                        table.c.next_due_at == scheduled_operation.next_due_at,
                    )
                    .values(next_due_at=next_due_at)
                )
                if not changed.rowcount:
                    return None
                # A clock that was put back, or a trigger changed to and fro, meets them again.
                known = set(connection.execute(sa.select(OCCURRENCES.c.due_at).where(
                    OCCURRENCES.c.scheduled_operation_id == scheduled_operation.id,
                    OCCURRENCES.c.due_at.in_([row.due_at for row in occurrences]))).scalars())
                why = _going(connection, scheduled_operation.id)
                rows = [_skipped(row, why) if why and row.state is _S.DUE else row
                        for row in occurrences if row.due_at not in known]
                if rows:
                    connection.execute(sa.insert(OCCURRENCES),
                                       [occurrence_to_row(row) for row in rows])
        except IntegrityError:
            return None     # a manual one took the moment between our look and our write
        return rows

    def waiting(self, now: float) -> builtins.list[Entry]:
        """Return due occurrences that nobody holds any more: their engine has died, or they shall
        be retried."""
        return self._entries(OCCURRENCES.c.state == _S.DUE, OCCURRENCES.c.held_until <= now)

    def to_retain(self, now: float) -> builtins.list[Entry]:
        """Return ended occurrences whose retention is still to be carried out, and held by
        nobody."""
        return self._entries(OCCURRENCES.c.state == _S.DONE, OCCURRENCES.c.retention == WANTED,
                             OCCURRENCES.c.held_until <= now)

    def _entries(self, *conditions: sa.ColumnElement[bool]) -> builtins.list[Entry]:
        query = (sa.select(*OCCURRENCES.c, *BOTH).select_from(_JOINED.join(
            OCCURRENCES, OCCURRENCES.c.scheduled_operation_id == SCHEDULED_OPERATIONS.c.id))
            .where(*conditions).order_by(OCCURRENCES.c.due_at, OCCURRENCES.c.id))
        with reading(self._engine) as connection:
            return [(occurrence_from_row(row), *both_from_row(row))
                    for row in connection.execute(query).mappings()]

    def running(self, after: str = "") -> builtins.list[tuple[Occurrence, ScheduledOperation]]:
        """Return a few hundred occurrences whose operations have been accepted, by id, those after
        this one."""
        query = (sa.select(*OCCURRENCES.c, *BOTH).select_from(_JOINED.join(
            OCCURRENCES, OCCURRENCES.c.scheduled_operation_id == SCHEDULED_OPERATIONS.c.id))
            .where(OCCURRENCES.c.state == _S.RUNNING, OCCURRENCES.c.id > after)
            .order_by(OCCURRENCES.c.id).limit(_CHUNK))
        with reading(self._engine) as connection:
            return [(occurrence_from_row(row), both_from_row(row)[0])
                    for row in connection.execute(query).mappings()]

    def hold(self, occurrence: Occurrence, until: float) -> Occurrence | None:
        """Take one that nobody holds. None when another was quicker."""
        held = replace(occurrence, held_until=until, attempts=occurrence.attempts + 1)
        values = {"held_until": until, "attempts": held.attempts}
        return held if self._change(occurrence, values) else None

    def postpone(self, occurrence: Occurrence, until: float, reason: str) -> bool:
        """Give back one that is held; it shall be tried again then. False: it is ours no more."""
        return self._change(occurrence, {"held_until": until, "reason": reason})

    def end(self, occurrence: Occurrence, state: OccurrenceState, now: float, reason: str = "",
            retention: str = "") -> bool:
        """Note what the occurrence has come to. Return False when it is ours no more, or was ended
        by another."""
        return self._change(occurrence, {"state": state, "finished_at": now, "reason": reason,
                                         "retention": retention, "held_until": 0.0})

    def retained(self, occurrence: Occurrence, told: str) -> bool:
        """Note what came of the retention of an occurrence, in words."""
        return self._change(occurrence, {"retention": told})

    def _change(self, occurrence: Occurrence, values: Mapping[str, Any]) -> bool:
        with writing(self._engine) as connection:
            changed = connection.execute(sa.update(OCCURRENCES).where(
                OCCURRENCES.c.id == occurrence.id, OCCURRENCES.c.state == occurrence.state,
                OCCURRENCES.c.held_until == occurrence.held_until).values(**values))
        return bool(changed.rowcount)

    def begin(self, occurrence: Occurrence, operation_id: str, now: float) -> bool:
        """Note that the operation of the occurrence has been accepted. That is a fact, whoever
        thought meanwhile that the occurrence was missed or had failed; only what an operation came
        to stays."""
        with writing(self._engine) as connection:
            changed = connection.execute(sa.update(OCCURRENCES).where(
                OCCURRENCES.c.id == occurrence.id, OCCURRENCES.c.operation_id == "").values(
                state=_S.RUNNING, operation_id=operation_id, started_at=now, finished_at=None,
                reason="", held_until=0.0))
        return bool(changed.rowcount)

    def prune(self, before: float) -> int:
        """Forget those that ended before this moment; returns how many."""
        with writing(self._engine) as connection:
            return connection.execute(sa.delete(OCCURRENCES).where(
                OCCURRENCES.c.state.not_in(_GOING), OCCURRENCES.c.finished_at < before)).rowcount

    def fault(self, trigger_id: str, text: str) -> None:
        """Return why the times of a trigger cannot be told, for its owner; "" when they can."""
        with writing(self._engine) as connection:
            connection.execute(sa.update(TRIGGERS).where(TRIGGERS.c.id == trigger_id)
                               .values(fault=text))


class Outcomes:
    """How operations stand, many at once: what the clock follows."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def of(self, operation_ids: Sequence[str]) -> Mapping[str, Operation]:
        """Return scheduled operations by id; one that does not exist is left out."""
        out: dict[str, Operation] = {}
        with reading(self._engine) as connection:
            for start in range(0, len(operation_ids), _CHUNK):
                rows = connection.execute(sa.select(OPERATIONS).where(
                    OPERATIONS.c.id.in_(operation_ids[start:start + _CHUNK]))).mappings()
                out.update((row["id"], operation_from_row(row)) for row in rows)
        return out


def _going(connection: sa.Connection, scheduled_operation_id: str) -> str:
    """Return which run of the schedule is still going, in words; "" if none is."""
    row = connection.execute(sa.select(OCCURRENCES.c.state, OCCURRENCES.c.operation_id).where(
        OCCURRENCES.c.scheduled_operation_id == scheduled_operation_id,
        OCCURRENCES.c.state.in_(_GOING)).limit(1)).first()
    if row is None:
        return ""
    if row.state == _S.RUNNING:
        return f"the previous run is still going (operation {row.operation_id})"
    return "the previous run has not been begun yet"


def _skipped(occurrence: Occurrence, why: str) -> Occurrence:
    return replace(occurrence, state=_S.SKIPPED, reason=why, held_until=0.0,
                   finished_at=occurrence.created_at)
