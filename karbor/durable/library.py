"""DBOS as Karbor uses it: quiet, JSON only, no port, no telemetry, nothing but its database.

DBOS is one per process. It keeps its tables in a file of its own, or on PostgreSQL in a schema of
its own: its writers and the journal's do not wait for each other, and its tables' names are its own
affair.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, DBOSPortableJSONSerializer, error
from sqlalchemy.exc import SQLAlchemyError

from karbor.domain.errors import BadInput, StoreUnavailable
from karbor.durable.locks import on_server

APPLICATION_VERSION = "1"
"""DBOS gives a workflow only to processes of the version that began it. Ours is one call of the
driver, and the journal bears what is to be done, so any Karbor may go on with the work of an older
one: this changes only when that ceases to be true."""


SCHEMA = "karbor_engine"
"""Of the library's tables, on PostgreSQL."""

_engine: sa.Engine | None = None    # made for the library, which does not close what it is given


def launch(state_dir: Path, database: str | None = None) -> str:
    """Start the library in this process; the executor id, never used before and never again. It
    takes work from no queue by itself (see `queues`).

    Raises StoreUnavailable when its database cannot be opened.
    """
    if os.environ.get("DBOS__CLOUD") == "true":
        raise BadInput("DBOS__CLOUD is set: the engine would report to its maker's cloud",
                       remedy="unset DBOS__CLOUD")
    # With a handler of its own it makes no other one that writes to the terminal; what it has to
    # say still reaches the handlers of the root logger, if the application has any.
    logger = logging.getLogger("dbos")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    executor = f"{os.getpid()}-{uuid.uuid4().hex}"
    with translated():
        try:
            DBOS(config={
                "name": "karbor",
                **_tables(state_dir, database),
                "executor_id": executor,
                "application_version": APPLICATION_VERSION,
                "serializer": DBOSPortableJSONSerializer(),
                "enable_otlp": False,
                "log_level": "WARNING",
                # Nothing waits for its notifications, but leaving waits for their thread.
                "notification_listener_polling_interval_sec": 0.1,
            })
            DBOS.listen_queues([])
            DBOS.launch()
        except BaseException:
            leave()     # else the next launch would be given what is left of this one
            raise
    return executor


def leave() -> None:
    """Stop the library; work under way must have returned before."""
    global _engine
    DBOS.destroy()
    engine, _engine = _engine, None
    if engine is not None:
        engine.dispose()


_OWN = "own-"


def own_queue(executor: str) -> str:
    """The queue from which only the process `executor` takes work."""
    return _OWN + executor


def owner(queue: str | None) -> str | None:
    """The executor whose own queue it is; None if it is no such queue."""
    return queue.removeprefix(_OWN) if queue and queue.startswith(_OWN) else None


@contextmanager
def translated() -> Iterator[None]:
    """The library's errors, and those of its database, as Karbor's."""
    try:
        yield
    except (error.DBOSException, SQLAlchemyError, sqlite3.Error) as failure:
        cause = getattr(failure, "orig", None) or failure
        raise StoreUnavailable(f"the engine's database cannot be used: {cause}",
                               remedy="see whether it is locked or damaged, or its disk is full"
                               ) from failure


def _tables(state_dir: Path, database: str | None) -> dict[str, Any]:
    """Where the library's tables are."""
    if database is None or not on_server(database):
        return {"system_database_url": f"sqlite:///{_database(state_dir)}"}
    global _engine  # noqa: PLW0603
    # Ours, so that the library never sees the password, does not look into the server's database
    # `postgres` to see whether this one exists, and shows no parameters in errors.
    _engine = sa.create_engine(
        sa.make_url(database).set(drivername="postgresql+psycopg"), pool_size=5, max_overflow=5,
        pool_pre_ping=True, hide_parameters=True,
        connect_args={"application_name": "karbor-engine"})
    return {"system_database_url": "postgresql://the/engine", "system_database_engine": _engine,
            "dbos_system_schema": SCHEMA, "use_listen_notify": False}


def _database(state_dir: Path) -> Path:
    """The file, made with mode 0600 and a write-ahead log (both stay) before DBOS opens it."""
    path = state_dir / "engine.sqlite"
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as failure:
        raise StoreUnavailable(f"the engine's database {path} cannot be opened: {failure.strerror}",
                               remedy="see its permissions, and whether the disk is full"
                               ) from failure
    connection = sqlite3.connect(path, timeout=30.0)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()
    return path
