"""Records of checkpoints, beside what banks hold of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"

_JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("provider_id", sa.String(64), nullable=False),
        sa.Column("plan_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("origin", _JSON, nullable=False),
        sa.Column("operation_id", sa.String(64), nullable=False),
        sa.Column("graph", _JSON),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_checkpoints"),
    )
    for columns in (["project_id", "created_at"], ["provider_id", "project_id", "created_at"],
                    ["plan_id"], ["status"]):
        op.create_index(f"ix_checkpoints_{'_'.join(columns)}", "checkpoints", columns)


def downgrade() -> None:
    op.drop_table("checkpoints")
