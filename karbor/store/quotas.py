"""Quotas: the limits of projects and of quota classes. What is in use is never written down."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from karbor.domain.quota import DEFAULT_CLASS, Limits
from karbor.store.connect import reading, writing
from karbor.store.plan_tables import QUOTA_CLASSES, QUOTAS
from karbor.store.record_changes import OF_NO_PROJECT, note_change


class Quotas:
    """A project's own limit counts before that of the quota class `default`, and this before what
    the configuration says (`configured`: kind → limit, of every kind)."""

    def __init__(self, engine: sa.Engine, configured: Limits) -> None:
        self._engine = engine
        self._configured = dict(configured)

    def of(self, project_id: str) -> dict[str, int]:
        """Return kind → limit, of every kind."""
        with reading(self._engine) as connection:
            return self.within(connection, project_id)

    def within(self, connection: sa.Connection, project_id: str) -> dict[str, int]:
        """Return the project's limits, as seen by a transaction that is under way."""
        return {**self._class(connection, DEFAULT_CLASS),
                **_limits(connection, QUOTAS, QUOTAS.c.project_id, project_id,
                          self._configured)}

    def of_class(self, name: str) -> dict[str, int]:
        """Return kind → limit, of every kind. A class that nobody has set has the configured
        limits; that of the name `default` are those of all projects."""
        with reading(self._engine) as connection:
            return self._class(connection, name)

    def defaults(self) -> dict[str, int]:
        """Return kind → limit, of projects that have none of their own."""
        return self.of_class(DEFAULT_CLASS)

    def set(self, project_id: str, limits: Limits) -> None:
        """Set the project's limits of the kinds given; the others stay as they are."""
        with writing(self._engine) as connection:
            _put(connection, QUOTAS, {"project_id": project_id}, limits)
            note_change(connection, project_id)

    def set_class(self, name: str, limits: Limits) -> None:
        """Set the limits of a quota class of the kinds given; the others stay as they are."""
        with writing(self._engine) as connection:
            _put(connection, QUOTA_CLASSES, {"name": name}, limits)
            note_change(connection, OF_NO_PROJECT)

    def reset(self, project_id: str) -> None:
        """Drop the project's own limits: from now on it has the limits of all others. Nothing else
        changes."""
        with writing(self._engine) as connection:
            connection.execute(sa.delete(QUOTAS).where(QUOTAS.c.project_id == project_id))
            note_change(connection, project_id)

    def _class(self, connection: sa.Connection, name: str) -> dict[str, int]:
        return {**self._configured, **_limits(connection, QUOTA_CLASSES, QUOTA_CLASSES.c.name, name,
                                              self._configured)}


def _limits(connection: sa.Connection, table: sa.Table, column: sa.Column[str], value: str,
            kinds: Limits) -> dict[str, int]:
    rows = connection.execute(sa.select(table.c.kind, table.c.limit).where(column == value))
    return {row.kind: row.limit for row in rows if row.kind in kinds}


def _put(connection: sa.Connection, table: sa.Table, key: Mapping[str, str],
         limits: Limits) -> None:
    lock(connection, f"{table.name} {next(iter(key.values()))}")
    for kind, limit in limits.items():
        row = {**key, "kind": kind}
        connection.execute(sa.delete(table).where(
            *(table.c[name] == one for name, one in row.items())))
        connection.execute(sa.insert(table).values(**row, limit=limit))


def lock(connection: sa.Connection, name: str) -> None:
    """Take the lock of this name until the end of the transaction. In SQLite every transaction that
    writes is alone anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(
            sa.func.hashtextextended(f"karbor {name}", 0))))
