"""Tokens laid aside to learn how long Keystone's window is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "canaries",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("auth_url", sa.Text, nullable=False),
        sa.Column("ends", sa.Double, nullable=False),
        sa.Column("sealed", sa.Text, nullable=False),
        sa.Column("good_at", sa.Double),
        sa.Column("bad_at", sa.Double),
        sa.Column("cause", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_canaries"),
    )


def downgrade() -> None:
    op.drop_table("canaries")
