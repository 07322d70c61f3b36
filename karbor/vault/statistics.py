"""What the disks of a project's checkpoints take in its vault: each by itself, and together."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from karbor.plugin.vault_location import VaultLocation
from karbor.vault.disk_manifest import DiskManifest
from karbor.vault.marking import Marked, disks_of_checkpoints, mark_disk
from karbor.vault.pack import ENTRY_BYTES, pack_of_key
from karbor.vault.packs import PackReader
from karbor.vault.project_vault import open_vault


@dataclass(frozen=True)
class CheckpointStatistics:
    """`size_bytes` is that of its disks, `data_bytes` what of it is not zeros. Of what the bank
    holds for them, `own_bytes` are needed by this checkpoint alone, so that its deletion would free
    them, and `shared_bytes` by others too."""

    checkpoint_id: str
    disks: int = 0
    size_bytes: int = 0
    data_bytes: int = 0
    own_bytes: int = 0
    shared_bytes: int = 0


@dataclass(frozen=True)
class VaultStatistics:
    """`stored_bytes` is what all packs have, `unneeded_bytes` what of it no checkpoint needs."""

    packs: int = 0
    stored_bytes: int = 0
    unneeded_bytes: int = 0
    checkpoints: Sequence[CheckpointStatistics] = field(default=())

    def facts(self) -> dict[str, Any]:
        return asdict(self)


def statistics(location: VaultLocation) -> VaultStatistics:
    """Return the statistics of one project's vault, the oldest checkpoint first.

    Reads the maps of all disks, twice, and the tables of all packs, once. Disks that are being
    written are left out, and count as unneeded. Raises VaultSealed, BankError, and ObjectDamaged
    when a map or a table cannot be read.
    """
    vault = open_vault(location)
    if vault is None:
        return VaultStatistics()
    packs = PackReader(vault.section, vault.keys)
    listed = {pack: stored.size for stored in vault.section.all("packs/")
              if (pack := pack_of_key(stored.key)) is not None}
    needed, shared = Marked(), Marked()
    for _, disks in disks_of_checkpoints(location.project, vault):
        for pack, ordinals in _marked(disks, packs).packs.items():
            before = needed.packs.get(pack, 0)
            shared.packs[pack] = shared.packs.get(pack, 0) | (before & ordinals)
            needed.packs[pack] = before | ordinals
    sizes = _Sizes(packs, listed)
    found = []
    for checkpoint_id, disks in disks_of_checkpoints(location.project, vault):
        marked = _marked(disks, packs)
        own = sum(sizes.of(pack, ordinals & ~shared.packs.get(pack, 0))
                  for pack, ordinals in marked.packs.items())
        everything = sum(sizes.of(pack, ordinals) for pack, ordinals in marked.packs.items())
        found.append(CheckpointStatistics(
            checkpoint_id, len(disks), sum(disk.size for disk in disks),
            sum(disk.data_bytes for disk in disks), own, everything - own))
    kept = sum(sizes.of(pack, ordinals) for pack, ordinals in needed.packs.items())
    stored = sum(listed.values())
    return VaultStatistics(len(listed), stored, max(0, stored - kept), found)


def _marked(disks: Sequence[DiskManifest], packs: PackReader) -> Marked:
    marked = Marked()
    for disk in disks:
        mark_disk(disk.pages, packs, marked)
    return marked


class _Sizes:
    """How many bytes chunks take in their packs, those of the table included: four bytes of memory
    for each chunk."""

    def __init__(self, packs: PackReader, listed: dict[bytes, int]) -> None:
        self._packs = packs
        self._listed = listed
        self._known: dict[bytes, array[int]] = {}

    def of(self, pack: bytes, ordinals: int) -> int:
        if pack not in self._known:
            entries = self._packs.table(pack, self._listed.get(pack)).entries()
            sizes = array("I", [0]) * (1 + max((entry.ordinal for entry in entries), default=0))
            for entry in entries:
                sizes[entry.ordinal] = entry.stored + ENTRY_BYTES
            self._known[pack] = sizes
        sizes = self._known[pack]
        return sum(size for ordinal, size in enumerate(sizes) if ordinals >> ordinal & 1)
