"""Checksums of a whole stream while it passes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from blake3 import blake3


class StreamChecksums:
    """Those of the algorithms that are asked for: `blake3`, or any of hashlib's (Glance names its
    own in `os_hash_algo`, usually sha512). `size` counts the bytes that have passed.

    Raises ValueError for an algorithm that this Python does not have.
    """

    def __init__(self, algorithms: Iterable[str] = ()) -> None:
        self._hashes = {
            name: blake3() if name == "blake3" else hashlib.new(name, usedforsecurity=False)
            for name in sorted(set(algorithms))
        }
        self.size = 0

    def update(self, block: bytes) -> None:
        self.size += len(block)
        for hash in self._hashes.values():
            hash.update(block)

    def checksums(self) -> Mapping[str, str]:
        """Return them in hexadecimal, by the names of their algorithms."""
        return {name: hash.hexdigest() for name, hash in self._hashes.items()}
