"""A database URL → an engine with the manners Karbor needs; transactions with Karbor's errors."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DatabaseError, InterfaceError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from karbor.domain.errors import BadInput, StoreUnavailable
from karbor.store.shallow_json import loads

BUSY_SECONDS = 30.0     # how long a writer of SQLite waits for another one
BUSY_PAUSE = 0.01
_READS = "karbor_reads"
_NOTICED_SOON: dict[str, Any] = {   # else a server that is gone is waited for a quarter of an hour
    "connect_timeout": 10,          # seconds; so are the others but for the last one
    "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
    "tcp_user_timeout": 20_000}     # milliseconds


def connect(url: str) -> sa.Engine:
    """Return an engine for `sqlite:///PATH` or `postgresql://…`; nothing is asked of a server yet.

    An SQLite file is made with mode 0600 (and its directory with 0700) if it does not exist: it
    names what a project owns and holds sealed credentials. Raises BadInput for another kind of
    URL, StoreUnavailable if the file cannot be made.
    """
    parsed = _parsed(url)
    match parsed.get_backend_name():
        case "sqlite":
            return _sqlite(parsed)
        case "postgresql":
            # The parameters of a statement are never part of an error's text: they may be sealed
            # credentials, and what users named.
            return sa.create_engine(parsed.set(drivername="postgresql+psycopg"),
                                    pool_pre_ping=True, hide_parameters=True,
                                    connect_args=_NOTICED_SOON, json_deserializer=loads)
        case other:
            raise BadInput(f"databases of the kind {other!r} are not supported",
                           remedy="use SQLite or PostgreSQL")


def described(url: str) -> tuple[str, Path | None]:
    """Return a database URL without its password, and the file that an SQLite one names; nothing
    is opened or made. Raises BadInput as `connect`."""
    parsed = _parsed(url)
    kind = parsed.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise BadInput(f"databases of the kind {kind!r} are not supported",
                       remedy="use SQLite or PostgreSQL")
    if kind == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise BadInput("a database in memory would be lost with its process",
                       remedy="name a file: sqlite:///PATH")
    file = Path(parsed.database) if kind == "sqlite" and parsed.database else None
    return parsed.render_as_string(hide_password=True), file


def ping(engine: sa.Engine) -> None:
    """Ask the database something; raise StoreUnavailable when it does not answer."""
    with reading(engine) as connection:
        connection.execute(sa.text("SELECT 1"))


def _parsed(url: str) -> sa.URL:
    try:
        return sa.make_url(url)
    except (ArgumentError, ValueError):     # their texts have parts of the URL in them
        raise BadInput("the database URL cannot be read",
                       remedy="write sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME"
                       ) from None


def _sqlite(url: sa.URL) -> sa.Engine:
    if not url.database or url.database == ":memory:":
        raise BadInput("a database in memory would be lost with its process",
                       remedy="name a file: sqlite:///PATH")
    _private_file(Path(url.database))
    engine = sa.create_engine(url, hide_parameters=True, json_deserializer=loads)

    @event.listens_for(engine, "connect")
    def manners(connection: Any, entry: ConnectionPoolEntry) -> None:  # noqa: ARG001
        connection.isolation_level = None   # we say BEGIN ourselves: the driver says it too late
        connection.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
        _write_ahead(connection)
        # A step is written as entered before its request goes out; after a power cut the cloud
        # would remember a request that a database with less than FULL has forgotten.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # A deferred transaction that reads first and writes later fails at once, whatever the
        # timeout, if another wrote in between: writers take their lock at the beginning.
        reads = connection.get_execution_options().get(_READS)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn a file to the write-ahead log; a fresh one is turned by one connection. Others that try
    at that moment are refused without the wait of busy_timeout: SQLite sees two readers that would
    both become writers."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(BUSY_PAUSE)
        else:
            return


def _private_file(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
    except OSError as error:
        raise StoreUnavailable(f"the database {path} cannot be opened: {error.strerror}",
                               remedy="see its permissions, and whether the disk is full"
                               ) from error


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Open one transaction that writes: all or nothing. Raises StoreUnavailable."""
    with _translated(), engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Open one transaction that reads, from one state of the database. Raises StoreUnavailable."""
    with _translated(), engine.connect() as connection:
        connection.execution_options(**{_READS: True})      # of this connection, until its end
        with connection.begin():
            yield connection


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise _unavailable(error.orig) from error
    except sqlite3.DatabaseError as error:      # while connecting, before SQLAlchemy wraps it
        raise _unavailable(error) from error
    except DatabaseError as error:
        if type(error) is not DatabaseError:    # its subclasses are faults of ours
            raise
        raise _unavailable(error.orig) from error


def _unavailable(cause: BaseException | None) -> StoreUnavailable:
    return StoreUnavailable(f"the database cannot be used: {cause}",
                            remedy="see whether it runs, is locked or damaged, or its disk is full")
