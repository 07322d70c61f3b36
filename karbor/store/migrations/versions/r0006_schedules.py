"""Triggers, scheduled operations and their occurrences."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"

_JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "triggers",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("format", sa.String(16), nullable=False),
        sa.Column("pattern", sa.Text, nullable=False),
        sa.Column("start_time", sa.Double, nullable=False),
        sa.Column("end_time", sa.Double),
        sa.Column("window", sa.Integer),
        sa.Column("time_zone", sa.String(64), nullable=False),
        sa.Column("fault", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_triggers"),
    )
    op.create_index("ix_triggers_project_id_created_at", "triggers", ["project_id", "created_at"])
    op.create_table(
        "scheduled_operations",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("operation_type", sa.String(32), nullable=False),
        sa.Column("trigger_id", sa.String(64), nullable=False),
        sa.Column("plan_id", sa.String(64), nullable=False),
        sa.Column("provider_id", sa.String(64), nullable=False),
        sa.Column("operation_definition", _JSON, nullable=False),
        sa.Column("caller", _JSON, nullable=False),
        sa.Column("credential", _JSON, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("next_due_at", sa.Double),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_scheduled_operations"),
        sa.ForeignKeyConstraint(["trigger_id"], ["triggers.id"],
                                name="fk_scheduled_operations_trigger_id"),
    )
    for columns in (["project_id", "created_at"], ["trigger_id"], ["next_due_at"]):
        op.create_index(f"ix_scheduled_operations_{'_'.join(columns)}", "scheduled_operations",
                        columns)
    op.create_table(
        "occurrences",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("scheduled_operation_id", sa.String(64), nullable=False),
        sa.Column("trigger_id", sa.String(64), nullable=False),
        sa.Column("due_at", sa.Double, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("operation_id", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("manual", sa.Boolean, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("last_due_at", sa.Double),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("held_until", sa.Double, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("started_at", sa.Double),
        sa.Column("finished_at", sa.Double),
        sa.Column("retention", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_occurrences"),
        sa.ForeignKeyConstraint(["scheduled_operation_id"], ["scheduled_operations.id"],
                                ondelete="CASCADE",
                                name="fk_occurrences_scheduled_operation_id"),
        sa.UniqueConstraint("scheduled_operation_id", "due_at",
                            name="uq_occurrences_scheduled_operation_id_due_at"),
    )
    for columns in (["state", "held_until"], ["operation_id"]):
        op.create_index(f"ix_occurrences_{'_'.join(columns)}", "occurrences", columns)


def downgrade() -> None:
    op.drop_table("occurrences")
    op.drop_table("scheduled_operations")
    op.drop_table("triggers")
