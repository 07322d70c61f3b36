"""Checksums of a whole stream while it passes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from blake3 import blake3


class Whole:
    """BLAKE3, and whatever of hashlib's algorithms is asked for besides (Glance names its own in
    `os_hash_algo`, usually sha512, and still has md5 in `checksum`).

    Raises ValueError for an algorithm that this Python does not have.
    """

    def __init__(self, algorithms: Iterable[str] = ()) -> None:
        self._blake3 = blake3()
        self._others = {name: hashlib.new(name, usedforsecurity=False)
                        for name in algorithms if name != "blake3"}
        self.size = 0

    def update(self, block: bytes) -> None:
        self.size += len(block)
        self._blake3.update(block)
        for other in self._others.values():
            other.update(block)

    def checksums(self) -> Mapping[str, str]:
        return {"blake3": self._blake3.hexdigest(),
                **{name: one.hexdigest() for name, one in self._others.items()}}
