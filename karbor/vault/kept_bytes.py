"""Bytes that a checkpoint has kept, in whichever format."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from typing import Any

from karbor.plugin.bank import Section
from karbor.plugin.vault_location import VaultLocation
from karbor.vault.disks import DiskVault, KeptDisk
from karbor.vault.pack import FORMAT
from karbor.vault.stream.manifest import StreamManifest
from karbor.vault.stream.reader import StreamReader


class KeptStream:
    """A stream of format 1, read as a disk is."""

    def __init__(self, section: Section, manifest: StreamManifest) -> None:
        self._reader = StreamReader(section)
        self._manifest = manifest

    @property
    def size(self) -> int:
        return self._manifest.size

    @property
    def checksums(self) -> Mapping[str, str]:
        return self._manifest.checksums

    def read(self, offset: int = 0, length: int | None = None) -> Generator[bytes, None, None]:
        """Yield the bytes from `offset` on, `length` of them or all. Raises ObjectMissing,
        ObjectDamaged."""
        left = self.size - offset if length is None else length
        with closing(self._reader.read(self._manifest, offset)) as blocks:
            while left > 0 and (block := next(blocks, b"")):
                yield block[:left]
                left -= len(block)

    def check(self, offset: int = 0, *, progress: Callable[[int], None] | None = None,
              stop: Callable[[], bool] | None = None) -> int:
        """Read back every byte; see KeptDisk.check. Raises ObjectMissing, ObjectDamaged."""
        return self._reader.check(self._manifest, offset // self._manifest.cut * self._manifest.cut,
                                  progress=progress, stop=stop)


def open_kept(location: VaultLocation, section: Section, facts: Mapping[str, Any]
              ) -> KeptDisk | KeptStream:
    """Return what a protect has kept, by the facts that it saved.

    Raises ObjectMissing, ObjectDamaged, NewerFormat, VaultSealed."""
    name = str(facts["name"])
    if facts.get("format") == FORMAT:
        return DiskVault(location, section).open(name, facts)
    return KeptStream(section, StreamReader(section).open(name, facts))
