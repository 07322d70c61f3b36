"""The table of checkpoint records."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Double, Index, String, Table, Text, false

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
    # What the last verify found, as its bank has it; see `karbor.domain.verification`.
    Column("verified", SMALL_JSON),
    Column("verified_at", Double),
    Column("damaged", Boolean, nullable=False, server_default=false()),
    # What it was before a person set it to `error`; empty for one that failed by itself.
    Column("reset_from", String(16)),
    Index(None, "project_id", "created_at"),
    Index(None, "provider_id", "project_id", "created_at"),
    Index(None, "plan_id"),
    Index(None, "status"),
)
