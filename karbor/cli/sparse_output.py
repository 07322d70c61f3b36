"""Writes bytes to a file with holes where they are zeros."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from typing import BinaryIO

from karbor.vault.blocks import is_zero


def write_blocks(blocks: Iterable[bytes], out: BinaryIO) -> int:
    """Write blocks and return how many bytes they had. A regular file that is written from its
    beginning gets holes for zeros; whatever else, such as a pipe, gets every byte. Raises
    OSError."""
    sparse = _may_have_holes(out)
    written = 0
    for block in blocks:
        if sparse and is_zero(block):
            out.seek(len(block), os.SEEK_CUR)
        else:
            out.write(block)
        written += len(block)
    if sparse:
        out.truncate(written)
    out.flush()
    return written


def _may_have_holes(out: BinaryIO) -> bool:
    try:
        about = os.fstat(out.fileno())
    except OSError:     # no file of the system's
        return False
    return stat.S_ISREG(about.st_mode) and about.st_size == 0
