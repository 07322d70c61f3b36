"""What a step waits for, and how often it was begun anew.

Both are {} as long as there is nothing to say: also of the steps that are there already.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010"
down_revision = "0013"

_JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    for name in ("wait", "remade"):
        op.add_column("steps", sa.Column(name, _JSON, nullable=False, server_default="{}"))


def downgrade() -> None:
    with op.batch_alter_table("steps") as batch:
        for name in ("wait", "remade"):
            batch.drop_column(name)
