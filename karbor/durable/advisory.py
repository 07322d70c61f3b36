"""AdvisoryLocks: locks of PostgreSQL's, which its server lets go of when the session ends.

All of a process are held by one connection, which does nothing else. When that is lost, so are the
locks, though the process lives: it notices within seconds and stops driving. Until then, and where
it cannot notice, the fencing number of the journal keeps it from writing.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from karbor.domain.errors import BadInput, Conflict, StoreUnavailable
from karbor.durable.locks import Process, machine, proper

LOG = logging.getLogger(__name__)

WATCHED_EVERY = 2.0     # seconds between looks whether the connection still lives

# A dead connection is noticed on both ends within half a minute. The server's own default is two
# hours, for which the locks of a machine that lost its power would stand.
_OURS: dict[str, Any] = {"keepalives_idle": 5, "keepalives_interval": 5,
                         "keepalives_count": 3, "tcp_user_timeout": 20_000, "connect_timeout": 10}
_SERVERS = ("SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; "
            "SET tcp_keepalives_count = 3; SET tcp_user_timeout = '30s'; "
            "SET idle_session_timeout = 0")
_WHO = """
SELECT (l.classid::bigint << 32) | l.objid::bigint, coalesce(a.application_name, '')
FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class HeldAdvisory:
    """See `locks.Held`."""

    def __init__(self, locks: AdvisoryLocks, name: str) -> None:
        self._locks = locks
        self._name = name
        self._told: list[threading.Event] = []
        self._lost = False

    def release(self) -> None:
        self._locks.let_go(self._name, self)

    def tell(self, lost: threading.Event) -> None:
        self._told.append(lost)
        if self._lost:
            lost.set()

    def lose(self) -> None:
        self._lost = True
        for one in self._told:
            one.set()


class AdvisoryLocks:
    """See `locks.Locks`. `url` is as in [database] connection; behind a pooler that hands out
    connections by transaction such locks are worth nothing."""

    def __init__(self, url: str) -> None:
        self._conninfo = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url)
        self._guard = threading.RLock()
        self._connection: psycopg.Connection[Any] | None = None
        self._closed = threading.Event()
        self._held: dict[str, HeldAdvisory] = {}

    def take(self, name: str) -> HeldAdvisory:
        key = _key(name)
        with self._guard:
            taken = name not in self._held and self._ask(
                "SELECT pg_try_advisory_lock(%s)", key)[0][0]
            if taken:
                self._held[name] = HeldAdvisory(self, name)
                return self._held[name]
            who = dict(self._ask(_WHO)).get(key, "")
        pid, host = _process(who)
        told = f"process {pid}" + (f" on {host}" if host != machine() else "")
        raise Conflict(f"{name} is being driven by {told if pid else 'another process'}",
                       remedy="wait for it, or end that process and resume")

    def holder(self, name: str) -> int | None:
        return self.holders([name]).get(name)

    def holders(self, names: Iterable[str]) -> dict[str, int]:
        return {name: one.pid for name, one in self.processes(names).items()}

    def processes(self, names: Iterable[str]) -> dict[str, Process]:
        keys = {_key(name): name for name in names}
        with self._guard:
            found = self._ask(_WHO)
        return {keys[key]: _process(who) for key, who in found if key in keys}

    def let_go(self, name: str, held: HeldAdvisory) -> None:
        with self._guard:
            if self._held.get(name) is held:
                del self._held[name]
                try:
                    self._ask("SELECT pg_advisory_unlock(%s)", _key(name))
                except StoreUnavailable:
                    LOG.info("the lock of %s ended with its connection", name)

    def close(self) -> None:
        with self._guard:
            self._closed.set()
            connection, self._connection = self._connection, None
            self._held.clear()
            if connection is not None:
                connection.close()

    # ------------------------------------------------------------------ the connection
    def _ask(self, query: str, *parameters: int) -> list[tuple[Any, ...]]:
        with self._guard, self._noticing():
            if self._connection is None:
                self._connection = self._connect()
            with self._connection.cursor() as cursor:
                cursor.execute(query.encode(), parameters or None)
                return cursor.fetchall()

    def _connect(self) -> psycopg.Connection[Any]:
        try:
            connection = psycopg.connect(
                self._conninfo, autocommit=True,
                application_name=f"karbor {os.getpid()} {machine()}", **_OURS)
        except psycopg.ProgrammingError:    # its text may have parts of the URL in it
            raise BadInput("[database] connection cannot be read",
                           remedy="write postgresql://USER:PASSWORD@HOST/NAME") from None
        connection.execute(_SERVERS)
        self._closed = threading.Event()
        threading.Thread(target=self._watch, args=(self._closed,), name="locks", daemon=True
                         ).start()
        return connection

    def _watch(self, closed: threading.Event) -> None:
        """Ask the server again and again whether the session lives: it does not say by itself that
        one has ended."""
        while not closed.wait(WATCHED_EVERY):
            with self._guard:
                if closed.is_set():
                    return
                try:
                    self._ask("SELECT 1")
                except StoreUnavailable as error:
                    LOG.warning("%s", error)
                    return

    @contextmanager
    def _noticing(self) -> Iterator[None]:
        """Give up all locks when the connection fails: it has lost them: nothing goes on as if it
        had them."""
        try:
            yield
        except psycopg.Error as error:
            lost = list(self._held.items())
            self.close()
            for name, held in lost:
                LOG.warning("the lock of %s is lost", name)
                held.lose()
            raise StoreUnavailable(f"the database gives no locks: {error}",
                                   remedy="see whether it runs") from error


def _key(name: str) -> int:
    """Return the number of a lock: 64 bits, as PostgreSQL wants them: names that share a key are
    not to be expected."""
    digest = hashlib.blake2b(f"karbor lock {proper(name)}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _process(application: str) -> Process:
    """Return process and machine of a session of ours; (0, "") of what is none, or may not be
    seen."""
    match application.split():
        case ["karbor", pid, host] if pid.isdigit():
            return Process(int(pid), host)
        case _:
            return Process(0, "")
