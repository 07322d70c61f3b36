"""One run of Vault.store: from a source into pieces, pages and, at the end, a manifest."""

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
from karbor.vault.cuts import cut
from karbor.vault.manifest import Manifest, Page, PageAt, Piece
from karbor.vault.ordered import in_order
from karbor.vault.pieces import Pieces
from karbor.vault.whole import Whole

Source = Callable[[int], Iterable[bytes]]
"""Opens a stream: called with an offset, it gives the bytes from there to the end, in chunks of
any size. What cannot seek reads and drops that many. Each chunk must stay as it is after it was
handed out (no buffer that is filled again). What has a `close` is closed
when no more is wanted of it."""


@dataclass(frozen=True)
class Paused:
    """Not finished, because `stop` said so; what came so far is safe. `offset` in bytes."""

    offset: int


class Storing:
    """Holds how far one run has come. Used once, from one thread."""

    def __init__(self, section: Section, name: str, *, workers: int, cut: int, page: int,
                 size: int | None, expected: Mapping[str, str], hashes: frozenset[str],
                 progress: Callable[[int], None] | None, stop: Callable[[], bool] | None) -> None:
        self._section = section
        self._name = name
        self._pieces = Pieces(section, name, workers)
        self._workers = workers
        self._cut = cut
        self._page = page
        self._size = size
        self._expected = expected
        self._hashes = hashes
        self._progress = progress
        self._stop = stop
        self._error: Exception | None = None    # how the source ended, if not well
        self._stopped = False
        self._reset()

    def _reset(self) -> None:
        self._whole = Whole(self._hashes)       # what was handed to the pieces
        self._pages: list[PageAt] = []
        self._filling: list[Piece | None] = []  # blocks of the page to come; None: zeros
        self._turned = 0                        # blocks in pages
        self._paged = 0                         # bytes in pages
        self._reached = 0                       # bytes that are safe
        self._count = self._stored = 0          # pieces of finished pages, their bytes in the bank

    def run(self, source: Source) -> Manifest | Paused:
        adopt = self._pieces.begun()
        if adopt:
            self._catch_up()
        if not self._stopped and self._reached % self._cut == 0 and self._reached != self._size:
            self._follow(source, adopt=adopt)
        if self._stopped:
            self._turn_page()
            return Paused(self._reached)
        if self._error is not None:
            self._turn_page()
            raise self._error
        self._prove()
        self._turn_page()
        return self._conclude()

    # ------------------------------------------------------------------ an earlier run's pages
    def _catch_up(self) -> None:
        """Take over the pages of an earlier run, and read their bytes: the state of a checksum
        cannot be kept, and this proves that they are good. If they are not, begin anew: pieces
        that are whole are adopted one by one then."""
        chain = self._pieces.chain()
        size = sum(page.size for _, page in chain)
        if self._size is not None and (size > self._size or (size % self._cut
                                       and size != self._size)):
            self._pieces.forget_pages()         # it was another stream then
            return
        try:
            with closing(self._pieces.blocks([at for at, _ in chain], self._cut, size)) as blocks:
                for block in blocks:
                    if self._asked_to_stop():
                        self._reset()           # nothing new: the pages stay as they are
                        self._reached = size
                        return
                    self._whole.update(block)
        except (ObjectDamaged, ObjectMissing):
            self._pieces.forget_pages()
            self._reset()
            return
        for at, page in chain:
            self._count_page(at, page)
        self._reached = size

    # ------------------------------------------------------------------ the source
    def _follow(self, source: Source, *, adopt: bool) -> None:
        def keep(numbered: tuple[int, bytes]) -> tuple[int, Piece | None]:
            number, block = numbered
            return len(block), self._pieces.keep(number, block, adopt=adopt)

        with (closing(self._numbered(source)) as blocks,
              closing(in_order(keep, blocks, self._workers)) as kept):
            for size, piece in kept:
                self._filling.append(piece)
                self._reached += size
                if size == self._cut and len(self._filling) == self._page:
                    self._turn_page()
                if self._progress:
                    self._progress(self._reached)

    def _numbered(self, source: Source) -> Generator[tuple[int, bytes], None, None]:
        """The source's blocks. Its errors are put aside, so that the blocks that came before are
        written down first: an attempt that follows begins after them."""
        number = self._turned
        stream: Iterable[bytes] = ()
        try:
            stream = source(self._reached)
            for block in cut(stream, self._cut):
                if self._asked_to_stop():
                    return
                self._whole.update(block)
                if self._size is not None and self._whole.size > self._size:
                    raise RemoteFailed(f"the stream {self._name} is longer than the {self._size} "
                                       "bytes that were announced")
                yield number, block
                number += 1
        except Exception as error:  # noqa: BLE001  raised again by run(), whatever it is
            self._error = error
        finally:
            if callable(close := getattr(stream, "close", None)):
                close()                         # lets go of a connection now, not some day

    def _asked_to_stop(self) -> bool:
        if self._stop and self._stop():
            self._stopped = True
        return self._stopped

    def _prove(self) -> None:
        """Before anything is said to be complete. Raises CloudUnavailable."""
        if self._size is not None and self._reached != self._size:
            reached = self._reached
            if tail := self._reached % self._cut:
                self._filling.pop()             # a short block stands only at the true end
                self._reached -= tail
            self._turn_page()
            raise CloudUnavailable(
                f"the stream {self._name} ended after {reached} of {self._size} bytes")
        found = self._whole.checksums()
        for algorithm, wanted in self._expected.items():
            if found[algorithm] != wanted.lower():
                self._pieces.forget_pages()
                raise CloudUnavailable(f"the stream {self._name} came with the {algorithm} "
                                       f"checksum {found[algorithm]} instead of {wanted}")

    # ------------------------------------------------------------------ what is written down
    def _turn_page(self) -> None:
        if not self._filling:
            return
        page = Page(self._turned, len(self._filling), self._reached - self._paged,
                    tuple(piece for piece in self._filling if piece is not None))
        self._count_page(self._pieces.keep_page(page), page)
        self._filling = []

    def _count_page(self, at: PageAt, page: Page) -> None:
        self._pages.append(at)
        self._turned += page.count
        self._paged += page.size
        self._count += len(page.pieces)
        self._stored += sum(piece.stored for piece in page.pieces)

    def _conclude(self) -> Manifest:
        manifest = Manifest(self._name, self._reached, self._cut, tuple(self._pages),
                            self._whole.checksums(), self._count, self._stored)
        try:
            self._section.put(manifest.key, [manifest.body()], absent=True)
        except ObjectExists:
            # A process that was thought dead has finished the same stream: the one that came first
            # stays, for it may be named already.
            first = Manifest.parse(b"".join(self._section.get(manifest.key)), manifest.key)
            if (first.size, first.checksums["blake3"]) != (
                    manifest.size, manifest.checksums["blake3"]):
                raise ObjectDamaged(f"{manifest.key} names another stream of that name") from None
            return first
        return manifest
