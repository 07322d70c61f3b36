"""One object as one file: its bytes, then a line that tells their size and checksum.

The bytes come first and as they are, so that plain tools recover them (`head -c -115`); the line is
in the same file, so that no crash can part them; its length is fixed, so that it is found without
reading the bytes. docs/bank-format.md is the reference.
"""

from __future__ import annotations

import os
import re

from karbor.domain.errors import NewerFormat, ObjectDamaged

FORMAT = 1
_TRAILER = re.compile(rb"\nkarbor object ([0-9]) blake3 ([0-9a-f]{64}) size ([0-9]{20})\n\Z")
LENGTH = 115


def trailer(size: int, checksum: str) -> bytes:
    return f"\nkarbor object {FORMAT} blake3 {checksum} size {size:020d}\n".encode()


def record(fd: int, key: str) -> tuple[int, str]:
    """Return the size in bytes and the checksum of the object in an open file.

    Raises ObjectDamaged, NewerFormat, OSError."""
    length = os.fstat(fd).st_size
    line = os.pread(fd, LENGTH, max(length - LENGTH, 0))
    found = _TRAILER.match(line)
    if not found or int(found[3]) != length - LENGTH:
        raise ObjectDamaged(f"the bank's object {key} is not complete: its file has been shortened "
                            "or overwritten")
    if int(found[1]) > FORMAT:
        raise NewerFormat(f"the bank's object {key} was written by a later Karbor",
                          remedy="use the Karbor that wrote it, or a later one")
    return int(found[3]), found[2].decode()
