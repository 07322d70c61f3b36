"""Which projects' records have changed since they were last copied into banks.

Whoever changes a record says so in the same transaction. A worker copies the project's records as
they are then; what it could not copy, because it died or the bank was away, is still noted here.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from karbor.store.connect import reading, writing
from karbor.store.plan_tables import PLANS, QUOTA_CLASSES, QUOTAS
from karbor.store.schedule_tables import SCHEDULED_OPERATIONS, TRIGGERS
from karbor.store.tables import INSTALLATION, RECORD_CHANGES, REGISTRATIONS

OF_NO_PROJECT = ""
"""The project id under which quota classes are noted: they belong to none."""
_TABLE = RECORD_CHANGES
_OWNED = (PLANS, SCHEDULED_OPERATIONS, TRIGGERS, REGISTRATIONS, QUOTAS)
_AT_ONCE = 20       # projects that one worker takes at a time


@dataclass(frozen=True)
class Change:
    """The records of a project have changed: `number` grows with each change, `since` is when the
    first one happened that is in no bank yet, in seconds since the epoch."""

    project_id: str
    number: int
    since: float


def note_change(connection: sa.Connection, project_id: str) -> None:
    """Note that records of the project have to be copied, in the transaction that changes one."""
    insert = (postgresql.Insert if connection.dialect.name == "postgresql" else sqlite.Insert)
    made = insert(_TABLE).values(project_id=project_id, number=1, held_until=0.0, since=time.time())
    connection.execute(made.on_conflict_do_update(
        index_elements=["project_id"], set_={"number": _TABLE.c.number + 1}))


class RecordChanges:
    """Of all projects: for workers."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def installation(self) -> str:
        """Return the id of this database, which its copies bear: made at the first call."""
        with writing(self._engine) as connection:
            if connection.dialect.name == "postgresql":     # in SQLite nobody else writes now
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(
                    sa.func.hashtextextended("karbor installation", 0))))
            found = connection.execute(sa.select(INSTALLATION.c.id).order_by(
                INSTALLATION.c.id).limit(1)).scalar()
            if found is None:
                found = str(uuid.uuid4())
                connection.execute(sa.insert(INSTALLATION).values(id=found))
            return str(found)

    def note_all(self, before: float, now: float) -> bool:
        """Note all projects, unless that was done after `before`. Return whether it was done
        now."""
        self.installation()
        with writing(self._engine) as connection:
            changed = connection.execute(sa.update(INSTALLATION).where(sa.or_(
                INSTALLATION.c.copied_at.is_(None), INSTALLATION.c.copied_at <= before)
                ).values(copied_at=now))
            if not changed.rowcount:
                return False
            owners: set[str] = set()
            for table in _OWNED:
                owners |= set(connection.execute(sa.select(table.c.project_id).distinct()
                                                 ).scalars())
            if connection.execute(sa.select(QUOTA_CLASSES.c.name).limit(1)).first():
                owners.add(OF_NO_PROJECT)
            for owner in sorted(owners):
                note_change(connection, owner)
        return True

    def take(self, now: float, hold: float) -> Sequence[Change]:
        """Take some projects that nobody holds, those that have waited longest first; nobody else
        takes them for `hold` seconds."""
        query = (sa.select(_TABLE).where(_TABLE.c.held_until <= now)
                 .order_by(_TABLE.c.since, _TABLE.c.project_id).limit(_AT_ONCE)
                 .with_for_update(skip_locked=True))
        with reading(self._engine) as connection:
            if connection.execute(sa.select(_TABLE.c.project_id).where(
                    _TABLE.c.held_until <= now).limit(1)).first() is None:
                return []
        with writing(self._engine) as connection:
            changes = [Change(row.project_id, row.number, row.since)
                       for row in connection.execute(query)]
            if changes:
                connection.execute(sa.update(_TABLE).where(_TABLE.c.project_id.in_(
                    [change.project_id for change in changes])).values(held_until=now + hold))
        return changes

    def copied(self, change: Change) -> None:
        """Note that the project's records are in every bank where they belong. What has changed
        meanwhile is free again."""
        mine = _TABLE.c.project_id == change.project_id
        with writing(self._engine) as connection:
            gone = connection.execute(sa.delete(_TABLE).where(
                mine, _TABLE.c.number == change.number)).rowcount
            if not gone:
                connection.execute(sa.update(_TABLE).where(mine).values(held_until=0.0))

    def postpone(self, change: Change, until: float) -> None:
        """Note that the records could not be copied; they are tried again at that time."""
        with writing(self._engine) as connection:
            connection.execute(sa.update(_TABLE).where(
                _TABLE.c.project_id == change.project_id).values(held_until=until))

    def pending(self, project_id: str) -> bool:
        """Return whether the banks do not know yet how the project's records are now."""
        with reading(self._engine) as connection:
            return connection.execute(sa.select(_TABLE.c.project_id).where(
                _TABLE.c.project_id == project_id)).first() is not None

    def waiting(self) -> tuple[int, float | None]:
        """Return how many projects have records that are not in their banks yet, and since when
        the first of them waits."""
        with reading(self._engine) as connection:
            row = connection.execute(sa.select(sa.func.count().label("waiting"),
                                               sa.func.min(_TABLE.c.since).label("since"))).one()
        return int(row.waiting), row.since
