"""Tables of the copies of records that are kept in banks."""

from __future__ import annotations

from sqlalchemy import Column, Double, Index, Integer, String, Table

from karbor.store.tables import METADATA

INSTALLATION = Table(
    "installation", METADATA,
    Column("id", String(64), primary_key=True),     # of this database: its copies bear it
    Column("copied_at", Double),                    # when all projects were last copied
)

RECORD_CHANGES = Table(
    "record_changes", METADATA,
    Column("project_id", String(64), primary_key=True),     # empty: what belongs to no project
    Column("number", Integer, nullable=False),      # grows with each change
    Column("held_until", Double, nullable=False),   # a worker copies it just now, or waits
    Column("since", Double, nullable=False),        # the first change that is not copied yet
    Index(None, "held_until"),
)
