"""The table of checkpoint records."""

from __future__ import annotations

from sqlalchemy import Column, Double, Index, String, Table, Text

from karbor.store.tables import METADATA, SMALL_JSON

CHECKPOINTS = Table(
    "checkpoints", METADATA,
    Column("id", String(64), primary_key=True),
    Column("project_id", String(64), nullable=False),
    Column("provider_id", String(64), nullable=False),
    Column("plan_id", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("status", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("origin", SMALL_JSON, nullable=False),
    Column("operation_id", String(64), nullable=False),
    Column("graph", SMALL_JSON),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double),
    Index(None, "project_id", "created_at"),
    Index(None, "provider_id", "project_id", "created_at"),
    Index(None, "plan_id"),
    Index(None, "status"),
)
