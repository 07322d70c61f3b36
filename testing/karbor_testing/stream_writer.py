"""Writes streams of format 1, as Karbor did before vaults deduplicated: what stays readable."""

from __future__ import annotations

from collections.abc import Iterable

from karbor.plugin.bank import Section
from karbor.vault.blocks import BLOCK_BYTES, cut, is_zero
from karbor.vault.checksums import StreamChecksums
from karbor.vault.codec import encode
from karbor.vault.stream.manifest import Page, PageAt, Piece, StreamManifest, checksum_of


def write_stream(section: Section, name: str, body: bytes, *, block: int = BLOCK_BYTES,
                 page: int = 1024, hashes: Iterable[str] = ()) -> StreamManifest:
    """Write a complete stream in blocks of `block` bytes, `page` of them on a page; `hashes` are
    algorithms beside BLAKE3."""
    below = section.section(name)
    checksums = StreamChecksums({"blake3", *hashes})
    blocks = list(cut([body], block))
    pieces: list[Piece | None] = []
    for number, bytes in enumerate(blocks):
        checksums.update(bytes)
        if is_zero(bytes):
            pieces.append(None)
            continue
        codec, stored = encode(bytes)
        piece = Piece(number, len(bytes), checksum_of(bytes), codec, len(stored))
        below.put(piece.key, [stored])
        pieces.append(piece)
    pages = []
    for first in range(0, len(blocks), page):
        count = len(blocks[first:first + page])
        one = Page(first, count, sum(map(len, blocks[first:first + page])),
                   tuple(piece for piece in pieces[first:first + page] if piece is not None))
        at = PageAt(first, count, checksum_of(one.body()))
        below.put(at.key, [one.body()])
        pages.append(at)
    there = [piece for piece in pieces if piece is not None]
    manifest = StreamManifest(name, len(body), block, tuple(pages), checksums.checksums(),
                              len(there), sum(piece.stored for piece in there))
    section.put(manifest.key, [manifest.body()], absent=True)
    return manifest
