"""Reads chunks out of packs: tables are kept, chunks that lie side by side come in one request."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence

from karbor.domain.errors import ObjectDamaged, ObjectMissing
from karbor.plugin.bank import Section
from karbor.vault.codec import Undecodable, decode
from karbor.vault.keys import PackCipher, Unsealable, VaultKeys
from karbor.vault.pack import (
    TRAILER_BYTES,
    Address,
    Entry,
    PackTable,
    pack_key,
    table_bounds,
)

TABLES_KEPT = 64
LIKELY_TABLE_BYTES = 64 * 1024
"""Read together with the trailer: the table of a pack of chunks of the usual size is not longer."""

MERGED_GAP_BYTES = 64 * 1024
"""Chunks with so much between them still come in one request."""

MERGED_BYTES = 4 * 1024 * 1024


class PackReader:
    """The packs of one vault. Safe for threads."""

    def __init__(self, vault: Section, keys: VaultKeys) -> None:
        self._vault = vault
        self._keys = keys
        self._tables: OrderedDict[bytes, PackTable] = OrderedDict()
        self._lock = threading.Lock()
        self._damaged: set[bytes] = set()

    @property
    def damaged(self) -> frozenset[bytes]:
        """The packs of which something was missing or not as it was written."""
        with self._lock:
            return frozenset(self._damaged)

    # ------------------------------------------------------------------ tables
    def table(self, pack: bytes, size: int | None = None) -> PackTable:
        """Return the table of a pack, of `size` bytes if that is known from a list.

        Raises ObjectMissing, ObjectDamaged, NewerFormat."""
        with self._lock:
            table = self._tables.get(pack)
            if table is not None:
                self._tables.move_to_end(pack)
                return table
        table = read_table(self._vault, pack, size)
        with self._lock:
            self._tables[pack] = table
            while len(self._tables) > TABLES_KEPT:
                self._tables.popitem(last=False)
        return table

    def _forget(self, pack: bytes) -> None:
        with self._lock:
            self._tables.pop(pack, None)

    # ------------------------------------------------------------------ chunks
    def chunk(self, address: Address, name: bytes) -> bytes:
        """Return one chunk. Raises as `chunks`."""
        return self.chunks(address.pack, {address.ordinal: name})[address.ordinal]

    def chunks(self, pack: bytes, wanted: Mapping[int, bytes]) -> dict[int, bytes]:
        """Return chunks of one pack by their ordinals; `wanted` has their names, by which each of
        them is proved.

        A pack may have been written anew since its table was read: the table is then read again,
        once. Raises ObjectMissing, ObjectDamaged with the key of the pack.
        """
        try:
            return self._chunks(pack, wanted)
        except (ObjectDamaged, ObjectMissing):
            self._forget(pack)
        try:
            return self._chunks(pack, wanted)
        except (ObjectDamaged, ObjectMissing):
            with self._lock:
                self._damaged.add(pack)
            raise

    def _chunks(self, pack: bytes, wanted: Mapping[int, bytes]) -> dict[int, bytes]:
        key, table = pack_key(pack), self.table(pack)
        entries = []
        for ordinal, name in wanted.items():
            entry = table.get(ordinal)
            if entry is None or entry.name != name:
                raise ObjectDamaged(f"chunk {ordinal} of {key} in the bank is not the one that "
                                    "the map of the disk names")
            entries.append(entry)
        found: dict[int, bytes] = {}
        cipher = self._keys.cipher(pack)
        for run in _runs(sorted(entries, key=lambda entry: entry.offset)):
            start, end = run[0].offset, run[-1].offset + run[-1].stored
            raw = memoryview(self._vault.read(key, start, end - start))
            for entry in run:
                body = raw[entry.offset - start:entry.offset - start + entry.stored]
                found[entry.ordinal] = self._opened(cipher, entry, bytes(body), key)
        return found

    def _opened(self, cipher: PackCipher | None, entry: Entry, body: bytes, key: str) -> bytes:
        try:
            if cipher is not None:
                body = cipher.unseal(entry.ordinal, body)
            chunk = decode(entry.codec, body, entry.size)
        except (Unsealable, Undecodable) as error:
            raise ObjectDamaged(f"chunk {entry.ordinal} of {key} in the bank is damaged: {error}"
                                ) from error
        if self._keys.name(chunk) != entry.name:
            raise ObjectDamaged(f"chunk {entry.ordinal} of {key} in the bank is damaged: its bytes "
                                "are not those of its name")
        return chunk


def read_table(vault: Section, pack: bytes, size: int | None = None) -> PackTable:
    """Read a pack's table. Raises ObjectMissing, ObjectDamaged, NewerFormat."""
    key = pack_key(pack)
    if size is None:
        stored = vault.stat(key)
        if stored is None:
            raise ObjectMissing(f"the bank has no {key}")
        size = stored.size
    tail_offset = max(0, size - TRAILER_BYTES - LIKELY_TABLE_BYTES)
    tail = vault.read(key, tail_offset, size - tail_offset)
    offset, length, checksum = table_bounds(tail[-TRAILER_BYTES:], size, key)
    raw = (tail[offset - tail_offset:offset - tail_offset + length] if offset >= tail_offset
           else vault.read(key, offset, length))
    return PackTable.parse(raw, checksum, offset, key)


def _runs(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Yield entries, which are in order of their offsets, in runs that are worth one request."""
    run: list[Entry] = []
    for entry in entries:
        if run and (entry.offset - (run[-1].offset + run[-1].stored) > MERGED_GAP_BYTES
                    or entry.offset + entry.stored - run[0].offset > MERGED_BYTES):
            yield run
            run = []
        run.append(entry)
    if run:
        yield run
