"""Writes a pack anew under its name, without the chunks that nothing needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from karbor.plugin.bank import Section
from karbor.vault.pack import (
    TRAILER_BYTES,
    Entry,
    PackTable,
    pack_key,
    table_and_trailer,
    table_bounds,
)


def repack(section: Section, pack: bytes, needed: Callable[[int], bool], *, write: bool = True
           ) -> int:
    """Write a pack anew with only those chunks whose ordinals are `needed`; return its new size in
    bytes (without `write`: what it would be).

    Ordinals stay, bodies are copied as they are: no key is used. All of the old pack is read first,
    so that the bank proves its checksum. Holds the whole pack. Raises ObjectMissing, ObjectDamaged.
    """
    key = pack_key(pack)
    body = memoryview(b"".join(section.get(key)))
    offset, length, checksum = table_bounds(bytes(body[-TRAILER_BYTES:]), len(body), key)
    table = PackTable.parse(bytes(body[offset:offset + length]), checksum, offset, key)
    entries: list[Entry] = []
    bodies: list[bytes | memoryview] = []
    size = 0
    for entry in table.entries():
        if needed(entry.ordinal):
            entries.append(replace(entry, offset=size))
            bodies.append(body[entry.offset:entry.offset + entry.stored])
            size += entry.stored
    end = table_and_trailer(entries, size)
    if write:
        section.put(key, [bytes(part) for part in bodies] + [end])
    return size + len(end)
