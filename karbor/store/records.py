"""Records: what a project has in the database and nowhere else, as rows that a bank can keep.

Plans, triggers, scheduled operations, registered application credentials, quotas. Not what can be
made again (records of checkpoints), nor what is over (operations, occurrences).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from karbor.store.connect import reading, writing
from karbor.store.plan_tables import PLANS, QUOTA_CLASSES, QUOTAS
from karbor.store.record_changes import OF_NO_PROJECT, note_change
from karbor.store.schedule_tables import SCHEDULED_OPERATIONS, TRIGGERS
from karbor.store.tables import REGISTRATIONS

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
"""Name of a table → its rows, column → value."""

# In this order: a scheduled operation needs its trigger.
_TABLES = (PLANS, TRIGGERS, SCHEDULED_OPERATIONS, REGISTRATIONS, QUOTAS)
_KINDS = {table.name: table for table in (*_TABLES, QUOTA_CLASSES)}


class Records:
    """For Karbor itself: of whatever project it is told."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def of(self, project_id: str) -> Rows:
        """Return all records of one project, from one state of the database; those that belong to
        no project, for OF_NO_PROJECT."""
        with reading(self._engine) as connection:
            if project_id == OF_NO_PROJECT:
                return {QUOTA_CLASSES.name: _rows(connection, sa.select(QUOTA_CLASSES))}
            return {table.name: _rows(connection, sa.select(table).where(
                table.c.project_id == project_id)) for table in _TABLES}

    def missing(self, project_id: str, rows: Rows) -> Rows:
        """Return those of the given rows whose like (by their primary key) the database does not
        have."""
        with reading(self._engine) as connection:
            return _missing(connection, project_id, rows)

    def put_back(self, project_id: str, rows: Rows) -> Rows:
        """Add those that are `missing`, and change nothing that is there; returns what was added.
        A scheduled operation whose trigger or plan is nowhere is left out."""
        with writing(self._engine) as connection:
            found = {name: list(some) for name, some in
                     _missing(connection, project_id, rows).items()}
            for name, table in _KINDS.items():
                if name == SCHEDULED_OPERATIONS.name:
                    found[name] = [one for one in found.get(name, ())
                                   if _there(connection, TRIGGERS, one["trigger_id"], project_id)
                                   and _there(connection, PLANS, one["plan_id"], project_id)]
                if found.get(name):
                    connection.execute(sa.insert(table), found[name])
            if any(found.values()):
                note_change(connection, project_id)
        return found


def _rows(connection: sa.Connection, query: sa.Select[Any]) -> Sequence[Mapping[str, Any]]:
    return [dict(row) for row in connection.execute(query).mappings()]


def _missing(connection: sa.Connection, project_id: str, rows: Rows) -> Rows:
    """Yield the rows that are missing. Of other projects' rows nothing is taken, whatever the rows
    say."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for name, table in _KINDS.items():
        owned = "project_id" in table.c
        if owned == (project_id == OF_NO_PROJECT):
            continue
        for raw in rows.get(name, ()):
            row = {one.name: raw[one.name] for one in table.c if one.name in raw}
            if owned and row.get("project_id") != project_id:
                continue
            mine = [column == row[column.name] for column in table.primary_key.columns]
            if connection.execute(sa.select(*table.primary_key.columns).where(*mine)
                                  ).first() is None:
                found.setdefault(name, []).append(row)
    return found


def _there(connection: sa.Connection, table: sa.Table, id: str, project_id: str) -> bool:
    return connection.execute(sa.select(table.c.id).where(
        table.c.id == id, table.c.project_id == project_id)).first() is not None
