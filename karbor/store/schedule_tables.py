"""The tables of triggers, scheduled operations and their occurrences."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from karbor.store.tables import METADATA, SMALL_JSON

TRIGGERS = Table(
    "triggers", METADATA,
    Column("id", String(64), primary_key=True),
    Column("project_id", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("type", String(16), nullable=False),
    Column("format", String(16), nullable=False),
    Column("pattern", Text, nullable=False),
    Column("start_time", Double, nullable=False),
    Column("end_time", Double),
    Column("window", Integer),
    Column("time_zone", String(64), nullable=False),
    Column("fault", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double),
    Index(None, "project_id", "created_at"),
)

SCHEDULED_OPERATIONS = Table(
    "scheduled_operations", METADATA,
    Column("id", String(64), primary_key=True),
    Column("project_id", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("description", Text, nullable=False),
    Column("operation_type", String(32), nullable=False),
    Column("trigger_id", String(64), ForeignKey("triggers.id"), nullable=False),
    Column("plan_id", String(64), nullable=False),      # as in the definition, to be looked for
    Column("provider_id", String(64), nullable=False),
    Column("operation_definition", SMALL_JSON, nullable=False),
    Column("caller", SMALL_JSON, nullable=False),
    Column("credential", SMALL_JSON, nullable=False),   # sealed by its maker
    Column("enabled", Boolean, nullable=False),
    Column("next_due_at", Double),
    Column("revision", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double),
    Index(None, "project_id", "created_at"),
    Index(None, "trigger_id"),
    Index(None, "next_due_at"),
)

OCCURRENCES = Table(
    "occurrences", METADATA,
    Column("id", String(64), primary_key=True),
    Column("project_id", String(64), nullable=False),
    Column("scheduled_operation_id", String(64),
           ForeignKey("scheduled_operations.id", ondelete="CASCADE"), nullable=False),
    Column("trigger_id", String(64), nullable=False),   # the one that it had then
    Column("due_at", Double, nullable=False),
    Column("state", String(16), nullable=False),
    Column("operation_id", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("manual", Boolean, nullable=False),
    Column("count", Integer, nullable=False),
    Column("last_due_at", Double),
    Column("attempts", Integer, nullable=False),
    Column("held_until", Double, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("retention", Text, nullable=False),
    # However many engines see the same due time, one row is made, and one operation.
    UniqueConstraint("scheduled_operation_id", "due_at"),
    Index(None, "state", "held_until"),
    Index(None, "operation_id"),
)
