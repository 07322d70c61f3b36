"""Canaries in SQL: what is known of each Keystone's window, over many runs of the doctor."""

from __future__ import annotations

from dataclasses import asdict, replace

import sqlalchemy as sa

from karbor.domain.probe_token import ProbeToken
from karbor.store.connect import reading, writing
from karbor.store.tables import CANARIES

REMEMBERED = 30 * 86400.0
"""Seconds after which what a canary told counts no more: clouds are changed."""


class ProbeTokens:
    """Of any number of clouds, told apart by their authentication URL."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def of(self, auth_url: str) -> list[ProbeToken]:
        """Oldest first. An address with its version and without is the same cloud's."""
        with reading(self._engine) as connection:
            rows = connection.execute(
                sa.select(CANARIES).where(CANARIES.c.auth_url == _plain(auth_url))
                .order_by(CANARIES.c.ends)).mappings()
            return [ProbeToken(**row) for row in rows]

    def keep(self, probe_token: ProbeToken) -> None:
        """As it is now, whether it is new or was known. One whose end is long past is dropped."""
        row = asdict(replace(probe_token, auth_url=_plain(probe_token.auth_url)))
        with writing(self._engine) as connection:
            connection.execute(sa.delete(CANARIES).where(sa.or_(
                CANARIES.c.id == probe_token.id,
                sa.and_(CANARIES.c.auth_url == row["auth_url"],
                        CANARIES.c.ends < probe_token.ends - REMEMBERED))))
            connection.execute(sa.insert(CANARIES).values(row))


def _plain(auth_url: str) -> str:
    return auth_url.rstrip("/").removesuffix("/v3")
