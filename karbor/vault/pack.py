"""Packs: objects of some 16 MiB with many chunks, and a table that says where each one is.

A pack is: the chunks' bodies one after the other, the table, and a trailer of 64 bytes. The table
is in clear, since the names of chunks are made with the vault's key; a sealed body can be moved
without any key. Ordinals stay when a pack is written anew without some of its chunks.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from blake3 import blake3

from karbor.domain.errors import NewerFormat, ObjectDamaged
from karbor.vault.codec import Codec

FORMAT = 2
PACK_BYTES = 16 * 1024 * 1024
"""A pack is closed when its bodies reach this size: large enough for few requests, small enough to
be written anew, and to be sent again after a crash."""

PACK_ID_BYTES = 16
TRAILER_BYTES = 64
MAX_ENTRIES = 1_000_000
"""More than a pack of Karbor's can have: what a damaged trailer may not demand of memory."""

_MAGIC = b"KRBRPACK"
_TRAILER = struct.Struct(">8sHHIQ8x32s")    # magic, format, 0, entries, table's offset, its BLAKE3
_ENTRY = struct.Struct(">32sIIIIBBxx")      # name, ordinal, offset, stored, size, codec, kind
ENTRY_BYTES = _ENTRY.size
_CODECS = (Codec.PLAIN, Codec.ZSTD)


class Kind(IntEnum):
    DATA = 0        # a chunk of a disk
    PAGE = 1        # a page of a disk's map


@dataclass(frozen=True, slots=True)
class Entry:
    """A chunk in a pack: its name, its number, which it keeps, where its body is, the body's size
    as it is stored, and the chunk's own size in bytes."""

    name: bytes
    ordinal: int
    offset: int
    stored: int
    size: int
    codec: Codec
    kind: Kind


@dataclass(frozen=True, slots=True)
class Address:
    """Where a chunk is."""

    pack: bytes
    ordinal: int


def new_pack_id(now: float) -> bytes:
    """Return 16 bytes: milliseconds since the epoch in six, then random ones. The time lets garbage
    collection leave alone what was just written; nothing is decided by it otherwise."""
    return int(now * 1000).to_bytes(6, "big") + os.urandom(10)


def written_at(pack: bytes) -> float:
    """Return when a pack's id was made, in seconds since the epoch."""
    return int.from_bytes(pack[:6], "big") / 1000


def pack_key(pack: bytes) -> str:
    """Return a pack's key within the vault; 256 directories share them."""
    name = pack.hex()
    return f"packs/{name[-2:]}/{name}"


def pack_of_key(key: str) -> bytes | None:
    """Return the id of the pack with this key; None when the key is no pack's."""
    name = key.rsplit("/", 1)[-1]
    try:
        pack = bytes.fromhex(name)
    except ValueError:
        return None
    return pack if len(pack) == PACK_ID_BYTES and pack_key(pack) == key else None


def table_and_trailer(entries: Sequence[Entry], offset: int) -> bytes:
    """Return what follows the bodies, which end at `offset`."""
    table = b"".join(
        _ENTRY.pack(entry.name, entry.ordinal, entry.offset, entry.stored, entry.size,
                    _CODECS.index(entry.codec), entry.kind)
        for entry in entries)
    return table + _TRAILER.pack(_MAGIC, FORMAT, 0, len(entries), offset, blake3(table).digest())


def table_bounds(trailer: bytes, size: int, key: str) -> tuple[int, int, bytes]:
    """Return, from a pack's last 64 bytes and its size, where its table is, how long, and its
    checksum. Raises ObjectDamaged, NewerFormat."""
    if len(trailer) != TRAILER_BYTES or not trailer.startswith(_MAGIC):
        raise ObjectDamaged(f"{key} in the bank does not end as a pack of a vault does")
    _, format, _, count, offset, checksum = _TRAILER.unpack(trailer)
    if format > FORMAT:
        raise NewerFormat(f"{key} has the pack format {format}, this Karbor reads {FORMAT}",
                          remedy="upgrade Karbor")
    length = count * _ENTRY.size
    if count > MAX_ENTRIES or offset + length + TRAILER_BYTES != size:
        raise ObjectDamaged(f"{key} in the bank is not as long as its trailer says")
    return offset, length, checksum


class PackTable:
    """The chunks of one pack by their ordinals."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = {entry.ordinal: entry for entry in entries}

    @classmethod
    def parse(cls, raw: bytes, checksum: bytes, end: int, key: str) -> PackTable:
        """Read a table whose bodies end at `end`. Raises ObjectDamaged."""
        if blake3(raw).digest() != checksum:
            raise ObjectDamaged(f"the table of {key} in the bank is damaged")
        entries = []
        for name, ordinal, offset, stored, size, codec, kind in _ENTRY.iter_unpack(raw):
            if offset + stored > end or codec >= len(_CODECS) or kind not in list(Kind):
                raise ObjectDamaged(f"the table of {key} in the bank contradicts itself")
            entries.append(Entry(name, ordinal, offset, stored, size, _CODECS[codec], Kind(kind)))
        table = cls(entries)
        if len(table) != len(entries):
            raise ObjectDamaged(f"the table of {key} in the bank names an ordinal twice")
        return table

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, ordinal: int) -> Entry | None:
        return self._entries.get(ordinal)

    def entries(self) -> Sequence[Entry]:
        """Return them in the order of their bodies."""
        return sorted(self._entries.values(), key=lambda entry: entry.offset)
