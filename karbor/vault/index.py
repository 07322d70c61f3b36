"""Index: where the chunks of a vault are, cached on this machine. Everything in it can be read from
the bank again; without it nothing is lost but time, and space for what is stored twice."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from karbor.vault.pack import Address, PackTable

LOG = logging.getLogger(__name__)

FORMAT = 1
LOOKED_UP_AT_ONCE = 500
BUSY_SECONDS = 60.0
_CACHE_KIB = 8192

_SCHEMA = """
CREATE TABLE about (vault TEXT NOT NULL, format INTEGER NOT NULL);
CREATE TABLE packs (number INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE,
                    size INTEGER NOT NULL);
CREATE TABLE chunks (name BLOB PRIMARY KEY, pack INTEGER NOT NULL, ordinal INTEGER NOT NULL)
    WITHOUT ROWID;
"""

_LOOK_UP = """
SELECT chunks.name, packs.id, chunks.ordinal FROM chunks JOIN packs ON packs.number = chunks.pack
    WHERE chunks.name IN ({})
"""


class ChunkIndex:
    """The chunks of the vault with this id. Several processes may use one file; safe for threads.

    A file that is broken, or of another vault, is made anew. One that breaks while it is used knows
    nothing any more from then on.
    """

    def __init__(self, vault: str, directory: Path | None) -> None:
        self._vault = vault
        self._path = directory / f"{vault}.sqlite" if directory else None
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = self._open()

    # ------------------------------------------------------------------ what it knows
    def look_up(self, names: Sequence[bytes]) -> dict[bytes, Address]:
        """Return the addresses of those chunks that are known."""
        found: dict[bytes, Address] = {}
        with self._using() as connection:
            for start in range(0, len(names), LOOKED_UP_AT_ONCE):
                part = names[start:start + LOOKED_UP_AT_ONCE]
                rows = connection.execute(_LOOK_UP.format(",".join("?" * len(part))), part)
                found.update({name: Address(pack, ordinal) for name, pack, ordinal in rows})
        return found

    def add(self, pack: bytes, size: int, chunks: Iterable[tuple[bytes, int]]) -> None:
        """Note a pack of `size` bytes with the names and ordinals of its chunks."""
        with self._using() as connection, _transaction(connection):
            connection.execute("DELETE FROM packs WHERE id = ?", (pack,))
            number = connection.execute("INSERT INTO packs (id, size) VALUES (?, ?)",
                                        (pack, size)).lastrowid
            connection.executemany("INSERT OR REPLACE INTO chunks VALUES (?, ?, ?)",
                                   ((name, number, ordinal) for name, ordinal in chunks))

    def refresh(self, listed: Mapping[bytes, int], table: Callable[[bytes, int], PackTable | None]
                ) -> None:
        """Make the index agree with the packs in the bank, `listed` with their sizes; `table` reads
        the table of one that is new here, or was written anew (None: it cannot be relied upon)."""
        with self._using() as connection:
            known = dict(connection.execute("SELECT id, size FROM packs").fetchall())
            gone = [pack for pack, size in known.items() if listed.get(pack) != size]
            if gone:
                with _transaction(connection):
                    connection.executemany("DELETE FROM packs WHERE id = ?",
                                           ((pack,) for pack in gone))
        for pack in sorted(listed):
            if known.get(pack) == listed[pack]:
                continue
            found = table(pack, listed[pack])
            if found is not None:
                self.add(pack, listed[pack],
                         ((entry.name, entry.ordinal) for entry in found.entries()))

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    # ------------------------------------------------------------------ the file
    def _open(self) -> sqlite3.Connection | None:
        if self._path is None:
            return self._connected(":memory:")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return self._connected(str(self._path))
        except sqlite3.DatabaseError as error:
            LOG.warning("the vault index %s is broken (%s) and is made anew", self._path, error)
            self._remove()
        except OSError as error:
            LOG.warning("the vault index %s cannot be used (%s): it is kept in memory", self._path,
                        error)
            return self._connected(":memory:")
        return self._connected(str(self._path))

    def _connected(self, path: str) -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None,
                                     check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            # A cache: after a crash of the machine it is made anew where it is broken.
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            with _transaction(connection):
                self._ensure_schema(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _ensure_schema(self, connection: sqlite3.Connection) -> None:
        tables = {name for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "about" in tables:
            about = connection.execute("SELECT vault, format FROM about").fetchall()
            if about == [(self._vault, FORMAT)]:
                return
            raise sqlite3.DatabaseError(f"it is that of another vault: {about}")
        for statement in _SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute("INSERT INTO about VALUES (?, ?)", (self._vault, FORMAT))

    def _remove(self) -> None:
        assert self._path is not None  # noqa: S101
        for ending in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + ending).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._connection is None:
                self._connection = self._connected(":memory:")
            try:
                yield self._connection
            except sqlite3.DatabaseError as error:
                LOG.warning("the vault index %s broke (%s): what it knew is forgotten", self._path,
                            error)
                self._connection.close()
                self._connection = None
                if self._path is not None:
                    self._remove()


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
