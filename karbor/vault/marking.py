"""Marks what a project's checkpoints need of its vault: from all manifests, through all pages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from karbor.domain.errors import ObjectDamaged, ObjectMissing
from karbor.plugin.bank import Section
from karbor.vault.disk_manifest import DiskManifest, Pages, is_manifest, pages_named
from karbor.vault.disk_map import decode_page
from karbor.vault.packs import PackReader
from karbor.vault.project_vault import ProjectVault

PAGES_AT_ONCE = 64


@dataclass
class Marked:
    """The ordinals that are needed of each pack, as the bits of an integer: some 200 bytes for 16
    MiB. `pages` are the names of the map pages that were followed, `disks` how many manifests."""

    packs: dict[bytes, int] = field(default_factory=dict)
    pages: set[bytes] = field(default_factory=set)
    disks: int = 0

    def add(self, pack: bytes, ordinal: int) -> None:
        self.packs[pack] = self.packs.get(pack, 0) | 1 << ordinal

    def count(self, pack: bytes) -> int:
        """Return how many chunks of a pack are needed."""
        return self.packs.get(pack, 0).bit_count()

    def needs(self, pack: bytes, ordinal: int) -> bool:
        return bool(self.packs.get(pack, 0) >> ordinal & 1)


def mark(project: Section, vault: ProjectVault, packs: PackReader,
         alive: Callable[[], None] = lambda: None) -> Marked:
    """Return what the disks of all checkpoints need, those that are being written included.

    Raises ObjectDamaged, ObjectMissing, NewerFormat, with the disk, when one of them cannot be
    followed: what it needs is not known then, and nothing may be removed. `alive` is called now and
    then.
    """
    marked = Marked()
    for key, pages in _manifests(project, vault):
        alive()
        marked.disks += 1
        try:
            mark_disk(pages, packs, marked)
        except (ObjectDamaged, ObjectMissing) as error:
            raise type(error)(
                f"the map of the disk {key} cannot be read, so nobody knows what it needs: "
                f"{error.message}", remedy="repair the bank, or delete that checkpoint") from error
    return marked


def mark_disk(pages: Pages, packs: PackReader, marked: Marked) -> None:
    """Mark what a disk with these pages needs. Raises ObjectMissing, ObjectDamaged."""
    new: dict[bytes, dict[int, bytes]] = defaultdict(dict)
    for page in pages:
        if page is None:
            continue
        marked.add(page.address.pack, page.address.ordinal)
        if page.name not in marked.pages:
            marked.pages.add(page.name)
            new[page.address.pack][page.address.ordinal] = page.name
    _follow(new, packs, marked)


def disks_of_checkpoints(project: Section, vault: ProjectVault
                         ) -> Iterator[tuple[str, list[DiskManifest]]]:
    """Yield each checkpoint's id with its disks that are completely kept, the oldest first. Raises
    ObjectDamaged, NewerFormat."""
    checkpoint = ""
    disks: list[DiskManifest] = []
    for stored in project.all("resources/"):
        if not stored.key.endswith("/disk.json"):
            continue
        identity = stored.key.split("/")[1]
        if identity != checkpoint and disks:
            yield checkpoint, disks
            disks = []
        checkpoint = identity
        try:
            body = b"".join(project.get(stored.key))
        except ObjectMissing:
            continue        # its checkpoint is being removed
        disks.append(DiskManifest.parse(body, "/".join(stored.key.split("/")[-2:]), vault.keys))
    if disks:
        yield checkpoint, disks


def _manifests(project: Section, vault: ProjectVault
               ) -> Iterator[tuple[str, Pages]]:
    for stored in project.all("resources/"):
        if not is_manifest(stored.key):
            continue
        try:
            body = b"".join(project.get(stored.key))
        except ObjectMissing:
            continue        # its checkpoint is being removed, or its attempt has come to its end
        yield stored.key, pages_named(body, stored.key, vault.keys)


def _follow(pages: Mapping[bytes, Mapping[int, bytes]], packs: PackReader, marked: Marked) -> None:
    for pack, wanted in pages.items():
        ordinals = sorted(wanted)
        for start in range(0, len(ordinals), PAGES_AT_ONCE):
            part = {ordinal: wanted[ordinal] for ordinal in ordinals[start:start + PAGES_AT_ONCE]}
            for body in packs.chunks(pack, part).values():
                for place in decode_page(body):
                    if place is not None:
                        marked.add(place.address.pack, place.address.ordinal)


def disks_needing(project: Section, vault: ProjectVault, packs: PackReader,
                  wanted: Collection[bytes]) -> dict[bytes, list[str]]:
    """Return for each of these packs the keys of the manifests whose disks need something of it. A
    disk whose map cannot be read needs what its map was in, at least."""
    needing: dict[bytes, list[str]] = {}
    for key, pages in _manifests(project, vault):
        needed = {page.address.pack for page in pages if page is not None} & set(wanted)
        for page in pages:
            if page is None or page.address.pack in needed:
                continue
            try:
                places = decode_page(packs.chunk(page.address, page.name))
            except (ObjectDamaged, ObjectMissing):
                continue        # that pack is found by itself
            needed |= {place.address.pack for place in places if place} & set(wanted)
        for pack in needed:
            needing.setdefault(pack, []).append(key)
    return needing
