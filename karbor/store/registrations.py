"""Registrations: application credentials that users have registered with Karbor."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from dataclasses import fields

import sqlalchemy as sa

from karbor.domain.registration import Registration
from karbor.store.connect import reading, writing
from karbor.store.tables import OPERATIONS, REGISTRATIONS

_MINE = [one.name for one in fields(Registration)]


class Registrations:
    """One for each user and project; reached through the project."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def put(self, registration: Registration) -> Registration | None:
        """Keep it in place of the one that this user has in this project; returns that one."""
        with writing(self._engine) as connection:
            before = connection.execute(_of(registration.project_id, registration.user_id)
                                        ).mappings().first()
            if before is not None:
                connection.execute(sa.delete(REGISTRATIONS).where(
                    REGISTRATIONS.c.id == before["id"]))
            connection.execute(sa.insert(REGISTRATIONS).values(
                {name: getattr(registration, name) for name in _MINE}))
        return None if before is None else Registration(**{name: before[name] for name in _MINE})

    def of(self, project_id: str, user_id: str) -> Registration | None:
        with reading(self._engine) as connection:
            row = connection.execute(_of(project_id, user_id)).mappings().first()
        return None if row is None else Registration(**{name: row[name] for name in _MINE})

    def list(self, project_id: str) -> builtins.list[Registration]:
        """The newest first."""
        with reading(self._engine) as connection:
            rows = connection.execute(
                sa.select(REGISTRATIONS).where(REGISTRATIONS.c.project_id == project_id)
                .order_by(REGISTRATIONS.c.created_at.desc())).mappings().all()
        return [Registration(**{name: row[name] for name in _MINE}) for row in rows]

    def remove(self, project_id: str, user_id: str) -> None:
        with writing(self._engine) as connection:
            connection.execute(sa.delete(REGISTRATIONS).where(
                REGISTRATIONS.c.project_id == project_id, REGISTRATIONS.c.user_id == user_id))


def _of(project_id: str, user_id: str) -> sa.Select[tuple[object, ...]]:
    return sa.select(REGISTRATIONS).where(REGISTRATIONS.c.project_id == project_id,
                                          REGISTRATIONS.c.user_id == user_id)


def reseal(engine: sa.Engine, again: Callable[[str], str]) -> int:
    """Seal everything of the database that is sealed anew, with `again`, in one transaction;
    returns how many things. For a rotation of the keys. Raises what `again` raises; nothing has
    changed then."""
    count = 0
    with writing(engine) as connection:
        for row in connection.execute(sa.select(REGISTRATIONS.c.id, REGISTRATIONS.c.sealed)).all():
            connection.execute(sa.update(REGISTRATIONS).where(REGISTRATIONS.c.id == row.id)
                               .values(sealed=again(row.sealed)))
            count += 1
        for row in connection.execute(sa.select(OPERATIONS.c.id, OPERATIONS.c.credential).where(
                OPERATIONS.c.state.in_(["queued", "planning", "running", "undoing"]))).all():
            sealed, found = _resealed(row.credential, again)
            if found:
                connection.execute(sa.update(OPERATIONS).where(OPERATIONS.c.id == row.id)
                                   .values(credential=sealed))
                count += found
    return count


def _resealed(value: object, again: Callable[[str], str]) -> tuple[object, int]:
    """The same with every member called `sealed` sealed anew, and how many there were."""
    if not isinstance(value, dict):
        return value, 0
    out: dict[str, object] = {}
    count = 0
    for name, one in value.items():
        if name == "sealed" and isinstance(one, str) and one:
            out[name], found = again(one), 1
        else:
            out[name], found = _resealed(one, again)
        count += found
    return out, count
