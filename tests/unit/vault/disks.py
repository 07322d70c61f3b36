"""Disks, sources and vaults for the tests of this directory."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from karbor_testing.bank import FaultyBank, MemoryBank

from karbor.domain.errors import CloudUnavailable
from karbor.plugin.bank import Section
from karbor.plugin.vault_location import NO_KEYS, VaultKeySource, VaultLocation
from karbor.vault import DiskVault, KeptDisk, Paused
from karbor.vault.blocks import CHUNK_BYTES

PROJECT = "projects/p"


def disk(chunks: str, tail: int = 0) -> bytes:
    """A chunk per character: 0 zeros, t text, anything else noise of its own."""
    made = {"0": bytes(CHUNK_BYTES), "t": (b"all work and no play " * CHUNK_BYTES)[:CHUNK_BYTES]}
    body = b"".join(made.get(one) or random.Random(one).randbytes(CHUNK_BYTES) for one in chunks)
    return body + random.Random("tail").randbytes(tail)


def noise(seed: str, chunks: int) -> bytes:
    return random.Random(seed).randbytes(chunks * CHUNK_BYTES)


class Source:
    """Bytes that can be opened at an offset; notes where, and breaks where told."""

    def __init__(self, body: bytes, *, breaks_at: int | None = None, piece: int = 333_333) -> None:
        self.body, self.breaks_at, self.piece = body, breaks_at, piece
        self.opened: list[int] = []
        self.closed = 0

    def __call__(self, offset: int) -> Iterator[bytes]:
        self.opened.append(offset)
        return self._pieces(offset)

    def _pieces(self, offset: int) -> Iterator[bytes]:
        try:
            end = len(self.body) if self.breaks_at is None else self.breaks_at
            for at in range(offset, end, self.piece):
                yield self.body[at:min(at + self.piece, end)]
            if self.breaks_at is not None:
                raise CloudUnavailable("the line is dead")
        finally:
            self.closed += 1


class Clock:
    """Time that stands still until it is moved; real enough that pack ids are never old."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def location(bank: MemoryBank | FaultyBank, *, keys: VaultKeySource = NO_KEYS,
             index: Path | None = None) -> VaultLocation:
    return VaultLocation(Section(bank, PROJECT), keys, index)


def section_of(bank: MemoryBank | FaultyBank, checkpoint: str = "c1", resource: str = "image-1"
               ) -> Section:
    return Section(bank, f"{PROJECT}/resources/{checkpoint}/{resource}")


def vault(bank: MemoryBank | FaultyBank, checkpoint: str = "c1", *,
          keys: VaultKeySource = NO_KEYS, index: Path | None = None, **options: Any) -> DiskVault:
    return DiskVault(location(bank, keys=keys, index=index), section_of(bank, checkpoint),
                     **options)


def keep(bank: MemoryBank | FaultyBank, body: bytes, checkpoint: str = "c1", name: str = "bytes",
         **options: Any) -> KeptDisk:
    return kept(vault(bank, checkpoint, **options).store(name, Source(body), size=len(body)))


def kept(result: KeptDisk | Paused) -> KeptDisk:
    assert isinstance(result, KeptDisk)
    return result


def read(bank: MemoryBank | FaultyBank, checkpoint: str = "c1", name: str = "bytes",
         **options: Any) -> bytes:
    return b"".join(vault(bank, checkpoint, **options).open(name).read())


def packs(bank: MemoryBank | FaultyBank) -> list[str]:
    return [stored.key for stored in bank.list(f"{PROJECT}/vault/packs/", limit=100_000)]


def stored_bytes(bank: MemoryBank | FaultyBank) -> int:
    return sum(stored.size for stored in bank.list(f"{PROJECT}/vault/packs/", limit=100_000))


def keys_below(bank: MemoryBank, prefix: str) -> list[str]:
    return [stored.key for stored in bank.list(f"{PROJECT}/{prefix}", limit=100_000)]


def delete_checkpoint(bank: MemoryBank | FaultyBank, checkpoint: str) -> None:
    section = Section(bank, f"{PROJECT}/resources/{checkpoint}")
    section.delete([stored.key for stored in section.all()])


def stop_after(blocks: int) -> Callable[[], bool]:
    """Say stop when asked for the `blocks` + 1st time."""
    asked = iter([False] * blocks)
    return lambda: next(asked, True)


def changed(body: bytes, places: Sequence[int], seed: str) -> bytes:
    """The same disk with other noise in these chunks."""
    raw = bytearray(body)
    for place in places:
        raw[place * CHUNK_BYTES:(place + 1) * CHUNK_BYTES] = noise(f"{seed}{place}", 1)
    return bytes(raw)
