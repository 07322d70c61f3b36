"""Scheduled operations in SQL. Every one is reached through its project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from karbor.domain.errors import BadInput, Conflict, InUse, NotFound
from karbor.domain.listing import Listing, Page
from karbor.domain.scheduled_operation import ENDING, ScheduledOperation
from karbor.store.connect import reading, writing
from karbor.store.listing import has_text, page
from karbor.store.plans import require_plan
from karbor.store.record_changes import note_change
from karbor.store.schedule_rows import scheduled_from_row, scheduled_to_row
from karbor.store.schedule_tables import SCHEDULED_OPERATIONS
from karbor.store.schedule_trust_use import running_on

_TABLE = SCHEDULED_OPERATIONS
_KEYS = {"id": "id", "name": "name", "created_at": "created_at", "status": "enabled"}
_CONTAINS = ("name", "description")
_EXACT = ("operation_type", "trigger_id", "plan_id", "provider_id")


class ScheduledOperations:
    """What is not in the given project does not exist: NotFound, whoever asks."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, scheduled_operation: ScheduledOperation) -> None:
        """Add a scheduled operation. Raises NotFound when its plan has gone meanwhile, Conflict
        when its trigger has, or there is one with this id."""
        try:
            with writing(self._engine) as connection:
                require_plan(
                    connection, scheduled_operation.project_id, scheduled_operation.plan_id
                )
                connection.execute(sa.insert(_TABLE).values(scheduled_to_row(scheduled_operation)))
                note_change(connection, scheduled_operation.project_id)
        except IntegrityError as error:
            raise Conflict(
                f"scheduled operation {scheduled_operation.id} exists, or trigger "
                f"{scheduled_operation.trigger_id} is gone"
            ) from error

    def show(self, project_id: str | None, id: str) -> ScheduledOperation:
        """Return the scheduled operation. None for the project: an administrator asks. Raises
        NotFound."""
        query = sa.select(_TABLE).where(_TABLE.c.id == id)
        if project_id is not None:
            query = query.where(_TABLE.c.project_id == project_id)
        with reading(self._engine) as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            raise _unknown(id)
        return scheduled_from_row(row)

    def list(self, listing: Listing) -> Page[ScheduledOperation]:
        """Return a page of those of one project, or (None: an administrator asks) of all. Filters:
        `name`, `description` and `operation_definition` (contain the text, in either case),
        `operation_type`, `trigger_id`, `plan_id`, `provider_id` (equal). `status` sorts paused ones
        first. Raises BadInput for another filter or a key that cannot be sorted by, NotFound for an
        unknown marker."""
        wanted = []
        for name, text in listing.filters.items():
            if name == "operation_definition":
                wanted.append(has_text(sa.cast(_TABLE.c[name], sa.Text), text))
            elif name not in (*_CONTAINS, *_EXACT):
                raise BadInput(f"scheduled operations cannot be filtered by {name!r}",
                               remedy="filter by operation_definition, "
                                      + ", ".join((*_CONTAINS, *_EXACT)))
        with reading(self._engine) as connection:
            rows = page(connection, _TABLE, listing, noun="scheduled operation",
                        contains=_CONTAINS, equals=_EXACT, wanted=wanted,
                        keys=_KEYS)
        return Page(map(scheduled_from_row, rows), cut=rows.cut)

    def unsettled(self) -> Sequence[ScheduledOperation]:
        """Return those, of all projects, whose rights are being made, or still have to be removed,
        and those that are being deleted."""
        text = sa.cast(_TABLE.c.credential, sa.Text)
        query = sa.select(_TABLE).where(sa.or_(*(
            text.contains(f'"{mark}"') for mark in ("coming", "going", ENDING))))
        with reading(self._engine) as connection:
            return [scheduled_from_row(row) for row in connection.execute(query).mappings()]

    def enabled(self) -> Sequence[ScheduledOperation]:
        """Return those, of all projects, that are not paused."""
        query = sa.select(_TABLE).where(_TABLE.c.enabled)
        with reading(self._engine) as connection:
            return [scheduled_from_row(row) for row in connection.execute(query).mappings()]

    def ending(self, before: float) -> Sequence[ScheduledOperation]:
        """Return those whose rights end before that time, in seconds since the epoch."""
        return [scheduled_operation for scheduled_operation in self.enabled()
                if (scheduled_operation.credential.get("until") or float("inf")) < before]

    def replace(self, scheduled_operation: ScheduledOperation) -> ScheduledOperation:
        """Write the scheduled operation as it is given, with the next revision, unless somebody has
        changed it since it was read: then Conflict, and nothing is written. Raises NotFound when it
        is gone, or the plan that it did not have before."""
        new = replace(scheduled_operation, revision=scheduled_operation.revision + 1)
        try:
            with writing(self._engine) as connection:
                before = connection.execute(sa.select(_TABLE.c.plan_id).where(
                    _TABLE.c.id == scheduled_operation.id)).scalar()
                if before not in (None, scheduled_operation.plan_id):
                    require_plan(
                        connection, scheduled_operation.project_id, scheduled_operation.plan_id
                    )
                changed = connection.execute(
                    sa.update(_TABLE)
                    .where(
                        _TABLE.c.id == scheduled_operation.id,
                        _TABLE.c.project_id == scheduled_operation.project_id,
                        _TABLE.c.revision == scheduled_operation.revision,
                    )
                    .values(scheduled_to_row(new))
                )
                if not changed.rowcount:
                    found = connection.execute(
                        sa.select(_TABLE.c.id).where(
                            _TABLE.c.id == scheduled_operation.id,
                            _TABLE.c.project_id == scheduled_operation.project_id,
                        )
                    ).first()
                    raise (
                        _unknown(scheduled_operation.id)
                        if found is None
                        else Conflict(
                            f"scheduled operation {scheduled_operation.id} has been changed by "
                            "somebody else meanwhile",
                            remedy="look at it and try again",
                        )
                    )
                note_change(connection, scheduled_operation.project_id)
        except IntegrityError as error:
            raise Conflict(f"trigger {scheduled_operation.trigger_id} is gone") from error
        return new

    def begin_end(self, project_id: str, id: str, now: float) -> ScheduledOperation:
        """Mark it as being deleted: from now on no operation is accepted on its rights. Raises
        NotFound; InUse naming an operation that runs on them, which changes nothing."""
        with writing(self._engine) as connection:
            row = connection.execute(sa.select(_TABLE).where(
                _TABLE.c.id == id, _TABLE.c.project_id == project_id).with_for_update()
                ).mappings().first()
            if row is None:
                raise _unknown(id)
            scheduled_operation = scheduled_from_row(row)
            if running := running_on(connection, project_id, scheduled_operation.trusts):
                raise InUse(f"operation {running} runs on its rights")
            new = replace(
                scheduled_operation,
                credential={**scheduled_operation.credential, ENDING: True},
                updated_at=now,
                revision=scheduled_operation.revision + 1,
            )
            connection.execute(sa.update(_TABLE).where(_TABLE.c.id == id).values(
                scheduled_to_row(new)))
            note_change(connection, project_id)
        return new

    def drop(self, project_id: str, id: str) -> None:
        """Delete it with its occurrences; operations and checkpoints stay. Raises NotFound."""
        with writing(self._engine) as connection:
            changed = connection.execute(sa.delete(_TABLE).where(
                _TABLE.c.id == id, _TABLE.c.project_id == project_id))
            if not changed.rowcount:
                raise _unknown(id)
            note_change(connection, project_id)


def _unknown(id: str) -> NotFound:
    return NotFound(f"no scheduled operation {id} in this project")
