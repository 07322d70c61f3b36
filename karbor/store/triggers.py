"""Triggers in SQL. Every one is reached through its project."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from karbor.domain.errors import BadInput, Conflict, InUse, NotFound
from karbor.domain.listing import Listing, Page
from karbor.domain.trigger import Trigger
from karbor.store.connect import reading, writing
from karbor.store.listing import has_text, page
from karbor.store.record_changes import note_change
from karbor.store.schedule_rows import trigger_from_row, trigger_to_row
from karbor.store.schedule_tables import SCHEDULED_OPERATIONS, TRIGGERS

_KEYS = {name: name for name in ("id", "name", "created_at")}


class Triggers:
    """What is not in the given project does not exist: NotFound, whoever asks."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, trigger: Trigger) -> None:
        """Add a trigger. Raises Conflict when there is one with this id."""
        try:
            with writing(self._engine) as connection:
                connection.execute(sa.insert(TRIGGERS).values(trigger_to_row(trigger)))
                note_change(connection, trigger.project_id)
        except IntegrityError as error:
            raise Conflict(f"there is a trigger {trigger.id} already") from error

    def show(self, project_id: str | None, trigger_id: str) -> Trigger:
        """Return the trigger. None for the project: an administrator asks. Raises NotFound."""
        query = sa.select(TRIGGERS).where(TRIGGERS.c.id == trigger_id)
        if project_id is not None:
            query = query.where(TRIGGERS.c.project_id == project_id)
        with reading(self._engine) as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            raise _unknown(trigger_id)
        return trigger_from_row(row)

    def list(self, listing: Listing) -> Page[Trigger]:
        """Return a page of those of one project, or (None: an administrator asks) of all. Filters:
        `name` and `properties` (contain the text, in either case), `type` (equal). Raises BadInput
        for another filter or a key that cannot be sorted by, NotFound for an unknown marker."""
        wanted = []
        for name, text in listing.filters.items():
            if name == "properties":
                wanted.append(sa.or_(*(has_text(TRIGGERS.c[one], text)
                                       for one in ("format", "pattern", "time_zone"))))
            elif name not in ("name", "type"):
                raise BadInput(f"triggers cannot be filtered by {name!r}",
                               remedy="filter by name, type or properties")
        with reading(self._engine) as connection:
            rows = page(connection, TRIGGERS, listing, noun="trigger", contains=("name",),
                        equals=("type",), wanted=wanted, keys=_KEYS)
        return Page(map(trigger_from_row, rows), cut=rows.cut)

    def rename(self, project_id: str, trigger_id: str, name: str, now: float) -> None:
        """Rename a trigger. Its times, and who counts on them, stay as they are. Raises
        NotFound."""
        with writing(self._engine) as connection:
            changed = connection.execute(sa.update(TRIGGERS).where(
                TRIGGERS.c.id == trigger_id, TRIGGERS.c.project_id == project_id)
                .values(name=name, updated_at=now))
            if not changed.rowcount:
                raise _unknown(trigger_id)
            note_change(connection, project_id)

    def retime(self, trigger: Trigger, next_due_at: float | None) -> None:
        """Give a trigger other times; those that it triggers are due at `next_due_at` next, and
        whoever has computed with the times before finds their revision changed. Raises NotFound."""
        users = SCHEDULED_OPERATIONS
        with writing(self._engine) as connection:
            changed = connection.execute(sa.update(TRIGGERS).where(
                TRIGGERS.c.id == trigger.id, TRIGGERS.c.project_id == trigger.project_id)
                .values(trigger_to_row(trigger)))
            if not changed.rowcount:
                raise _unknown(trigger.id)
            connection.execute(sa.update(users).where(users.c.trigger_id == trigger.id).values(
                revision=users.c.revision + 1,
                next_due_at=sa.case((users.c.enabled, next_due_at), else_=None)))
            note_change(connection, trigger.project_id)

    def drop(self, project_id: str, trigger_id: str) -> None:
        """Delete a trigger. Raises NotFound; InUse naming those that use it."""
        try:
            with writing(self._engine) as connection:
                row = connection.execute(sa.select(TRIGGERS.c.id).where(
                    TRIGGERS.c.id == trigger_id, TRIGGERS.c.project_id == project_id)
                    .with_for_update()).first()
                if row is None:
                    raise _unknown(trigger_id)
                users = connection.execute(
                    sa.select(SCHEDULED_OPERATIONS.c.id, SCHEDULED_OPERATIONS.c.name)
                    .where(SCHEDULED_OPERATIONS.c.trigger_id == trigger_id)
                    .order_by(SCHEDULED_OPERATIONS.c.created_at).limit(10)).all()
                if users:
                    raise InUse(
                        f"trigger {trigger_id} is used by scheduled operations: "
                        + ", ".join(f"{user.name} ({user.id})" for user in users),
                        remedy="delete these first, or give them another trigger")
                connection.execute(sa.delete(TRIGGERS).where(TRIGGERS.c.id == trigger_id))
                note_change(connection, project_id)
        except IntegrityError as error:     # one more has come just now
            raise InUse(f"trigger {trigger_id} is used by a scheduled operation",
                           remedy="delete that first, or give it another trigger") from error


def _unknown(trigger_id: str) -> NotFound:
    return NotFound(f"no trigger {trigger_id} in this project")
