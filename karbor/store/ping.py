"""ping: does the database answer?"""

from __future__ import annotations

import sqlalchemy as sa

from karbor.store.connect import reading


def ping(engine: sa.Engine) -> None:
    """Raises StoreUnavailable when it does not."""
    with reading(engine) as connection:
        connection.execute(sa.select(1))
