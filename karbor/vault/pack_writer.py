"""Writes new chunks into packs: collected in memory, sealed and sent in threads of their own."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from karbor.plugin.bank import Section
from karbor.vault.codec import Codec
from karbor.vault.index import ChunkIndex
from karbor.vault.keys import TAG_BYTES, VaultKeys
from karbor.vault.lease import Lease
from karbor.vault.pack import (
    PACK_BYTES,
    Address,
    Entry,
    Kind,
    new_pack_id,
    pack_key,
    table_and_trailer,
)

UPLOADS = 2
"""Packs that are sent at a time. One more is being filled: memory holds three."""


class PackWriter:
    """Used by one thread; a context manager. At most UPLOADS packs are under way; whoever adds more
    waits for the bank."""

    def __init__(self, section: Section, keys: VaultKeys, index: ChunkIndex, lease: Lease) -> None:
        self._section = section
        self._keys = keys
        self._index = index
        self._lease = lease
        self._pool = ThreadPoolExecutor(UPLOADS, thread_name_prefix="vault-pack")
        self._uploads: deque[Future[int]] = deque()
        self._written: dict[bytes, Address] = {}
        self._before: dict[bytes, Address] = {}     # of the time before the last flush
        self.added_bytes = 0
        self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Wait for what is being sent; what was only collected is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def address(self, name: bytes) -> Address | None:
        """Return where this writer itself has put a chunk that the index may not have yet."""
        return self._written.get(name) or self._before.get(name)

    def add(self, name: bytes, size: int, codec: Codec, body: bytes, kind: Kind) -> Address:
        """Take a new chunk; return where it will be. Raises what an earlier upload has raised."""
        ordinal = len(self._entries)
        stored = len(body) + (TAG_BYTES if self._keys.encrypted else 0)
        self._entries.append(Entry(name, ordinal, self._size, stored, size, codec, kind))
        self._bodies.append(body)
        self._size += stored
        address = Address(self._pack, ordinal)
        self._written[name] = address
        if self._size >= PACK_BYTES:
            self._send()
        return address

    def flush(self) -> None:
        """Return when everything that was added is in the bank, and the index knows it. Raises
        BankError."""
        if self._entries:
            self._send()
        while self._uploads:
            self._wait()
        self._before, self._written = self._written, {}

    def _begin(self) -> None:
        self._pack = new_pack_id(self._lease.clock())
        self._entries: list[Entry] = []
        self._bodies: list[bytes] = []
        self._size = 0

    def _send(self) -> None:
        while len(self._uploads) >= UPLOADS:
            self._wait()
        self._lease.renew()
        self._uploads.append(self._pool.submit(self._upload, self._pack, self._entries,
                                               self._bodies, self._size))
        self._begin()

    def _wait(self) -> None:
        self.added_bytes += self._uploads.popleft().result()

    def _upload(self, pack: bytes, entries: list[Entry], bodies: list[bytes], size: int) -> int:
        cipher = self._keys.cipher(pack)
        if cipher is not None:
            for number, entry in enumerate(entries):
                bodies[number] = cipher.seal(entry.ordinal, bodies[number])
        bodies.append(table_and_trailer(entries, size))
        stored = self._section.put(pack_key(pack), bodies)
        bodies.clear()
        self._index.add(pack, stored.size, ((entry.name, entry.ordinal) for entry in entries))
        return stored.size
