"""The processes of services, each with its own heartbeat."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "service_processes",
        sa.Column("binary", sa.String(255), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("machine", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("binary", "host", "machine", "pid", name="pk_service_processes"),
    )


def downgrade() -> None:
    op.drop_table("service_processes")
