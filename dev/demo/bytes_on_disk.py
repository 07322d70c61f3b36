"""Known bytes on disks, and checksums taken without Karbor."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

BLOCK = 1 << 20


def scribble(path: Path, seed: str, pieces: int = 6) -> None:
    """Write noise in some places of a disk, the very beginning and end included, as its guest
    would."""
    size = path.stat().st_size
    chance = random.Random(seed)
    places = [0, *(chance.randrange(size - BLOCK) for _ in range(pieces)), size - 4096]
    with path.open("r+b") as disk:
        for place in places:
            disk.seek(place)
            disk.write(chance.randbytes(min(chance.randrange(1, BLOCK), size - place)))


def checksum(path: Path) -> str:
    """BLAKE2b over the size and every block that is not all zeros, each with its place: the same
    for two disks exactly if a guest reads the same bytes from both, holes or not."""
    digest = hashlib.blake2b(digest_size=16)
    size = path.stat().st_size
    digest.update(size.to_bytes(8, "big"))
    with path.open("rb") as disk:
        place = 0
        while place < size:
            try:
                place = os.lseek(disk.fileno(), place, os.SEEK_DATA) // BLOCK * BLOCK
            except OSError:
                break           # only a hole is left
            block = os.pread(disk.fileno(), BLOCK, place)
            if block.strip(b"\0"):
                digest.update(place.to_bytes(8, "big") + block)
            place += BLOCK
    return digest.hexdigest()
