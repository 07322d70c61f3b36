"""One run of DiskVault.store: from a source into chunks, pages and, at the end, a manifest."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass

from karbor.domain.errors import (
    CloudUnavailable,
    ObjectDamaged,
    ObjectExists,
    ObjectMissing,
    RemoteFailed,
)
from karbor.plugin.bank import Section
from karbor.vault.blocks import BLOCK_BYTES, CHUNK_BYTES, cut, is_zero
from karbor.vault.checksums import StreamChecksums
from karbor.vault.codec import Codec, encode
from karbor.vault.disk_manifest import Begun, DiskManifest, PageReference, begun_key, manifest_key
from karbor.vault.disk_map import (
    PAGE_SPAN_BYTES,
    PLACES_OF_PAGE,
    ZERO_NAME,
    Place,
    encode_page,
    root_of_disk,
    root_of_page,
)
from karbor.vault.disk_reader import DiskReader, blocks_of
from karbor.vault.index import ChunkIndex
from karbor.vault.lease import Lease
from karbor.vault.ordered import in_order
from karbor.vault.pack import Address, Kind
from karbor.vault.pack_writer import PackWriter
from karbor.vault.packs import PackReader
from karbor.vault.project_vault import ProjectVault

Source = Callable[[int], Iterable[bytes]]
"""Opens a stream: called with an offset, it gives the bytes from there to the end, in pieces of any
size. What cannot seek reads and drops that many. Each piece must stay as it is after it was handed
out (no buffer that is filled again). What has a `close` is closed when no more is wanted of it."""

PAGES_BETWEEN_NOTES = 16
"""So often an attempt writes down how far it has come: 1 GiB is read from the source again after a
crash at most, and none of it is sent again."""


@dataclass(frozen=True)
class Paused:
    """Not finished, because `stop` said so; what came so far is safe. `offset` in bytes."""

    offset: int


@dataclass(frozen=True)
class Request:
    """What DiskVault.store was asked for; see there."""

    name: str
    size: int | None
    expected: Mapping[str, str]
    algorithms: frozenset[str]
    progress: Callable[[int], None] | None
    stop: Callable[[], bool] | None
    workers: int
    copy_of: str = ""


@dataclass(frozen=True, slots=True)
class _NewChunk:
    """A chunk that the vault did not have when it was looked for."""

    name: bytes
    size: int
    codec: Codec
    body: bytes


class DiskWriter:
    """Holds how far one run has come. Used once, from one thread, under a lease."""

    def __init__(self, vault: ProjectVault, section: Section, request: Request, *,
                 packs: PackReader, index: ChunkIndex, lease: Lease) -> None:
        self._vault = vault
        self._keys = vault.keys
        self._section = section
        self._packs = packs
        self._index = index
        self._lease = lease
        self._request = request
        self._error: Exception | None = None    # how the source ended, if not well
        self._stopped = False
        self._checksums = StreamChecksums(request.algorithms)
        self._pages: list[PageReference | None] = []
        self._filling: list[Place | None] = []
        self._reached = 0                       # bytes whose chunks have addresses
        self._data_bytes = 0

    def run(self, source: Source) -> DiskManifest | Paused:
        """Raises as DiskVault.store."""
        self._adopt()
        if self._stopped:
            return Paused(self._reached)
        with PackWriter(self._vault.section, self._keys, self._index, self._lease) as packs:
            if self._reached != self._request.size:
                self._follow(source, packs)
            if self._stopped or self._error is not None:
                self._note(packs)
                if self._error is not None:
                    raise self._error
                return Paused(len(self._pages) * PAGE_SPAN_BYTES)
            self._prove(packs)
            if self._filling:
                self._turn_page(packs)
            packs.flush()
            return self._conclude(packs.added_bytes)

    # ------------------------------------------------------------------ an earlier run's pages
    def _adopt(self) -> None:
        """Take over what an earlier run has written down, as far as it can be relied upon. Its
        bytes are read back where checksums of the whole are wanted."""
        begun = self._begun()
        if begun is None:
            return
        reader = DiskReader(self._packs, self._keys, begun.pages,
                            len(begun.pages) * PAGE_SPAN_BYTES, self._request.workers)
        good = 0
        try:
            for number, page in enumerate(begun.pages):
                if not self._relied_upon(page, reader, number):
                    break
                good += 1
        except (ObjectDamaged, ObjectMissing):
            pass            # it is read from the source again, from this page on
        end = good * PAGE_SPAN_BYTES
        if self._request.algorithms and not self._read_back(reader, end):
            return
        self._pages = list(begun.pages[:good])
        self._reached = end

    def _begun(self) -> Begun | None:
        key = begun_key(self._request.name)
        try:
            begun = Begun.parse(b"".join(self._section.get(key)), key, self._keys)
        except (ObjectMissing, ObjectDamaged):
            return None
        fits = begun.vault == self._vault.id and begun.size == self._request.size and (
            begun.size is None or len(begun.pages) * PAGE_SPAN_BYTES <= begun.size)
        return begun if fits else None

    def _relied_upon(self, page: PageReference | None, reader: DiskReader, number: int) -> bool:
        if page is None:
            return True
        packs = {page.address.pack}
        places = reader.places(number)
        packs |= {place.address.pack for place in places if place is not None}
        if packs & self._lease.ignored:
            return False
        for pack in packs:
            self._packs.table(pack)         # ObjectMissing when it is gone
        self._data_bytes += sum(CHUNK_BYTES for place in places if place is not None)
        return True

    def _read_back(self, reader: DiskReader, end: int) -> bool:
        """Compute the checksums of what was kept. False when that did not come to its end."""
        try:
            with closing(reader.extents(0, end)) as extents:
                for extent in extents:
                    if self._asked_to_stop():
                        self._reached = end
                        return False
                    for block in blocks_of(extent):
                        self._checksums.update(block)
                    self._lease.renew()
        except (ObjectDamaged, ObjectMissing):
            self._checksums = StreamChecksums(self._request.algorithms)
            self._data_bytes = 0
            return False
        return True

    # ------------------------------------------------------------------ the source
    def _follow(self, source: Source, packs: PackWriter) -> None:
        with (closing(self._blocks(source)) as blocks,
              closing(in_order(self._prepare, blocks, self._request.workers)) as prepared):
            for size, chunks in prepared:
                for chunk in chunks:
                    self._filling.append(self._placed(chunk, packs))
                self._reached += size
                if len(self._filling) == PLACES_OF_PAGE:
                    self._turn_page(packs)
                    if len(self._pages) % PAGES_BETWEEN_NOTES == 0:
                        self._note(packs)
                self._lease.renew()
                if self._request.progress:
                    self._request.progress(self._reached)

    def _blocks(self, source: Source) -> Generator[bytes, None, None]:
        """Yield the source's blocks. Its errors are put aside, so that what came before is written
        down first: an attempt that follows begins after it."""
        announced, came = self._request.size, self._reached
        stream: Iterable[bytes] = ()
        try:
            stream = source(self._reached)
            for block in cut(stream, BLOCK_BYTES):
                if self._asked_to_stop():
                    return
                self._checksums.update(block)
                came += len(block)
                if announced is not None and came > announced:
                    raise RemoteFailed(f"the stream {self._request.name} is longer than the "
                                       f"{announced} bytes that were announced")
                yield block
        except Exception as error:  # noqa: BLE001  raised again by run(), whatever it is
            self._error = error
        finally:
            if callable(close := getattr(stream, "close", None)):
                close()                         # lets go of a connection now, not some day

    def _asked_to_stop(self) -> bool:
        if self._request.stop and self._request.stop():
            self._stopped = True
        return self._stopped

    def _prepare(self, block: bytes) -> tuple[int, list[Place | _NewChunk | None]]:
        """Name a block's chunks, find those that the vault has, and compress the others. Runs in
        several threads."""
        if is_zero(block):
            return len(block), [None] * -(-len(block) // CHUNK_BYTES)
        view = memoryview(block)
        chunks = [view[at:at + CHUNK_BYTES] for at in range(0, len(block), CHUNK_BYTES)]
        names = [None if is_zero(chunk) else self._keys.name(chunk) for chunk in chunks]
        known = self._known([name for name in names if name is not None])
        prepared: list[Place | _NewChunk | None] = []
        for chunk, name in zip(chunks, names, strict=True):
            if name is None:
                prepared.append(None)
            elif (address := known.get(name)) is not None:
                prepared.append(Place(address, name))
            else:
                codec, body = encode(bytes(chunk))
                prepared.append(_NewChunk(name, len(chunk), codec, body))
        return len(block), prepared

    def _known(self, names: list[bytes]) -> dict[bytes, Address]:
        """Return where the vault has chunks that may be relied upon."""
        return {name: address for name, address in self._index.look_up(names).items()
                if address.pack not in self._lease.ignored}

    def _placed(self, chunk: Place | _NewChunk | None, packs: PackWriter) -> Place | None:
        if chunk is None:
            return None
        self._data_bytes += CHUNK_BYTES
        if isinstance(chunk, Place):
            return chunk
        address = packs.address(chunk.name) or packs.add(chunk.name, chunk.size, chunk.codec,
                                                         chunk.body, Kind.DATA)
        return Place(address, chunk.name)

    # ------------------------------------------------------------------ what is written down
    def _turn_page(self, packs: PackWriter) -> None:
        places, self._filling = self._filling, []
        if not any(places):
            self._pages.append(None)
            return
        body = encode_page(places)
        name = self._keys.name(body)
        address = self._known([name]).get(name) or packs.address(name)
        if address is None:
            codec, frame = encode(body)
            address = packs.add(name, len(body), codec, frame, Kind.PAGE)
        self._pages.append(PageReference(address, name, root_of_page(places, self._keys)))

    def _note(self, packs: PackWriter) -> None:
        """Write down how far this run has come: nothing before that is read again."""
        packs.flush()
        full = tuple(self._pages)
        if full:
            begun = Begun(self._request.name, self._vault.id, self._request.size, full)
            self._section.put(begun.key, [begun.body(self._keys)])

    def _prove(self, packs: PackWriter) -> None:
        """Compare before anything is said to be complete. Raises CloudUnavailable."""
        name, size = self._request.name, self._request.size
        if size is not None and self._reached != size:
            self._note(packs)
            raise CloudUnavailable(f"the stream {name} ended after {self._reached} of {size} bytes")
        found = self._checksums.checksums()
        for algorithm, wanted in self._request.expected.items():
            if found[algorithm] != wanted.lower():
                self._section.delete([begun_key(name)])
                raise CloudUnavailable(f"the stream {name} came with the {algorithm} checksum "
                                       f"{found[algorithm]} instead of {wanted}")

    def _conclude(self, added_bytes: int) -> DiskManifest:
        name, size = self._request.name, self._reached
        roots = [page.root if page else ZERO_NAME for page in self._pages]
        manifest = DiskManifest(
            name, self._vault.id, size, tuple(self._pages), root_of_disk(roots, size, self._keys),
            self._checksums.checksums(), min(self._data_bytes, size), added_bytes,
            self._request.copy_of)
        self._lease.ensure_alive()
        try:
            self._section.put(manifest.key, [manifest.body(self._keys)], absent=True)
        except ObjectExists:
            # A process that was thought dead has finished the same disk: the one that came first
            # stays, for it may be named already.
            manifest = self._first(manifest)
        else:
            self._stand_by(manifest)
        self._section.delete([begun_key(name)])
        return manifest

    def _stand_by(self, manifest: DiskManifest) -> None:
        """Withdraw the manifest if the lease was declared dead before it stood: some of what it
        names may have been removed since."""
        try:
            self._lease.ensure_alive()
        except BaseException:
            self._section.delete([manifest.key])
            raise

    def _first(self, manifest: DiskManifest) -> DiskManifest:
        key = manifest_key(manifest.name)
        first = DiskManifest.parse(b"".join(self._section.get(key)), key, self._keys)
        if (first.size, first.root) != (manifest.size, manifest.root):
            raise ObjectDamaged(f"{key} names another disk of that name") from None
        return first
