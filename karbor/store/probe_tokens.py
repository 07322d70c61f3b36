"""Probe tokens in SQL: what is known of each Keystone's window, over many runs of the doctor."""

from __future__ import annotations

from dataclasses import asdict, replace

import sqlalchemy as sa

from karbor.domain.probe_token import ProbeToken
from karbor.store.connect import reading, writing
from karbor.store.tables import PROBE_TOKENS

REMEMBERED = 30 * 86400.0
"""Seconds after which what a probe token told counts no more: clouds are changed."""


class ProbeTokens:
    """Of any number of clouds, told apart by their authentication URL."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def of(self, auth_url: str) -> list[ProbeToken]:
        """Return the probe tokens of a Keystone, the oldest first. An address with its version and
        without is the same cloud's."""
        with reading(self._engine) as connection:
            rows = connection.execute(
                sa.select(PROBE_TOKENS).where(PROBE_TOKENS.c.auth_url == _plain(auth_url))
                .order_by(PROBE_TOKENS.c.ends)).mappings()
            return [ProbeToken(**row) for row in rows]

    def keep(self, probe_token: ProbeToken) -> None:
        """Write a probe token as it is now, whether it is new or was known. One whose end is long
        past is dropped."""
        row = asdict(replace(probe_token, auth_url=_plain(probe_token.auth_url)))
        with writing(self._engine) as connection:
            connection.execute(sa.delete(PROBE_TOKENS).where(sa.or_(
                PROBE_TOKENS.c.id == probe_token.id,
                sa.and_(PROBE_TOKENS.c.auth_url == row["auth_url"],
                        PROBE_TOKENS.c.ends < probe_token.ends - REMEMBERED))))
            connection.execute(sa.insert(PROBE_TOKENS).values(row))


def _plain(auth_url: str) -> str:
    return auth_url.rstrip("/").removesuffix("/v3")
