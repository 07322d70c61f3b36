"""Streams of bytes in blocks of one size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

CUT = 4 * 1024 * 1024
"""Bytes of a block. Content of disks does not move by single bytes, so fixed cuts find the same
blocks again; 4 MiB is also the object size of Ceph RBD, and small enough to retry."""

_ZEROS = bytes(CUT)


def cut(stream: Iterable[bytes], size: int = CUT) -> Iterator[bytes]:
    """The same bytes in blocks of exactly `size` bytes; only the last one may be shorter.

    Holds one block. An error of the stream passes through, and the bytes of an unfinished block
    are then dropped: a block that is not the last of its stream is never short.
    """
    parts: list[memoryview] = []
    length = 0
    for chunk in stream:
        view = memoryview(chunk)
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
    """`size` zero bytes; no new memory for blocks of the usual size."""
    return _ZEROS if size == CUT else bytes(size)


def is_zero(block: bytes) -> bool:
    """Whether all bytes are zero. Compares memory: a block of data is told by its first bytes."""
    return block == (_ZEROS if len(block) == CUT else bytes(len(block)))
