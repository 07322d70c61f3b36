"""Bank: where checkpoints live. Named bytes, written once.

Keys are `/`-separated names of `[A-Za-z0-9._@=-]`, no empty part, no `.` or `..`, at most 512
characters, 200 in a part (file systems end at 255); `check_key` refuses everything else at the
edge, so that no bank needs to escape.
A bank keeps no state between calls but its location, and every method may be called from several
threads. Objects are complete or absent: a reader never meets half of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from karbor.domain.errors import BadInput

_KEY = re.compile(r"[A-Za-z0-9._@=\-]+(?:/[A-Za-z0-9._@=\-]+)*\Z")
MAX_KEY = 512
MAX_PART = 200


def check_key(key: str) -> str:
    """Return the key itself, or BadInput."""
    parts = key.split("/")
    if (len(key) > MAX_KEY or not _KEY.match(key) or {".", ".."} & set(parts)
            or max(len(part) for part in parts) > MAX_PART):
        raise BadInput(f"not a name for an object in a bank: {key!r}")
    return key


def check_range(offset: int, length: int) -> None:
    """Raise ValueError for a part that no object has."""
    if offset < 0 or length < 0:
        raise ValueError(f"there is no part of {length} bytes from {offset} on")


@dataclass(frozen=True)
class Stored:
    """What a bank knows of an object: its size in bytes and its BLAKE3 checksum in hexadecimal.

    In a listing the checksum is empty when the bank can see that the object is damaged: it is
    listed, so that it can be deleted, and reading it raises ObjectDamaged.
    """

    key: str
    size: int
    checksum: str


class Bank(Protocol):
    """The contract; `karbor_testing.bank_conformance` is its law, run against every bank."""

    def put(self, key: str, body: Iterable[bytes], *, absent: bool = False) -> Stored:
        """Write an object completely or not at all, and durably before returning.

        With `absent`, raise ObjectExists if there is one already (decided atomically); without, an
        older object of that name is replaced. Sent once: `body` may be a stream; a list says that
        all of it is in memory anyway. Raises BankFull, BankReadOnly, BankUnavailable.
        """

    def get(self, key: str) -> Iterator[bytes]:
        """Return the bytes, in pieces of at most 4 MiB. The checksum is verified: ObjectDamaged
        is raised at the end of the stream at the latest, so a caller that needs certainty before
        acting reads to the end. Raises ObjectMissing at once."""

    def read(self, key: str, offset: int, length: int) -> bytes:
        """Return the bytes from `offset` on, `length` of them or as many as there are: none behind
        the end. They come in one piece, so `length` is bounded by the caller's memory.

        A part cannot be compared with the checksum of the whole: whoever asks for it must be able
        to tell by itself whether the bytes are right. Raises ObjectMissing; ValueError for
        negative numbers."""

    def stat(self, key: str) -> Stored | None:
        """Return what is recorded of an object, without reading its bytes; None when absent."""

    def list(self, prefix: str = "", *, after: str = "", limit: int = 1000) -> list[Stored]:
        """Return the objects whose key begins with `prefix`, in order of their keys, those after
        `after` only, at most `limit`. An object being written is not listed. Only an empty list
        says that there are no more; a shorter one than was asked for does not."""

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; idempotent, absent ones are no error."""


@runtime_checkable
class Measured(Protocol):
    """A bank that can tell how much more it takes."""

    def room(self) -> int | None:
        """Return how many bytes can still be written, as far as is known; None: nobody can tell.
        Raises BankError."""


class BankPlugin(Protocol):
    """What an entry point of `karbor.banks` names: makes a bank from a provider's options.

    Options from a file are text. A bank that names a `service` keeps its objects in that one, and
    is given `open_store` as a further option (see `plugin.object_store`): it never logs in itself.
    It should ask nothing of the service before its first use.
    """

    section: ClassVar[str]      # of a provider's file, with the bank's options
    service: ClassVar[str]      # swift; or empty

    def __call__(self, options: Mapping[str, Any]) -> Bank: ...


class Section:
    """A bank narrowed to one prefix: all that a plugin may reach of it."""

    def __init__(self, bank: Bank, prefix: str) -> None:
        self._bank = bank
        self._prefix = check_key(prefix) + "/"

    def put(self, key: str, body: Iterable[bytes], *, absent: bool = False) -> Stored:
        return self._outer(self._bank.put(self._prefix + key, body, absent=absent))

    def get(self, key: str) -> Iterator[bytes]:
        return self._bank.get(self._prefix + key)

    def read(self, key: str, offset: int, length: int) -> bytes:
        return self._bank.read(self._prefix + key, offset, length)

    def stat(self, key: str) -> Stored | None:
        stored = self._bank.stat(self._prefix + key)
        return self._outer(stored) if stored else None

    def list(self, prefix: str = "", *, after: str = "", limit: int = 1000) -> list[Stored]:
        inner = self._prefix + after if after else ""
        return [self._outer(stored) for stored in
                self._bank.list(self._prefix + prefix, after=inner, limit=limit)]

    def all(self, prefix: str = "") -> Iterator[Stored]:
        """Yield every object of the section, page by page."""
        after = ""
        while page := self.list(prefix, after=after):
            yield from page
            after = page[-1].key

    def delete(self, keys: Sequence[str]) -> None:
        self._bank.delete([self._prefix + key for key in keys])

    def section(self, name: str) -> Section:
        return Section(self._bank, self._prefix + name)

    def _outer(self, stored: Stored) -> Stored:
        return Stored(stored.key.removeprefix(self._prefix), stored.size, stored.checksum)
