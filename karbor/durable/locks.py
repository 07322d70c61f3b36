"""Locks that die with their process: one per operation under way.

Beside an SQLite database they are files, on PostgreSQL advisory locks. One contract, and one suite
of tests for both.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Process(NamedTuple):
    """A process that has a lock. `pid` is 0 while it is not known yet."""

    pid: int
    machine: str


def machine() -> str:
    """Return the name of this machine, as locks tell it: PostgreSQL keeps 63 bytes of what a
    session says."""
    return socket.gethostname()[:40]


class Held(Protocol):
    """A lock we have."""

    def release(self) -> None:
        """Release the lock. May be called twice, from another thread, and when it has been lost."""

    def tell(self, lost: threading.Event) -> None:
        """Set `lost` when the lock is lost before it is released; at once if it is already."""


class Locks(Protocol):
    """Of all processes that share a database. Safe for threads."""

    def take(self, name: str) -> Held:
        """Take the lock of this name. Raises Conflict, with the process that has it;
        StoreUnavailable when none can be had. Taking a lock twice in one process is a Conflict
        too."""

    def holder(self, name: str) -> int | None:
        """Return the id of the process that has the lock (0: not known yet); None: nobody."""

    def holders(self, names: Iterable[str]) -> dict[str, int]:
        """Return who holds each of these locks that somebody has, as `holder` does."""

    def processes(self, names: Iterable[str]) -> dict[str, Process]:
        """Return which process of which machine holds each of these locks that somebody has."""

    def close(self) -> None:
        """Release what is still held. It may be used again."""


@contextmanager
def released_on_error(held: Held) -> Iterator[None]:
    try:
        yield
    except BaseException:
        held.release()
        raise


def proper(name: str) -> str:
    """Return the name of a lock. Raises ValueError when it is not one."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"not the name of a lock: {name!r}")
    return name


def on_server(url: str | None) -> bool:
    """Return whether a database URL is that of a PostgreSQL server, and not of a file of this
    machine."""
    return url is not None and url.startswith("postgres")


def operation_locks(state_dir: Path, database: str | None = None) -> Locks:
    """Return the locks of the operations of a database: who drives them right now. `database` is
    its URL; those of a file have their locks in `state_dir`."""
    if database is not None and on_server(database):
        from karbor.durable.advisory import AdvisoryLocks  # noqa: PLC0415 - psycopg: 50 ms

        return AdvisoryLocks(database)
    from karbor.durable.flocks import FileLocks  # noqa: PLC0415 - one of the two is enough

    return FileLocks(state_dir / "locks")
