"""Garbage collection: removes what no checkpoint needs, while backups are written.

A pack is removed in three acts, by collections that may be days apart:

1. It is **condemned** when a mark finds all of it, or most of it, unneeded. Writers that begin from
   then on do not rely upon it.
2. The condemnation is **clear** when a day has passed (object stores list late) and no lease
   stands of a writer that may have begun without knowing of it; and is so still an hour later.
3. Then it is **carried out** by the next mark: a pack that is still unneeded is removed, one that
   is mostly unneeded is written anew without what is not needed, any other one stays. The
   condemnation itself is removed another day later, so that late lists bring no removed pack back.

A lease that was not renewed for a day is declared dead first: its writer finds that before it calls
anything kept (see `lease`). Collections need not know of each other.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from karbor.domain.errors import ObjectDamaged, ObjectMissing
from karbor.plugin.bank import Section
from karbor.plugin.vault_location import VaultLocation
from karbor.vault.blocks import CHUNK_BYTES
from karbor.vault.lease import (
    DEAD_SECONDS,
    Condemnation,
    LeaseRecord,
    condemnations,
    declare_dead,
    leases,
    note_damaged,
)
from karbor.vault.marking import Marked, mark
from karbor.vault.pack import FORMAT, pack_key, pack_of_key, written_at
from karbor.vault.packs import PackReader
from karbor.vault.project_vault import ProjectVault, open_vault
from karbor.vault.repack import repack

LOG = logging.getLogger(__name__)

GRACE_SECONDS = 24 * 3600.0
CLEAR_SECONDS = 3600.0
FORGOTTEN_SECONDS = 30 * 24 * 3600.0
"""So long a lease that was declared dead is remembered."""

COLLECTED = "collected.json"
"""Says when the last collection began: workers share the work by it."""

MOSTLY_DEAD = 0.5
"""A pack of which so much is not needed is worth writing anew."""

PACKS_OF_CONDEMNATION = 10_000


@dataclass(frozen=True)
class CollectionReport:
    """What a collection found and did, or would do (`dry_run`). `packs` and `stored_bytes` are what
    the vault had before it; `needed_packs` are those of which something is needed. `condemned_*`:
    condemned by this collection; `waiting_packs`: condemned, and not yet clear; `removed_packs`,
    `rewritten_packs` and `freed_bytes`: of condemnations that were carried out; `writers`: leases
    that stood; `dead_writers`: leases that were declared dead."""

    dry_run: bool
    disks: int = 0
    packs: int = 0
    stored_bytes: int = 0
    needed_packs: int = 0
    condemned_packs: int = 0
    condemned_bytes: int = 0
    waiting_packs: int = 0
    removed_packs: int = 0
    rewritten_packs: int = 0
    freed_bytes: int = 0
    writers: int = 0
    dead_writers: int = 0

    def facts(self) -> dict[str, Any]:
        return asdict(self)


def collect(location: VaultLocation, *, dry_run: bool = False,
            clock: Callable[[], float] = time.time) -> CollectionReport:
    """Collect the garbage of one project's vault. With `dry_run` nothing is written.

    Raises VaultSealed, BankError, and ObjectDamaged when a disk's map cannot be read: nothing is
    condemned or removed then.
    """
    vault = open_vault(location)
    if vault is None:
        return CollectionReport(dry_run)
    return _Collection(location.project, vault, dry_run=dry_run, clock=clock).run()


def last_collected(section: Section) -> float | None:
    """Return when the last collection of a vault began, in seconds since the epoch; None when there
    was none, or when that cannot be told."""
    try:
        return float(json.loads(b"".join(section.get(COLLECTED)))["began_at"])
    except (ObjectMissing, ObjectDamaged, ValueError, KeyError, TypeError):
        return None


class _Collection:
    def __init__(self, project: Section, vault: ProjectVault, *, dry_run: bool,
                 clock: Callable[[], float]) -> None:
        self._project = project
        self._vault = vault
        self._section = vault.section
        self._packs = PackReader(vault.section, vault.keys)
        self._dry_run = dry_run
        self._clock = clock
        self._report = CollectionReport(dry_run)

    def run(self) -> CollectionReport:
        if not self._dry_run:
            self._section.put(COLLECTED, [json.dumps({
                "kind": "karbor-vault-collection", "format": FORMAT,
                "began_at": self._clock()}).encode()])
        # The order matters: who ended a lease before it was listed is found by the mark.
        writers = self._writers()
        condemned = condemnations(self._section)
        listed = self._listed()
        marked = mark(self._project, self._vault, self._packs)
        self._count(disks=marked.disks, packs=len(listed), stored_bytes=sum(listed.values()),
                    needed_packs=len(marked.packs.keys() & listed.keys()), writers=len(writers))
        for condemnation in condemned:
            self._go_on_with(condemnation, writers, listed, marked)
        named = {pack for condemnation in condemned for pack in condemnation.packs}
        self._condemn({pack: size for pack, size in listed.items() if pack not in named}, marked)
        self._tidy(listed)
        return self._report

    # ------------------------------------------------------------------ what there is
    def _writers(self) -> list[LeaseRecord]:
        now, standing = self._clock(), []
        for lease in leases(self._section):
            if now - lease.renewed_at < DEAD_SECONDS:
                standing.append(lease)
                continue
            self._count(dead_writers=1)
            if not self._dry_run:
                LOG.warning("the writer %s of a vault has not renewed its lease %s for %d hours: "
                            "it is declared dead", lease.writer, lease.id,
                            (now - lease.renewed_at) / 3600)
                declare_dead(self._section, lease, now)
        return standing

    def _listed(self) -> dict[bytes, int]:
        return {pack: stored.size for stored in self._section.all("packs/")
                if (pack := pack_of_key(stored.key)) is not None}

    # ------------------------------------------------------------------ what was condemned
    def _go_on_with(self, condemnation: Condemnation, writers: Sequence[LeaseRecord],
                    listed: Mapping[bytes, int], marked: Marked) -> None:
        now = self._clock()
        if condemnation.swept_at is not None:
            if now - condemnation.swept_at >= GRACE_SECONDS and not self._dry_run:
                self._section.delete([condemnation.key])
            return
        in_the_way = any(condemnation.id not in lease.ignores for lease in writers)
        if in_the_way or now - condemnation.condemned_at < GRACE_SECONDS:
            self._change(condemnation, clear_since=None)
        elif condemnation.clear_since is None:
            self._change(condemnation, clear_since=now)
        elif now - condemnation.clear_since >= CLEAR_SECONDS:
            self._carry_out(condemnation, listed, marked)
            return
        self._count(waiting_packs=len(listed.keys() & set(condemnation.packs)))

    def _change(self, condemnation: Condemnation, *, clear_since: float | None) -> None:
        if condemnation.clear_since != clear_since and not self._dry_run:
            changed = replace(condemnation, clear_since=clear_since)
            self._section.put(changed.key, [changed.body()])

    def _carry_out(self, condemnation: Condemnation, listed: Mapping[bytes, int], marked: Marked
                   ) -> None:
        for pack in condemnation.packs:
            if pack not in listed:
                continue
            if not marked.count(pack):
                self._count(removed_packs=1, freed_bytes=listed[pack])
                if not self._dry_run:
                    self._section.delete([pack_key(pack)])
            elif self._mostly_dead(pack, listed[pack], marked):
                self._rewrite(pack, listed[pack], marked)
        if not self._dry_run:
            swept = replace(condemnation, swept_at=self._clock())
            self._section.put(swept.key, [swept.body()])

    def _rewrite(self, pack: bytes, size: int, marked: Marked) -> None:
        def needed(ordinal: int) -> bool:
            return marked.needs(pack, ordinal)

        try:
            left = repack(self._section, pack, needed, write=not self._dry_run)
        except (ObjectDamaged, ObjectMissing) as error:
            LOG.warning("a pack of a vault cannot be written anew: %s", error)
            if not self._dry_run:
                note_damaged(self._section, pack, error.message, self._clock())
            return
        self._count(rewritten_packs=1, freed_bytes=size - left)

    # ------------------------------------------------------------------ what is condemned now
    def _condemn(self, listed: Mapping[bytes, int], marked: Marked) -> None:
        now = self._clock()
        # What was just written is not named by any manifest yet: that is no garbage.
        dead = [pack for pack, size in sorted(listed.items())
                if now - written_at(pack) >= GRACE_SECONDS and (
                    not marked.count(pack) or self._mostly_dead(pack, size, marked))]
        for start in range(0, len(dead), PACKS_OF_CONDEMNATION):
            part = dead[start:start + PACKS_OF_CONDEMNATION]
            self._count(condemned_packs=len(part),
                        condemned_bytes=sum(listed[pack] for pack in part))
            if not self._dry_run:
                condemnation = Condemnation(uuid.uuid4().hex, tuple(part), now)
                self._section.put(condemnation.key, [condemnation.body()])

    def _mostly_dead(self, pack: bytes, size: int, marked: Marked) -> bool:
        """Return whether it is worth writing a pack anew. Its table is read only where the number
        of chunks that are needed leaves that open."""
        if marked.count(pack) * CHUNK_BYTES / 2 >= size:
            return False
        try:
            entries = self._packs.table(pack, size).entries()
        except (ObjectDamaged, ObjectMissing) as error:
            LOG.warning("a pack of a vault cannot be read: %s", error)
            return False
        needed = sum(entry.stored for entry in entries if marked.needs(pack, entry.ordinal))
        return needed <= (1 - MOSTLY_DEAD) * sum(entry.stored for entry in entries)

    # ------------------------------------------------------------------ old notes
    def _tidy(self, listed: Mapping[bytes, int]) -> None:
        """Forget damaged packs that are gone, and leases that died long ago."""
        if self._dry_run:
            return
        gone = [stored.key for stored in self._section.all("damaged/")
                if bytes.fromhex(stored.key.removeprefix("damaged/").removesuffix(".json"))
                not in listed]
        for stored in self._section.all("dead/"):
            try:
                declared_at = float(json.loads(b"".join(self._section.get(stored.key)))
                                    ["declared_at"])
            except ObjectMissing:
                continue
            if self._clock() - declared_at >= FORGOTTEN_SECONDS:
                gone.append(stored.key)
        if gone:
            self._section.delete(gone)

    def _count(self, **more: int) -> None:
        self._report = replace(self._report, **{
            name: getattr(self._report, name) + value for name, value in more.items()})
