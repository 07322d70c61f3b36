"""SwiftBank: a bank in one container of an object service.

    karbor-bank.json        what the container is, and its format
    objects/KEY             the objects; the content type tells the BLAKE3 checksum
    incoming/               large objects being written; Swift removes what is left there
    claims/                 who is about to write an object if it is absent

docs/bank-format.md is the reference. The checksum stands in the content type because that is what
lists tell of an object besides its size: one request shows a page with everything.
"""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import chain
from typing import Any, ClassVar

from blake3 import blake3

from karbor.banks import swift_description as description
from karbor.banks.options import flag, refuse_unknown
from karbor.banks.swift_errors import translated
from karbor.domain.errors import BadInput, BankError, ObjectDamaged, ObjectExists
from karbor.plugin.bank import Stored, check_key, check_range
from karbor.plugin.object_store import Blob, ObjectStore, OpenStore

OBJECTS = "objects/"
INCOMING = "incoming/"

PART = 4 * 1024 * 1024
"""The most that `get` hands out at once."""

WHOLE = 5 * 1024 * 1024
"""Objects of up to so many bytes are held in memory, so that their checksum is known before they
are sent, and before a byte of them is handed out. No piece of a stream is larger."""

HELD = 32 * 1024 * 1024
"""A body that is in the caller's memory anyway, such as a pack of a vault, is sent at once if it
has no more bytes than this: its checksum is known before, and Swift need not copy it."""

LEFT = 24 * 3600.0
"""Seconds after which Swift removes what a killed writer has left in `incoming/`: no writing of one
object takes longer."""

_KIND = "application/octet-stream; blake3={}"
_CHECKSUM = re.compile(r"application/octet-stream;\s*blake3=([0-9a-f]{64})\Z")
_WITHOUT_MEANING = {"lease_expire_window", "lease_renew_window", "lease_validity_window"}


class SwiftBank:
    """Options: `bank_swift_object_container`, the container (default: karbor); `create` (default
    true): make a bank of it if it is missing or has no bank yet; `open_store`, which opens it.
    (Karbor 1.x's leases are accepted and mean nothing: nobody ever asked for them.)

    Nothing is asked of Swift before the first use. Raises BadInput (options).
    """

    section: ClassVar[str] = "swift_bank_plugin"
    service: ClassVar[str] = "swift"

    def __init__(self, options: Mapping[str, Any]) -> None:
        refuse_unknown(options, "a bank in Swift", ("bank_swift_object_container", "create"),
                       {"open_store", *_WITHOUT_MEANING})
        container = str(options.get("bank_swift_object_container") or "karbor")
        if "/" in container or len(container.encode()) > 256:
            raise BadInput(f"not a name for a container: {container}")
        open_store: OpenStore = options["open_store"]
        self._create = flag(options, "create", True)
        self._store = open_store(container)
        self._ready = False
        self._opening = threading.Lock()

    # ------------------------------------------------------------------ writing
    def put(self, key: str, body: Iterable[bytes], *, absent: bool = False) -> Stored:
        name = OBJECTS + check_key(key)
        if isinstance(body, list) and sum(map(len, body)) <= HELD:
            chunks: Iterator[bytes] = iter(())
            beginning, over = b"".join(body), False
        else:
            chunks = iter(body)
            beginning, over = _beginning(chunks)        # its errors are the caller's own
        with self._writing(key) as store:
            if not over:
                stored = Stored(key, len(beginning), blake3(beginning).hexdigest())
                store.put(name, beginning, _KIND.format(stored.checksum), absent=absent)
                return stored
            if absent and store.head(name) is not None:     # spares sending the body
                raise ObjectExists(f"{store.where} has an object {name} already")
        return self._put_large(key, name, chain([beginning], chunks), absent=absent)

    def _put_large(self, key: str, name: str, body: Iterable[bytes], *, absent: bool) -> Stored:
        """Write an object that is too large for memory. Its checksum is known when it has been
        sent: so it goes to a name of its own first, and Swift copies it, which is when it appears.
        The copy is compared by Swift itself."""
        incoming = INCOMING + uuid.uuid4().hex
        sending = Measured(body)
        try:
            with self._writing(key) as store:
                store.send(incoming, sending, lifetime=LEFT)
        except Exception as error:
            if sending.failure is not None:
                raise sending.failure from error    # the caller's own passes as it is
            raise
        stored = Stored(key, sending.size, sending.checksum)
        with self._writing(key) as store:
            try:
                store.copy(incoming, name, _KIND.format(stored.checksum), absent=absent)
            finally:
                with suppress(BankError), translated("tidy"):
                    store.delete([incoming])
        return stored

    def delete(self, keys: Sequence[str]) -> None:
        names = [OBJECTS + check_key(key) for key in keys]
        if names:
            with self._using("remove objects of", writing=True) as store:
                store.delete(names)

    # ------------------------------------------------------------------ reading
    def get(self, key: str) -> Iterator[bytes]:
        name = OBJECTS + check_key(key)
        with self._reading(key) as store:
            blob, pieces = store.get(name)
            checksum = _checksum(blob)
            if not checksum:
                raise ObjectDamaged(f"the bank's object {key} has no checksum",
                                    remedy=f"look who wrote it: {name} in {store.where}")
            if blob.size <= WHOLE:
                # Read now: nothing stays open, and no wrong byte gets out.
                raw = b"".join(pieces)
                self._prove(key, len(raw), blake3(raw).hexdigest(), blob, checksum)
                return (raw[at:at + PART] for at in range(0, len(raw), PART))
        return self._chunks(key, blob, checksum, pieces)

    def _chunks(self, key: str, blob: Blob, checksum: str, pieces: Iterator[bytes]
                ) -> Iterator[bytes]:
        """Yield the chunks of an object. Each is held back until the next one is read, and the last
        one until the checksum is known to be right."""
        size, hashed, last = 0, blake3(), b""
        while True:
            with self._reading(key):
                piece = next(pieces, b"")
            if not piece:
                break
            if last:
                yield last
            hashed.update(piece)
            size += len(piece)
            last = piece
        self._prove(key, size, hashed.hexdigest(), blob, checksum)
        yield last

    @staticmethod
    def _prove(key: str, size: int, found: str, blob: Blob, checksum: str) -> None:
        if (size, found) != (blob.size, checksum):
            raise ObjectDamaged(f"the bank's object {key} is damaged: its bytes do not have the "
                                "checksum that was written with them",
                                remedy=f"the object is {blob.name}")

    def read(self, key: str, offset: int, length: int) -> bytes:
        check_range(offset, length)
        with self._reading(key) as store:
            return store.read(OBJECTS + check_key(key), offset, length)

    def stat(self, key: str) -> Stored | None:
        name = OBJECTS + check_key(key)
        with self._reading(key) as store:
            blob = store.head(name)
        return _stored(blob) if blob else None

    def list(self, prefix: str = "", *, after: str = "", limit: int = 1000) -> list[Stored]:
        if limit <= 0:
            return []
        with self._using("list objects of") as store:
            blobs = store.list(OBJECTS + prefix, after=OBJECTS + after if after else "",
                               limit=limit)
        return [_stored(blob) for blob in blobs]

    def room(self) -> int | None:
        with self._using("ask for the quota of") as store:
            return store.room()

    # ------------------------------------------------------------------ the store
    def _reading(self, key: str) -> AbstractContextManager[ObjectStore]:
        return self._using(f"read {key} of")

    def _writing(self, key: str) -> AbstractContextManager[ObjectStore]:
        return self._using(f"write {key} to", writing=True)

    @contextmanager
    def _using(self, doing: str, *, writing: bool = False) -> Iterator[ObjectStore]:
        """Give the store of a bank that was found to be one."""
        with translated(f"{doing} the bank in {self._store.where}", writing=writing):
            with self._opening:
                if not self._ready:
                    description.opened(self._store, create=self._create, now=time.time())
                    self._ready = True
            yield self._store


class Measured:
    """A body on its way: what came of it so far, and how it failed, if it did."""

    def __init__(self, body: Iterable[bytes]) -> None:
        self._body = body
        self._hashed = blake3()
        self.size = 0
        self.failure: BaseException | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._body:
                self._hashed.update(chunk)
                self.size += len(chunk)
                yield chunk
        except GeneratorExit:
            raise
        except BaseException as error:
            self.failure = error
            raise

    @property
    def checksum(self) -> str:
        return str(self._hashed.hexdigest())


def _beginning(chunks: Iterator[bytes]) -> tuple[bytes, bool]:
    """Return the first bytes of a body, and whether they are more than fit into memory; else
    all."""
    found, size = [], 0
    for chunk in chunks:
        found.append(chunk)
        size += len(chunk)
        if size > WHOLE:
            return b"".join(found), True
    return b"".join(found), False


def _checksum(blob: Blob) -> str:
    """Return the checksum that a content type tells; "" where the object was not written by a
    bank."""
    found = _CHECKSUM.match(blob.kind)
    return found[1] if found else ""


def _stored(blob: Blob) -> Stored:
    return Stored(blob.name.removeprefix(OBJECTS), blob.size, _checksum(blob))
