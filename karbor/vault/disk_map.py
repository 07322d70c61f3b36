"""Maps: which chunk stands where on a disk, in pages that checkpoints share.

A page speaks of 1024 consecutive chunks (64 MiB of a disk). It is stored like a chunk and named by
what it says: a part of a disk that has not changed has the same page in the next checkpoint.

A page's bytes, all numbers big-endian: two 16-bit numbers, how many places it has (the last page of
a disk may have fewer) and how many packs it names; those packs' ids of 16 bytes; then three
columns: for each place the number of its pack as 16 bits (65535: a chunk of zeros), for each chunk
that is not zeros its ordinal as 32 bits, and for each of them its name of 32 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from karbor.domain.errors import ObjectDamaged
from karbor.vault.blocks import CHUNK_BYTES
from karbor.vault.keys import NAME_BYTES, VaultKeys
from karbor.vault.pack import PACK_ID_BYTES, Address

PLACES_OF_PAGE = 1024
PAGE_SPAN_BYTES = PLACES_OF_PAGE * CHUNK_BYTES
ZERO_NAME = bytes(NAME_BYTES)
"""What stands for a chunk of zeros where a root is made."""

_HEAD = struct.Struct(">HH")
_ZERO = 0xFFFF


@dataclass(frozen=True, slots=True)
class Place:
    """What stands at one place of a disk: a chunk's address and its name."""

    address: Address
    name: bytes


Places = Sequence[Place | None]
"""Of one page; None is a chunk of zeros."""


def encode_page(places: Places) -> bytes:
    """Return the bytes of a page with at least one chunk that is not zeros."""
    packs: dict[bytes, int] = {}
    numbers, ordinals, names = [], [], []
    for place in places:
        if place is None:
            numbers.append(_ZERO)
            continue
        numbers.append(packs.setdefault(place.address.pack, len(packs)))
        ordinals.append(place.address.ordinal)
        names.append(place.name)
    return b"".join((_HEAD.pack(len(places), len(packs)), *packs,
                     struct.pack(f">{len(numbers)}H", *numbers),
                     struct.pack(f">{len(ordinals)}I", *ordinals), *names))


def decode_page(body: bytes, expected: int | None = None) -> list[Place | None]:
    """Return what a page of `expected` places says (None: of any number). Raises ObjectDamaged."""
    try:
        count, packs_count = _HEAD.unpack_from(body)
        at = _HEAD.size
        packs = [body[at + i * PACK_ID_BYTES:at + (i + 1) * PACK_ID_BYTES]
                 for i in range(packs_count)]
        at += packs_count * PACK_ID_BYTES
        numbers = struct.unpack_from(f">{count}H", body, at)
        at += 2 * count
        chunks = sum(1 for number in numbers if number != _ZERO)
        ordinals = struct.unpack_from(f">{chunks}I", body, at)
        at += 4 * chunks
        if expected not in (None, count) or len(body) != at + chunks * NAME_BYTES:
            raise ObjectDamaged("a page of a disk's map has another size than it says")
        places: list[Place | None] = []
        chunk = 0
        for number in numbers:
            if number == _ZERO:
                places.append(None)
                continue
            name = body[at + chunk * NAME_BYTES:at + (chunk + 1) * NAME_BYTES]
            places.append(Place(Address(packs[number], ordinals[chunk]), name))
            chunk += 1
    except (struct.error, IndexError) as error:
        raise ObjectDamaged("a page of a disk's map is not what Karbor writes") from error
    return places


def places_of(page: int, size: int) -> int:
    """Return how many places the page with this number has on a disk of `size` bytes."""
    chunks = -(-size // CHUNK_BYTES)
    return min(PLACES_OF_PAGE, chunks - page * PLACES_OF_PAGE)


def pages_of(size: int) -> int:
    """Return how many pages the map of a disk of `size` bytes has."""
    return -(-size // PAGE_SPAN_BYTES)


def root_of_page(places: Places, keys: VaultKeys) -> bytes:
    """Return what stands for the contents of a page, wherever its chunks lie."""
    if not any(places):
        return ZERO_NAME
    return keys.name(b"".join(place.name if place else ZERO_NAME for place in places))


def root_of_disk(page_roots: Sequence[bytes], size: int, keys: VaultKeys) -> str:
    """Return what stands for the contents of a disk: within one vault, two disks are equal if and
    only if they have the same."""
    return keys.name(size.to_bytes(8, "big") + b"".join(page_roots)).hex()
