"""Blocks and chunks: the pieces in which a disk's bytes pass through the vault."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

CHUNK_BYTES = 64 * 1024
"""A chunk: what is named, compared, compressed and sealed by itself. Disks of servers do not shift
by single bytes, so chunks at fixed places are found again; 64 KiB store 1.3 times a scattered
change where 4 MiB store 60 times (see docs/decisions)."""

CHUNKS_OF_BLOCK = 64
BLOCK_BYTES = CHUNKS_OF_BLOCK * CHUNK_BYTES
"""4 MiB: what is read, hashed and handed out at a time."""

_ZEROS = bytes(BLOCK_BYTES)
_ZERO_CHUNK = bytes(CHUNK_BYTES)


def cut(stream: Iterable[bytes], size: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Yield the same bytes in blocks of exactly `size` bytes; only the last one may be shorter.

    Holds one block. An error of the stream passes through, and the bytes of an unfinished block
    are then dropped: a block that is not the last of its stream is never short.
    """
    parts: list[memoryview] = []
    length = 0
    for piece in stream:
        view = memoryview(piece)
        while view:
            part = view[:size - length]
            parts.append(part)
            length += len(part)
            view = view[len(part):]
            if length == size:
                yield b"".join(parts)
                parts, length = [], 0
    if parts:
        yield b"".join(parts)


def zeros(size: int) -> bytes:
    """Return `size` zero bytes; no new memory for blocks and chunks of the usual size."""
    if size == BLOCK_BYTES:
        return _ZEROS
    return _ZERO_CHUNK if size == CHUNK_BYTES else bytes(size)


def is_zero(block: bytes | memoryview) -> bool:
    """Return whether all bytes are zero. Compares memory: a block of data is told by its first
    bytes."""
    return block == zeros(len(block))
