"""Karbor as a service: workers and their heartbeats, and which operations they drive."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "services",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("binary", sa.String(255), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("disabled_reason", sa.Text),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_services"),
        sa.UniqueConstraint("binary", "host", name="uq_services_binary_host"),
    )
    op.add_column("operations",
                  sa.Column("handed", sa.String(16), nullable=False, server_default=""))
    op.create_index("ix_operations_checkpoint_id", "operations", ["checkpoint_id"])
    op.create_index("ix_operations_state_handed", "operations", ["state", "handed"])


def downgrade() -> None:
    op.drop_index("ix_operations_state_handed", "operations")
    op.drop_index("ix_operations_checkpoint_id", "operations")
    op.drop_column("operations", "handed")
    op.drop_table("services")
