"""Reads disks, or parts of them, out of a vault; every chunk is proved before it is handed out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass

from karbor.domain.errors import ObjectDamaged
from karbor.vault.blocks import BLOCK_BYTES, CHUNK_BYTES, CHUNKS_OF_BLOCK, zeros
from karbor.vault.checksums import StreamChecksums
from karbor.vault.disk_manifest import DiskManifest, Pages
from karbor.vault.disk_map import (
    PAGE_SPAN_BYTES,
    ZERO_NAME,
    Place,
    decode_page,
    places_of,
    root_of_disk,
    root_of_page,
)
from karbor.vault.keys import VaultKeys
from karbor.vault.ordered import in_order
from karbor.vault.packs import PackReader


@dataclass(frozen=True, slots=True)
class Extent:
    """Bytes of a disk at an offset. None stands for `size` zeros, which the vault does not hold."""

    offset: int
    size: int
    body: bytes | None


@dataclass(frozen=True, slots=True)
class _Block:
    """A block of a disk that is not known to be zeros only."""

    offset: int
    size: int
    places: list[Place | None]


class DiskReader:
    """One disk. `workers` blocks are fetched at a time."""

    def __init__(self, packs: PackReader, keys: VaultKeys, pages: Pages, size: int,
                 workers: int) -> None:
        self._packs = packs
        self._keys = keys
        self._pages = pages
        self._size = size
        self._workers = workers

    def places(self, number: int) -> list[Place | None]:
        """Return what the page with this number says. Raises ObjectMissing, ObjectDamaged."""
        page = self._pages[number]
        count = places_of(number, self._size)
        if page is None:
            return [None] * count
        places = decode_page(self._packs.chunk(page.address, page.name), count)
        if root_of_page(places, self._keys) != page.root:
            raise ObjectDamaged("a page of the disk's map is not the one that its manifest names")
        return places

    def extents(self, offset: int, end: int) -> Generator[Extent, None, None]:
        """Yield what stands from `offset` to before `end`: blocks of at most 4 MiB, and zeros in
        stretches of any length, in order and without a gap.

        Raises ObjectMissing or ObjectDamaged, naming the object.
        """
        with closing(in_order(self._fetched, self._blocks(offset, end), self._workers)) as blocks:
            for extents in blocks:
                for extent in extents:
                    cut = _cut(extent, offset, end)
                    if cut is not None:
                        yield cut

    def _blocks(self, offset: int, end: int) -> Iterator[Extent | _Block]:
        at = offset // BLOCK_BYTES * BLOCK_BYTES
        while at < end:
            number = at // PAGE_SPAN_BYTES
            page_end = min((number + 1) * PAGE_SPAN_BYTES, self._size)
            if self._pages[number] is None:
                while page_end < end and self._pages[page_end // PAGE_SPAN_BYTES] is None:
                    page_end = min(page_end + PAGE_SPAN_BYTES, self._size)
                yield Extent(at, page_end - at, None)
                at = page_end
                continue
            places = self.places(number)
            while at < min(page_end, end):
                first = at % PAGE_SPAN_BYTES // CHUNK_BYTES
                size = min(BLOCK_BYTES, page_end - at)
                yield _Block(at, size, places[first:first + CHUNKS_OF_BLOCK])
                at += size

    def _fetched(self, block: Extent | _Block) -> list[Extent]:
        if isinstance(block, Extent):
            return [block]
        wanted: defaultdict[bytes, dict[int, bytes]] = defaultdict(dict)
        for place in block.places:
            if place is not None:
                wanted[place.address.pack][place.address.ordinal] = place.name
        chunks = {pack: self._packs.chunks(pack, names) for pack, names in wanted.items()}
        extents: list[Extent] = []
        parts: list[bytes] = []
        start = block.offset

        def close(at: int) -> None:
            nonlocal start
            if parts:
                body = b"".join(parts)
                parts.clear()
                extents.append(Extent(start, len(body), body))
                start += len(body)
            if at > start:
                extents.append(Extent(start, at - start, None))
                start = at

        for number, place in enumerate(block.places):
            at = block.offset + number * CHUNK_BYTES
            if place is None:
                if parts:
                    close(at)
                continue
            if not parts:
                close(at)
            chunk = chunks[place.address.pack][place.address.ordinal]
            if len(chunk) != min(CHUNK_BYTES, block.offset + block.size - at):
                raise ObjectDamaged("the map of the disk names a chunk of another size than its "
                                    "place has")
            parts.append(chunk)
        close(block.offset + block.size)
        return extents


def check_disk(reader: DiskReader, manifest: DiskManifest, keys: VaultKeys, offset: int, *,
               progress: Callable[[int], None] | None, stop: Callable[[], bool] | None) -> int:
    """Read back every byte from `offset` on; with the checksums of the whole if that is 0. Returns
    how far it came (see `DiskVault.check`)."""
    checksums = StreamChecksums(manifest.checksums if offset == 0 else ())
    reached = offset
    with closing(reader.extents(offset, manifest.size)) as extents:
        for extent in extents:
            if offset == 0 and manifest.checksums:
                for block in blocks_of(extent):
                    checksums.update(block)
            reached = extent.offset + extent.size
            if progress:
                progress(reached)
            if stop and reached < manifest.size and stop():
                return reached
    root = root_of_disk([page.root if page else ZERO_NAME for page in manifest.pages],
                        manifest.size, keys)
    if root != manifest.root:
        raise ObjectDamaged(f"{manifest.key} in the bank contradicts itself")
    if offset == 0 and dict(checksums.checksums()) != dict(manifest.checksums):
        raise ObjectDamaged(f"the checksums in {manifest.key} are not those of its bytes")
    return reached


def blocks_of(extent: Extent) -> Iterator[bytes]:
    """Yield the bytes of an extent, zeros in blocks of at most 4 MiB."""
    if extent.body is not None:
        yield extent.body
        return
    left = extent.size
    while left:
        size = min(left, BLOCK_BYTES)
        yield zeros(size)
        left -= size


def _cut(extent: Extent, offset: int, end: int) -> Extent | None:
    start, stop = max(extent.offset, offset), min(extent.offset + extent.size, end)
    if start >= stop:
        return None
    if (start, stop) == (extent.offset, extent.offset + extent.size):
        return extent
    body = extent.body
    return Extent(start, stop - start,
                  None if body is None else body[start - extent.offset:stop - extent.offset])
