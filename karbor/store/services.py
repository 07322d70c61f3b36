"""Services in SQL: which processes of Karbor there are, and whether they are to take new work.

They belong to no project: whoever may see them is for the door to say.
"""

from __future__ import annotations

import builtins

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from karbor.domain.errors import NotFound
from karbor.domain.service import Service, ServiceStatus
from karbor.store.connect import reading, writing
from karbor.store.tables import SERVICES


class Services:
    """Any number of processes may use it on one database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def beat(self, binary: str, host: str, now: float) -> Service:
        """A sign of life, which makes the row if there is none; as it stands, so that a service
        hears whether it has been disabled. A clock that lags behind takes nothing back."""
        mine = sa.and_(SERVICES.c.binary == binary, SERVICES.c.host == host)
        with writing(self._engine) as connection:
            found = connection.execute(
                sa.update(SERVICES).where(mine).values(updated_at=sa.case(
                    (SERVICES.c.updated_at < now, now), else_=SERVICES.c.updated_at))
                .returning(*SERVICES.c)).mappings().first()
            if found is None:
                made = _insert(self._engine)(SERVICES).values(
                    binary=binary, host=host, status=ServiceStatus.ENABLED, updated_at=now)
                # Another process of this host may have been quicker.
                connection.execute(made.on_conflict_do_nothing(
                    index_elements=["binary", "host"]))
                found = connection.execute(
                    sa.select(SERVICES).where(mine)).mappings().one()
        return _service(found)

    def list(self, *, host: str | None = None, binary: str | None = None
             ) -> builtins.list[Service]:
        """In order of their ids."""
        query = sa.select(SERVICES).order_by(SERVICES.c.id)
        if host is not None:
            query = query.where(SERVICES.c.host == host)
        if binary is not None:
            query = query.where(SERVICES.c.binary == binary)
        with reading(self._engine) as connection:
            return [_service(row) for row in connection.execute(query).mappings()]

    def show(self, service_id: int) -> Service:
        """Raises NotFound."""
        with reading(self._engine) as connection:
            found = connection.execute(
                sa.select(SERVICES).where(SERVICES.c.id == service_id)).mappings().first()
        if found is None:
            raise NotFound(f"there is no service {service_id}")
        return _service(found)

    def set_status(self, service_id: int, status: ServiceStatus,
                   reason: str | None = None) -> Service:
        """A service hears of it at its next heartbeat. The reason is for one that is disabled;
        one that is enabled has none. Raises NotFound."""
        disabled = status is ServiceStatus.DISABLED
        with writing(self._engine) as connection:
            found = connection.execute(
                sa.update(SERVICES).where(SERVICES.c.id == service_id)
                .values(status=status, disabled_reason=reason if disabled else None)
                .returning(*SERVICES.c)).mappings().first()
        if found is None:
            raise NotFound(f"there is no service {service_id}")
        return _service(found)


def _insert(engine: sa.Engine) -> type[sqlite.Insert] | type[postgresql.Insert]:
    return postgresql.Insert if engine.dialect.name == "postgresql" else sqlite.Insert


def _service(row: sa.RowMapping) -> Service:
    return Service(row["id"], row["binary"], row["host"], ServiceStatus(row["status"]),
                   row["disabled_reason"], row["updated_at"])
