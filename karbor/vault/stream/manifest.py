"""What a kept stream consists of: its manifest, its pages, its pieces (docs/bank-format.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blake3 import blake3

from karbor.domain.errors import NewerFormat, ObjectDamaged
from karbor.vault.codec import Codec

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Piece:
    """One stored block: its number within the stream (from 0), its size and BLAKE3 checksum before
    encoding, and how it is written in `stored` bytes."""

    number: int
    size: int
    checksum: str
    codec: Codec
    stored: int

    @property
    def key(self) -> str:
        return piece_key(self.number, self.checksum)


@dataclass(frozen=True)
class Page:
    """The pieces among `count` consecutive blocks from number `first` on, `size` bytes together; a
    block without a piece consists of zeros. Only the last block of a stream may be short."""

    first: int
    count: int
    size: int
    pieces: tuple[Piece, ...]

    def body(self) -> bytes:
        return _json(
            {
                "kind": "karbor stream page",
                "format": FORMAT,
                "first": self.first,
                "count": self.count,
                "size": self.size,
                "pieces": [
                    {
                        "number": piece.number,
                        "size": piece.size,
                        "blake3": piece.checksum,
                        "codec": piece.codec,
                        "stored": piece.stored,
                    }
                    for piece in self.pieces
                ],
            }
        )

    @classmethod
    def parse(cls, body: bytes, key: str) -> Page:
        """Raises ObjectDamaged, NewerFormat."""
        raw = _parsed(body, key, "karbor stream page")
        try:
            return cls(int(raw["first"]), int(raw["count"]), int(raw["size"]),
                       tuple(Piece(int(piece["number"]), int(piece["size"]), str(piece["blake3"]),
                                   Codec(piece["codec"]), int(piece["stored"]))
                             for piece in raw["pieces"]))
        except (KeyError, TypeError, ValueError) as error:
            raise _unreadable(key) from error


@dataclass(frozen=True)
class PageAt:
    """Where a page is written: `checksum` is the BLAKE3 checksum of its object."""

    first: int
    count: int
    checksum: str

    @property
    def key(self) -> str:
        return f"pages/{self.first:010d}-{self.checksum}.json"


@dataclass(frozen=True)
class StreamManifest:
    """A stream that is completely kept. `size` and `cut` in bytes; `checksums` are those of the
    whole stream, in hexadecimal by the name of the algorithm, and always have `blake3`.
    `pieces` and `stored` say what the bank holds of it: zeros are not stored, blocks are
    compressed. Immutable once written."""

    name: str
    size: int
    cut: int
    pages: tuple[PageAt, ...]
    checksums: Mapping[str, str]
    pieces: int
    stored: int

    @property
    def key(self) -> str:
        return manifest_key(self.name)

    @property
    def checksum(self) -> str:
        """BLAKE3 checksum of the manifest's own object."""
        return checksum_of(self.body())

    def facts(self) -> dict[str, Any]:
        """What is worth keeping in a checkpoint's head: small JSON. `manifest_blake3` binds the
        head to these very bytes (see StreamReader.open)."""
        return {"name": self.name, "size": self.size, "stored": self.stored,
                "pieces": self.pieces, "checksums": dict(self.checksums),
                "manifest_blake3": self.checksum}

    def body(self) -> bytes:
        return _json({"kind": "karbor stream", "format": FORMAT, "name": self.name,
                      "size": self.size, "cut": self.cut, "checksums": dict(self.checksums),
                      "pages": [{"first": page.first, "count": page.count, "blake3": page.checksum}
                                for page in self.pages],
                      "pieces": self.pieces, "stored": self.stored})

    @classmethod
    def parse(cls, body: bytes, key: str) -> StreamManifest:
        """Raises ObjectDamaged, NewerFormat."""
        raw = _parsed(body, key, "karbor stream")
        try:
            return cls(str(raw["name"]), int(raw["size"]), int(raw["cut"]),
                       tuple(PageAt(int(page["first"]), int(page["count"]), str(page["blake3"]))
                             for page in raw["pages"]),
                       {str(k): str(v) for k, v in raw["checksums"].items()},
                       int(raw["pieces"]), int(raw["stored"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _unreadable(key) from error


def manifest_key(name: str) -> str:
    return f"{name}/manifest.json"


def piece_key(number: int, checksum: str) -> str:
    """A thousand to a directory; the checksum makes the name tell the content, so that a piece
    written before a crash can be adopted, and one of another content cannot be mistaken for it."""
    return f"pieces/{number // 1000:07d}/{number:010d}-{checksum}"


def checksum_of(body: bytes) -> str:
    return blake3(body).hexdigest()


def _json(raw: Mapping[str, Any]) -> bytes:
    return json.dumps(raw, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _parsed(body: bytes, key: str, kind: str) -> dict[str, Any]:
    try:
        raw = json.loads(body)
        of_kind, number = raw["kind"] == kind, int(raw["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(key) from error
    if not of_kind:
        raise _unreadable(key)
    if number > FORMAT:
        raise NewerFormat(f"{key} has the stream format {number}, this Karbor reads {FORMAT}",
                          remedy="upgrade Karbor")
    return dict(raw)


def _unreadable(key: str) -> ObjectDamaged:
    return ObjectDamaged(f"{key} in the bank is not what Karbor writes there")
