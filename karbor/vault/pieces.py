"""Pieces and pages of one stream in its section of a bank: written once, verified when read."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing

from karbor.domain.errors import ObjectDamaged, ObjectMissing
from karbor.plugin.bank import Section
from karbor.vault.codec import Codec, Undecodable, decode, encode
from karbor.vault.cuts import is_zero, zeros
from karbor.vault.manifest import Page, PageAt, Piece, checksum_of, piece_key
from karbor.vault.ordered import in_order


class Pieces:
    """The objects below one stream's prefix. Methods may be called from several threads."""

    def __init__(self, section: Section, name: str, workers: int) -> None:
        self._section = section.section(name)
        self._name = name
        self._workers = workers

    # ------------------------------------------------------------------ writing
    def keep(self, number: int, block: bytes, *, adopt: bool) -> Piece | None:
        """Make sure that the block is in the bank; None for zeros, which are not stored.

        `adopt` looks first whether an earlier attempt has written it; it counts only if it reads
        back as the same bytes, else it is written anew.
        """
        if is_zero(block):
            return None
        checksum = checksum_of(block)
        if adopt and (found := self._adopted(number, block, checksum)) is not None:
            return found
        codec, body = encode(block)
        piece = Piece(number, len(block), checksum, codec, len(body))
        # Not "if absent", which costs some banks four requests: whoever writes a piece of this
        # name writes the same bytes.
        self._section.put(piece.key, [body])
        return piece

    def _adopted(self, number: int, block: bytes, checksum: str) -> Piece | None:
        try:
            body = b"".join(self._section.get(piece_key(number, checksum)))
        except (ObjectMissing, ObjectDamaged):
            return None
        for codec in Codec:
            try:
                if decode(codec, body, len(block)) == block:
                    return Piece(number, len(block), checksum, codec, len(body))
            except Undecodable:
                continue
        return None

    def keep_page(self, page: Page) -> PageAt:
        """Write a page. Its name tells its content, so one that exists is this very page."""
        body = page.body()
        at = PageAt(page.first, page.count, checksum_of(body))
        self._section.put(at.key, [body])
        return at

    # ------------------------------------------------------------------ reading
    def page(self, at: PageAt) -> Page:
        """Raises ObjectMissing, ObjectDamaged, NewerFormat."""
        page = Page.parse(self._verified(at.key, at.checksum), at.key)
        numbers = [piece.number for piece in page.pieces]
        if ((page.first, page.count) != (at.first, at.count) or numbers != sorted(set(numbers))
                or any(not page.first <= number < page.first + page.count for number in numbers)):
            raise ObjectDamaged(f"the page {at.key} does not say what its manifest says of it")
        return page

    def chain(self) -> list[tuple[PageAt, Page]]:
        """The pages of an unfinished stream, without a gap from its beginning on. Where several
        begin at one place (a stop in between wrote a short one), the longest counts."""
        found: dict[int, tuple[PageAt, Page]] = {}
        for stored in self._section.all("pages/"):
            first, _, checksum = stored.key[len("pages/"):-len(".json")].partition("-")
            try:
                page = Page.parse(self._verified(stored.key, checksum), stored.key)
            except (ObjectDamaged, ObjectMissing):
                continue        # as if it had not been written: its pieces are adopted one by one
            if page.first == int(first) and (
                    page.first not in found or found[page.first][1].count < page.count):
                found[page.first] = (PageAt(page.first, page.count, checksum), page)
        chain = []
        following = 0
        while following in found:
            at, page = found[following]
            chain.append((at, page))
            following += max(page.count, 1)
        return chain

    def begun(self) -> bool:
        """Whether an earlier attempt has left anything."""
        return bool(self._section.list("pieces/", limit=1) or self._section.list("pages/", limit=1))

    def forget_pages(self) -> None:
        """Remove the pages, so that the next attempt begins at the beginning."""
        while some := self._section.list("pages/"):
            self._section.delete([stored.key for stored in some])

    def blocks(self, pages: Iterable[PageAt], cut: int, size: int, first: int = 0
               ) -> Generator[bytes, None, None]:
        """The stream's blocks from number `first` on, each verified before it is handed out; reads
        ahead in a few threads. `size` is that of the whole stream (its last block may be short).

        Raises ObjectDamaged or ObjectMissing, naming the object.
        """
        def listed() -> Iterator[tuple[int, Piece | None]]:
            for at in pages:
                if at.first + at.count <= first:
                    continue
                stored = {piece.number: piece for piece in self.page(at).pieces}
                for number in range(max(at.first, first), at.first + at.count):
                    yield min(cut, size - number * cut), stored.get(number)

        with closing(in_order(self._block, listed(), self._workers)) as blocks:
            yield from blocks

    def _block(self, wanted: tuple[int, Piece | None]) -> bytes:
        size, piece = wanted
        if piece is None:
            return zeros(size)
        body = b"".join(self._section.get(piece.key))
        try:
            block = decode(piece.codec, body, size)
        except Undecodable as error:
            raise ObjectDamaged(f"{self._named(piece.key)} cannot be unpacked: {error}") from error
        if len(block) != size or checksum_of(block) != piece.checksum:
            raise ObjectDamaged(f"{self._named(piece.key)} does not hold the bytes that were kept")
        return block

    def _verified(self, key: str, checksum: str) -> bytes:
        body = b"".join(self._section.get(key))
        if checksum_of(body) != checksum:
            raise ObjectDamaged(f"{self._named(key)} is not what was written")
        return body

    def _named(self, key: str) -> str:
        return f"the bank's object {self._name}/{key}"
