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
    """The name of this one, as locks tell it: PostgreSQL keeps 63 bytes of what a session says."""
    return socket.gethostname()[:40]


class Held(Protocol):
    """A lock we have."""

    def release(self) -> None:
        """May be called twice, from another thread, and when it has been lost."""

    def tell(self, lost: threading.Event) -> None:
        """`lost` is set when the lock is lost before it is released; at once if it is already."""


class Locks(Protocol):
    """Of all processes that share a database. Safe for threads."""

    def take(self, name: str) -> Held:
        """Raises Conflict, with the process that has it; StoreUnavailable when none can be had.
        Taking a lock twice in one process is a Conflict too."""

    def holder(self, name: str) -> int | None:
        """The id of the process that has the lock (0: not known yet); None: nobody."""

    def holders(self, names: Iterable[str]) -> dict[str, int]:
        """Of those that somebody has: by whom, as `holder`."""

    def processes(self, names: Iterable[str]) -> dict[str, Process]:
        """Of those that somebody has: by which process of which machine."""

    def close(self) -> None:
        """What is still held is let go. It may be used again."""


@contextmanager
def released_on_error(held: Held) -> Iterator[None]:
    try:
        yield
    except BaseException:
        held.release()
        raise


def proper(name: str) -> str:
    """Raises ValueError when it is not the name of a lock."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"not the name of a lock: {name!r}")
    return name


def on_server(url: str | None) -> bool:
    """Whether a database URL is that of a PostgreSQL server, and not of a file of this machine."""
    return url is not None and url.startswith("postgres")


def operation_locks(state_dir: Path, database: str | None = None) -> Locks:
    """The locks of the operations of a database: who drives them right now. `database` is its
    URL; those of a file have their locks in `state_dir`."""
    if database is not None and on_server(database):
        from karbor.durable.advisory import AdvisoryLocks  # noqa: PLC0415 - psycopg: 50 ms

        return AdvisoryLocks(database)
    from karbor.durable.flocks import FileLocks  # noqa: PLC0415 - one of the two is enough

    return FileLocks(state_dir / "locks")
