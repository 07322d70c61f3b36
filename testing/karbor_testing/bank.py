"""Banks for tests: one in memory, and a decorator that makes any bank fail as banks do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from blake3 import blake3

from karbor.domain.errors import BankUnavailable, ObjectDamaged, ObjectExists, ObjectMissing
from karbor.plugin.bank import Bank, Stored, check_key, check_range

PART = 4 * 1024 * 1024


class MemoryBank:
    """A complete bank that lasts as long as its object."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._stored: dict[str, Stored] = {}
        self._lock = threading.Lock()

    def put(self, key: str, body: Iterable[bytes], *, absent: bool = False) -> Stored:
        check_key(key)
        raw = b"".join(body)
        stored = Stored(key, len(raw), blake3(raw).hexdigest())
        with self._lock:
            if absent and key in self._objects:
                raise ObjectExists(f"the bank has an object {key} already")
            self._objects[key] = raw
            self._stored[key] = stored
        return stored

    def get(self, key: str) -> Iterator[bytes]:
        check_key(key)
        with self._lock:
            raw, stored = self._objects.get(key), self._stored.get(key)
        if raw is None or stored is None:
            raise ObjectMissing(f"the bank has no object {key}")
        if (len(raw), blake3(raw).hexdigest()) != (stored.size, stored.checksum):
            raise ObjectDamaged(f"the bank's object {key} is damaged")
        return (raw[at:at + PART] for at in range(0, len(raw), PART))

    def read(self, key: str, offset: int, length: int) -> bytes:
        check_key(key)
        check_range(offset, length)
        with self._lock:
            raw = self._objects.get(key)
        if raw is None:
            raise ObjectMissing(f"the bank has no object {key}")
        return raw[offset:offset + length]

    def stat(self, key: str) -> Stored | None:
        check_key(key)
        with self._lock:
            return self._stored.get(key)

    def list(self, prefix: str = "", *, after: str = "", limit: int = 1000) -> list[Stored]:
        with self._lock:
            found = sorted(key for key in self._stored if key.startswith(prefix) and key > after)
            return [self._stored[key] for key in found[:max(limit, 0)]]

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            check_key(key)
        with self._lock:
            for key in keys:
                self._objects.pop(key, None)
                self._stored.pop(key, None)

    def damage(self, key: str, how: str) -> None:
        """What a bad disk does: "flip" a bit in the middle of the bytes, or "cut" the last off."""
        with self._lock:
            raw = self._objects[key]
            middle = len(raw) // 2
            self._objects[key] = raw[:-1] if how == "cut" else (
                raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1:])


class How(StrEnum):
    """What goes wrong with a call."""

    BEFORE = "before"       # nothing is done
    AFTER = "after"         # it is done, but its answer is lost
    TRUNCATE = "truncate"   # get: the stream ends early, silently; put: it breaks in the middle
    FLIP = "flip"           # get: one bit in the middle of the first chunk is another


@dataclass
class Fault:
    """Strikes calls of `method` on keys (for list: prefixes) that contain `key`: the one numbered
    `nth` among those, from 1, and `times` of them. `struck` counts."""

    method: str
    how: How = How.BEFORE
    nth: int = 1
    times: int = 1
    key: str = ""
    error: Callable[[], Exception] = lambda: BankUnavailable("the bank does not answer")
    struck: int = field(default=0, init=False)
    _seen: int = field(default=0, init=False)

    def strikes(self, method: str, key: str) -> bool:
        if method != self.method or self.key not in key:
            return False
        self._seen += 1
        if not self.nth <= self._seen < self.nth + self.times:
            return False
        self.struck += 1
        return True


class FaultyBank:
    """Any bank, and the faults it shall have. Without faults it is that bank."""

    def __init__(self, bank: Bank, *faults: Fault) -> None:
        self.bank = bank
        self.faults = list(faults)
        self.calls: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    def put(self, key: str, body: Iterable[bytes], *, absent: bool = False) -> Stored:
        fault = self._fault("put", key)
        if fault and fault.how is How.BEFORE:
            raise fault.error()
        if fault and fault.how is How.TRUNCATE:
            body = _broken(body, fault.error)
        stored = self.bank.put(key, body, absent=absent)
        if fault:
            raise fault.error()
        return stored

    def get(self, key: str) -> Iterator[bytes]:
        fault = self._fault("get", key)
        if fault and fault.how in (How.BEFORE, How.AFTER):
            raise fault.error()
        chunks = self.bank.get(key)
        if fault:
            return _altered(chunks, fault.how)
        return chunks

    def read(self, key: str, offset: int, length: int) -> bytes:
        fault = self._fault("read", key)
        if fault and fault.how in (How.BEFORE, How.AFTER):
            raise fault.error()
        part = self.bank.read(key, offset, length)
        return b"".join(_altered(iter([part]), fault.how)) if fault else part

    def stat(self, key: str) -> Stored | None:
        if fault := self._fault("stat", key):
            raise fault.error()
        return self.bank.stat(key)

    def list(self, prefix: str = "", *, after: str = "", limit: int = 1000) -> list[Stored]:
        if fault := self._fault("list", prefix):
            raise fault.error()
        return self.bank.list(prefix, after=after, limit=limit)

    def delete(self, keys: Sequence[str]) -> None:
        """With How.AFTER everything is deleted, with TRUNCATE the first half."""
        fault = self._fault("delete", "\n".join(keys))
        if fault is None:
            return self.bank.delete(keys)
        if fault.how is How.AFTER:
            self.bank.delete(keys)
        if fault.how is How.TRUNCATE:
            self.bank.delete(keys[:len(keys) // 2])
        raise fault.error()

    def _fault(self, method: str, key: str) -> Fault | None:
        with self._lock:
            self.calls.append((method, key))
            return next((fault for fault in self.faults if fault.strikes(method, key)), None)


def _broken(body: Iterable[bytes], error: Callable[[], Exception]) -> Iterator[bytes]:
    """Half of the first chunk, then the line is dead."""
    for chunk in body:
        yield chunk[:len(chunk) // 2]
        break
    raise error()


def _altered(chunks: Iterator[bytes], how: How) -> Iterator[bytes]:
    first = next(chunks, b"")
    if how is How.TRUNCATE:
        yield first[:-1]
        return
    middle = len(first) // 2
    yield first[:middle] + bytes([first[middle] ^ 1]) + first[middle + 1:] if first else b"\1"
    yield from chunks
