"""Reads pieces and pages of one stream in its section of a bank; each is verified."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing

from karbor.domain.errors import ObjectDamaged
from karbor.plugin.bank import Section
from karbor.vault.blocks import zeros
from karbor.vault.codec import Undecodable, decode
from karbor.vault.ordered import in_order
from karbor.vault.stream.manifest import Page, PageAt, Piece, checksum_of


class Pieces:
    """The objects below one stream's prefix. Methods may be called from several threads."""

    def __init__(self, section: Section, name: str, workers: int) -> None:
        self._section = section.section(name)
        self._name = name
        self._workers = workers

    def page(self, at: PageAt) -> Page:
        """Return a page. Raises ObjectMissing, ObjectDamaged, NewerFormat."""
        page = Page.parse(self._verified(at.key, at.checksum), at.key)
        numbers = [piece.number for piece in page.pieces]
        if ((page.first, page.count) != (at.first, at.count) or numbers != sorted(set(numbers))
                or any(not page.first <= number < page.first + page.count for number in numbers)):
            raise ObjectDamaged(f"the page {at.key} does not say what its manifest says of it")
        return page

    def blocks(self, pages: Iterable[PageAt], cut: int, size: int, first: int = 0
               ) -> Generator[bytes, None, None]:
        """Yield the stream's blocks from number `first` on, each verified before it is handed out;
        reads ahead in a few threads. `size` is that of the whole stream (its last block may be
        short).

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
