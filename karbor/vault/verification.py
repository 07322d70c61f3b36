"""Verifies a whole vault, or a sample of it: every chunk of every pack, whatever needs it."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from karbor.domain.errors import NewerFormat, ObjectDamaged, ObjectMissing
from karbor.plugin.vault_location import VaultLocation
from karbor.vault.lease import damaged, note_damaged
from karbor.vault.marking import disks_needing
from karbor.vault.pack import pack_key, pack_of_key
from karbor.vault.packs import PackReader
from karbor.vault.project_vault import ProjectVault, open_vault

CHUNKS_AT_ONCE = 64


@dataclass(frozen=True)
class DamagedPack:
    """A pack that is missing, or of which something is not as it was written. `needed_by` are the
    keys of the disks' manifests, below the project, that cannot be read whole for it."""

    key: str
    why: str
    needed_by: Sequence[str] = ()


@dataclass(frozen=True)
class VaultVerification:
    """What was read back: `packs` of `of_packs`, and so many `bytes`."""

    of_packs: int = 0
    packs: int = 0
    bytes: int = 0
    damaged: Sequence[DamagedPack] = field(default=())

    def facts(self) -> dict[str, Any]:
        return asdict(self)


def verify_vault(location: VaultLocation, *, sample: float = 1.0,
                 chance: random.Random | None = None,
                 clock: Callable[[], float] = time.time) -> VaultVerification:
    """Read back the packs of one project's vault, all of them or a random `sample` (0 to 1, at
    least one pack), and prove each chunk by its name.

    What is damaged is noted in the vault, so that the next protect stores it anew. Raises
    VaultSealed, BankError.
    """
    vault = open_vault(location)
    if vault is None:
        return VaultVerification()
    listed = {pack: stored.size for stored in vault.section.all("packs/")
              if (pack := pack_of_key(stored.key)) is not None}
    chosen = sorted(listed)
    if sample < 1.0:
        chosen = (chance or random.SystemRandom()).sample(
            chosen, min(len(chosen), math.ceil(len(chosen) * sample)))
    packs = PackReader(vault.section, vault.keys)
    wrong = {pack: why for pack in chosen if (why := _fault(packs, pack, listed[pack]))}
    _note(vault, wrong, clock())
    needed_by = disks_needing(location.project, vault, packs, wrong.keys()) if wrong else {}
    return VaultVerification(
        len(listed), len(chosen), sum(listed[pack] for pack in chosen),
        [DamagedPack(pack_key(pack), why, needed_by.get(pack, ())) for pack, why in wrong.items()])


def _fault(packs: PackReader, pack: bytes, size: int) -> str:
    """Return what is wrong with a pack; empty when every chunk is as it was written."""
    try:
        entries = packs.table(pack, size).entries()
        for start in range(0, len(entries), CHUNKS_AT_ONCE):
            packs.chunks(pack, {entry.ordinal: entry.name
                                for entry in entries[start:start + CHUNKS_AT_ONCE]})
    except (ObjectDamaged, ObjectMissing, NewerFormat) as error:
        return error.message
    return ""


def _note(vault: ProjectVault, wrong: Mapping[bytes, str], now: float) -> None:
    known = damaged(vault.section)
    for pack, why in wrong.items():
        if pack not in known:
            note_damaged(vault.section, pack, why, now)
