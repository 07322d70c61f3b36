"""What verifies found of checkpoints, and which projects' records have to be copied into banks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0013"
down_revision = "0007"

_JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.add_column("checkpoints", sa.Column("verified", _JSON))
    op.add_column("checkpoints", sa.Column("verified_at", sa.Double))
    op.add_column("checkpoints", sa.Column("damaged", sa.Boolean, nullable=False,
                                           server_default=sa.false()))
    op.add_column("checkpoints", sa.Column("reset_from", sa.String(16)))
    op.create_table(
        "installation",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("copied_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_installation"),
    )
    op.create_table(
        "record_changes",
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("held_until", sa.Double, nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("project_id", name="pk_record_changes"),
    )
    op.create_index("ix_record_changes_held_until", "record_changes", ["held_until"])


def downgrade() -> None:
    op.drop_table("record_changes")
    op.drop_table("installation")
    for name in ("verified", "verified_at", "damaged", "reset_from"):
        op.drop_column("checkpoints", name)
