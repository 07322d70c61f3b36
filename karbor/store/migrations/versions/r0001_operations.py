"""Operations, their steps and their events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

# Not taken from `tables`: a revision says for ever what it made, while the tables go on.
_JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "operations",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("verb", sa.String(16), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("caller", _JSON, nullable=False),
        sa.Column("credential", _JSON, nullable=False),
        sa.Column("request", _JSON, nullable=False),
        sa.Column("checkpoint_id", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("wanted", sa.String(16), nullable=False),
        sa.Column("plan", _JSON, nullable=False),
        sa.Column("result", _JSON, nullable=False),
        sa.Column("error", _JSON),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("finished_at", sa.Double),
        sa.Column("fence", sa.Integer, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id", name="pk_operations"),
    )
    op.create_index("ix_operations_project_id_created_at", "operations",
                    ["project_id", "created_at"])
    op.create_table(
        "steps",
        sa.Column("operation_id", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("resource", sa.Text, nullable=False),
        sa.Column("hook", sa.String(32), nullable=False),
        sa.Column("stage", sa.String(64), nullable=False),
        sa.Column("needs", _JSON, nullable=False),
        sa.Column("limit", sa.String(64), nullable=False),
        sa.Column("carries", sa.Boolean, nullable=False),
        sa.Column("releases", sa.Integer),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("entries", sa.Integer, nullable=False),
        sa.Column("wake_at", sa.Double, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("handle", _JSON, nullable=False),
        sa.Column("saved", _JSON, nullable=False),
        sa.Column("progress", _JSON),
        sa.Column("error", _JSON),
        sa.Column("entered_at", sa.Double),
        sa.Column("finished_at", sa.Double),
        sa.PrimaryKeyConstraint("operation_id", "number", name="pk_steps"),
        sa.ForeignKeyConstraint(["operation_id"], ["operations.id"], ondelete="CASCADE",
                                name="fk_steps_operation_id"),
    )
    op.create_table(
        "operation_events",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("operation_id", sa.String(64), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_operation_events"),
        sa.ForeignKeyConstraint(["operation_id"], ["operations.id"], ondelete="CASCADE",
                                name="fk_operation_events_operation_id"),
    )
    op.create_index("ix_operation_events_operation_id", "operation_events", ["operation_id"])


def downgrade() -> None:
    op.drop_table("operation_events")
    op.drop_table("steps")
    op.drop_table("operations")
