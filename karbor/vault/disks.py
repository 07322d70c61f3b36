"""DiskVault: disks of one resource, kept in its project's vault, and read back exactly."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing

from karbor.domain.errors import BankError, ObjectDamaged, ObjectMissing
from karbor.plugin.bank import Section, check_key
from karbor.plugin.vault_location import VaultLocation
from karbor.vault.disk_manifest import DiskManifest, manifest_key
from karbor.vault.disk_reader import DiskReader, Extent, blocks_of, check_disk
from karbor.vault.disk_writer import DiskWriter, Paused, Request, Source
from karbor.vault.index import ChunkIndex
from karbor.vault.lease import Lease, note_damaged
from karbor.vault.pack import PackTable, pack_of_key
from karbor.vault.packs import PackReader
from karbor.vault.project_vault import ProjectVault, open_or_create_vault, open_vault

LOG = logging.getLogger(__name__)

WORKERS = 2


class DiskVault:
    """Disks in one section of a checkpoint, each below its own name. Equal chunks are stored once
    in a project, whatever checkpoint has them. A name stands for one disk whose bytes never change:
    what an earlier attempt has kept of it counts.

    A task that keeps an image calls `store` at every entry, the first and all later ones alike; it
    goes on where an earlier one has stopped, failed or died:

        def run(self, work: Work) -> Outcome:
            image = images.get(work.resource.id)
            kept = DiskVault(work.vault, work.bank).store(
                "image", lambda offset: images.download(image.id, offset),
                size=image.size, expected={image.hash_algo: image.hash_value},
                progress=lambda done: work.report(Progress(done, image.size, "B")),
                stop=lambda: work.stopping)
            if isinstance(kept, Paused):
                return Again()
            return Done(kept.facts())               # small JSON: size, root and checksums

    and to restore or verify:

        disk = DiskVault(work.vault, work.bank).open("image", work.kept("image"))
        images.upload(new_id, disk.read())          # an iterator of bytes
        disk.check()                                # every byte, or ObjectDamaged

    Memory: some 100 MiB, however large the disk. Methods may be called from any thread, but `store`
    by one at a time for one name. Every method raises VaultSealed when the vault was sealed with
    another key than its location names, BankError, ObjectDamaged, NewerFormat.
    """

    def __init__(self, location: VaultLocation, section: Section, *, workers: int = WORKERS,
                 clock: Callable[[], float] = time.time) -> None:
        self._location = location
        self._section = section
        self._workers = workers
        self._clock = clock

    # ------------------------------------------------------------------ writing
    def store(self, name: str, source: Source, *, size: int | None = None,
              expected: Mapping[str, str] | None = None, hashes: Iterable[str] = (),
              copy_of: str = "", progress: Callable[[int], None] | None = None,
              stop: Callable[[], bool] | None = None) -> KeptDisk | Paused:
        """Keep the disk completely; then, and only then, write its manifest.

        `size`: bytes it must have; `expected`: checksums it must have (hexadecimal, by hashlib's
        names of algorithms), `hashes`: algorithms to compute besides. `copy_of`: the identity of
        the disk in another vault that is copied. `progress` is told how many bytes have come;
        `stop` is asked between blocks. A disk that is already kept is not asked for again.

        Raises what `source` and the bank raise; CloudUnavailable when the stream ends early or has
        other checksums than `expected` (nothing of it counts then); RemoteFailed when it is longer
        than `size`; LeaseLost, which is transient, when this process was thought dead meanwhile.
        """
        check_key(name)
        vault = open_or_create_vault(self._location)
        packs = PackReader(vault.section, vault.keys)
        kept = self._find(vault, name, packs)
        if kept is not None:
            return kept
        request = Request(name, size, dict(expected or {}), frozenset({*hashes, *(expected or ())}),
                          progress, stop, self._workers, copy_of)
        lease = Lease.begin(vault.section, self._clock)
        try:
            with closing(ChunkIndex(vault.id, self._location.index_directory)) as index:
                _refresh(index, vault, packs, lease)
                done = DiskWriter(vault, self._section, request, packs=packs, index=index,
                                  lease=lease).run(source)
        finally:
            lease.end()
        return done if isinstance(done, Paused) else KeptDisk(done, vault, packs, self._workers,
                                                              self._clock)

    # ------------------------------------------------------------------ reading
    def all(self) -> Iterator[KeptDisk]:
        """Yield the disks of the section that are completely kept."""
        names = [stored.key.removesuffix("/disk.json") for stored in self._section.all()
                 if stored.key.endswith("/disk.json")]
        for name in names:
            yield self.open(name)

    def find(self, name: str) -> KeptDisk | None:
        """Return a disk that is completely kept; None when there is none."""
        vault = open_vault(self._location)
        if vault is None:
            return None
        return self._find(vault, check_key(name), PackReader(vault.section, vault.keys))

    def open(self, name: str, facts: Mapping[str, object] | None = None) -> KeptDisk:
        """Return the disk; `facts` (what KeptDisk.facts gave when it was kept) prove that it is the
        same. Raises ObjectMissing, ObjectDamaged."""
        kept = self.find(name)
        if kept is None:
            raise ObjectMissing(f"the bank has no manifest {manifest_key(name)}")
        wanted = (facts or {}).get("identity")
        if wanted is not None and wanted != kept.identity:
            raise ObjectDamaged(f"{manifest_key(name)} in the bank is not the one that the "
                                "checkpoint names")
        return kept

    def _find(self, vault: ProjectVault, name: str, packs: PackReader) -> KeptDisk | None:
        key = manifest_key(name)
        try:
            body = b"".join(self._section.get(key))
        except ObjectMissing:
            return None
        manifest = DiskManifest.parse(body, key, vault.keys)
        if manifest.vault != vault.id:
            raise ObjectDamaged(f"{key} in the bank belongs to another vault")
        return KeptDisk(manifest, vault, packs, self._workers, self._clock)


class KeptDisk:
    """A disk that is completely kept. `size` in bytes, `checksums` in hexadecimal by the names of
    their algorithms."""

    def __init__(self, manifest: DiskManifest, vault: ProjectVault, packs: PackReader, workers: int,
                 clock: Callable[[], float]) -> None:
        self.manifest = manifest
        self._vault = vault
        self._clock = clock
        self._reader = DiskReader(packs, vault.keys, manifest.pages, manifest.size, workers)
        self._packs = packs

    @property
    def size(self) -> int:
        return self.manifest.size

    @property
    def identity(self) -> str:
        """By what a checkpoint's head knows the disk; a copy in another vault has the same."""
        return self.manifest.identity(self._vault.keys)

    @property
    def checksums(self) -> Mapping[str, str]:
        return self.manifest.checksums

    def facts(self) -> dict[str, object]:
        """Return what is worth keeping in a checkpoint's head: small JSON."""
        return self.manifest.facts(self._vault.keys)

    def read(self, offset: int = 0, length: int | None = None) -> Generator[bytes, None, None]:
        """Yield the bytes from `offset` on, `length` of them or all; each block is verified before
        it is handed out. Raises ObjectMissing or ObjectDamaged, naming the object."""
        with closing(self.extents(offset, length)) as extents:
            for extent in extents:
                yield from blocks_of(extent)

    def extents(self, offset: int = 0, length: int | None = None
                ) -> Generator[Extent, None, None]:
        """Yield the same as `read`, with zeros as stretches that have no bytes."""
        end = self.size if length is None else min(offset + length, self.size)
        return self._reader.extents(offset, end)

    def check(self, offset: int = 0, *, progress: Callable[[int], None] | None = None,
              stop: Callable[[], bool] | None = None) -> int:
        """Read back every byte from `offset` on and compare all checksums, those of the whole disk
        as well if it is read from its beginning to its end.

        Returns how far it came: `size`, or less when `stop` said so; call again from there. Raises
        ObjectMissing or ObjectDamaged, naming the object; the next protect stores anew what a
        damaged pack held.
        """
        try:
            return check_disk(self._reader, self.manifest, self._vault.keys, offset,
                              progress=progress, stop=stop)
        except (ObjectDamaged, ObjectMissing) as error:
            self._note_damaged(error.message)
            raise

    def _note_damaged(self, why: str) -> None:
        try:
            for pack in self._packs.damaged:
                note_damaged(self._vault.section, pack, why, self._clock())
        except BankError as error:      # the damage itself is what is told
            LOG.warning("the bank does not take a note of damaged packs: %s", error)


def _refresh(index: ChunkIndex, vault: ProjectVault, packs: PackReader, lease: Lease) -> None:
    """Make the index agree with the packs that this writer may rely upon."""
    listed: dict[bytes, int] = {}
    for stored in vault.section.all("packs/"):
        pack = pack_of_key(stored.key)
        if pack is not None and stored.checksum and pack not in lease.ignored:
            listed[pack] = stored.size

    def table(pack: bytes, size: int) -> PackTable | None:
        lease.renew()
        try:
            return packs.table(pack, size)
        except (ObjectDamaged, ObjectMissing) as error:
            note_damaged(vault.section, pack, error.message, lease.clock())
            return None

    index.refresh(listed, table)
