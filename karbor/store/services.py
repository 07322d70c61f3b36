"""Services in SQL: which processes of Karbor there are, and whether they are to take new work.

They belong to no project: whoever may see them is for the door to say.
"""

from __future__ import annotations

import builtins

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from karbor.domain.errors import NotFound
from karbor.domain.service import Service, ServiceProcess, ServiceStatus
from karbor.store.connect import reading, writing
from karbor.store.tables import SERVICE_PROCESSES, SERVICES

FORGOTTEN_SECONDS = 30 * 86400.0    # since the last sign of life of a process


class Services:
    """Any number of processes may use it on one database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def beat(self, binary: str, host: str, now: float) -> Service:
        """Write a sign of life, which makes the row if there is none. Return the row as it stands,
        so that a service hears whether it has been disabled. A clock that lags behind takes nothing
        back."""
        mine = sa.and_(SERVICES.c.binary == binary, SERVICES.c.host == host)
        with writing(self._engine) as connection:
            row = connection.execute(
                sa.update(SERVICES).where(mine).values(updated_at=sa.case(
                    (SERVICES.c.updated_at < now, now), else_=SERVICES.c.updated_at))
                .returning(*SERVICES.c)).mappings().first()
            if row is None:
                made = _insert(self._engine)(SERVICES).values(
                    binary=binary, host=host, status=ServiceStatus.ENABLED, updated_at=now)
                # Another process of this host may have been quicker.
                connection.execute(made.on_conflict_do_nothing(
                    index_elements=["binary", "host"]))
                row = connection.execute(
                    sa.select(SERVICES).where(mine)).mappings().one()
        return _service(row)

    def beat_process(self, process: ServiceProcess) -> None:
        """Write a sign of life of one process, at its `updated_at`. Rows of those that have not
        been heard of for FORGOTTEN_SECONDS go."""
        table = SERVICE_PROCESSES
        row = _insert(self._engine)(table).values(
            binary=process.binary, host=process.host, machine=process.machine, pid=process.pid,
            updated_at=process.updated_at)
        with writing(self._engine) as connection:
            connection.execute(row.on_conflict_do_update(
                index_elements=[one.name for one in table.primary_key],
                set_={"updated_at": process.updated_at}))
            connection.execute(sa.delete(table).where(
                table.c.updated_at < process.updated_at - FORGOTTEN_SECONDS))

    def end_process(self, process: ServiceProcess) -> None:
        """Note that a process has ended as it should."""
        table = SERVICE_PROCESSES
        with writing(self._engine) as connection:
            connection.execute(sa.delete(table).where(
                table.c.binary == process.binary, table.c.host == process.host,
                table.c.machine == process.machine, table.c.pid == process.pid))

    def processes(self) -> builtins.list[ServiceProcess]:
        """Return the processes of all services, the dead ones as well; without what they drive."""
        table = SERVICE_PROCESSES
        query = sa.select(table).order_by(table.c.host, table.c.machine, table.c.pid)
        with reading(self._engine) as connection:
            return [ServiceProcess(row["binary"], row["host"], row["machine"], row["pid"],
                                   row["updated_at"])
                    for row in connection.execute(query).mappings()]

    def list(self, *, host: str | None = None, binary: str | None = None
             ) -> builtins.list[Service]:
        """Return the services in order of their ids."""
        query = sa.select(SERVICES).order_by(SERVICES.c.id)
        if host is not None:
            query = query.where(SERVICES.c.host == host)
        if binary is not None:
            query = query.where(SERVICES.c.binary == binary)
        with reading(self._engine) as connection:
            return [_service(row) for row in connection.execute(query).mappings()]

    def show(self, service_id: int) -> Service:
        """Return the service. Raises NotFound."""
        with reading(self._engine) as connection:
            row = connection.execute(
                sa.select(SERVICES).where(SERVICES.c.id == service_id)).mappings().first()
        if row is None:
            raise NotFound(f"there is no service {service_id}")
        return _service(row)

    def set_status(self, service_id: int, status: ServiceStatus,
                   reason: str | None = None) -> Service:
        """Enable or disable a service, which hears of it at its next heartbeat. The reason is for
        one that is disabled; one that is enabled has none. Raises NotFound."""
        disabled = status is ServiceStatus.DISABLED
        with writing(self._engine) as connection:
            row = connection.execute(
                sa.update(SERVICES).where(SERVICES.c.id == service_id)
                .values(status=status, disabled_reason=reason if disabled else None)
                .returning(*SERVICES.c)).mappings().first()
        if row is None:
            raise NotFound(f"there is no service {service_id}")
        return _service(row)


def _insert(engine: sa.Engine) -> type[sqlite.Insert] | type[postgresql.Insert]:
    return postgresql.Insert if engine.dialect.name == "postgresql" else sqlite.Insert


def _service(row: sa.RowMapping) -> Service:
    return Service(row["id"], row["binary"], row["host"], ServiceStatus(row["status"]),
                   row["disabled_reason"], row["updated_at"])
