"""DirectoryBank: a bank in a directory of a file system, local or mounted.

    BANK/karbor-bank.json       what this directory is, and its format
    BANK/objects/…              one file per object, see framed.py and tree.py
    BANK/incoming/              files being written, see incoming.py

docs/bank-format.md is the reference. Needs hard links (put-if-absent is link(2)).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

from blake3 import blake3

from karbor.banks import description, framed, incoming, tree
from karbor.banks.disk_errors import translated
from karbor.banks.options import flag, refuse_unknown
from karbor.domain.errors import (
    BadInput,
    BankReadOnly,
    BankUnavailable,
    NewerFormat,
    ObjectDamaged,
    ObjectExists,
    ObjectMissing,
)
from karbor.plugin.bank import Stored, check_key, check_range

PART = 4 * 1024 * 1024
"""Bytes read at a time, and the most that `get` hands out at once."""

FORGET = 1024 * 1024
"""Objects from this size on are dropped from the page cache once they are on the disk: they would
displace what is needed, and a read-back would prove the memory instead of the disk."""

TRIES = 100


class DirectoryBank:
    """Options: `path`, the directory (`file_system_bank_path` is the same, and the directory
    `bank_object_container` in it, if that is given, as in Karbor 1.x); `create` (default true):
    make a bank of it if it is missing or empty. With `create` false that is an error: for mount
    points, which are empty when nothing is mounted.

    Raises BadInput (options; a directory that has something else in it), NewerFormat, BankError.
    """

    section: ClassVar[str] = "file_system_bank_plugin"
    service: ClassVar[str] = ""

    def __init__(self, options: Mapping[str, Any]) -> None:
        refuse_unknown(options, "a bank in a directory", ("path", "create"),
                       {"file_system_bank_path", "bank_object_container"})
        path = options.get("path") or options.get("file_system_bank_path")
        if not isinstance(path, str | Path) or not str(path):
            raise BadInput("a bank in a directory needs the option path")
        path = Path(path) / str(options.get("bank_object_container") or "")
        create = flag(options, "create", True)
        self._root = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100  keeps symlinks
        self._objects = self._root / description.OBJECTS
        self._incoming = self._root / description.INCOMING
        self.id = description.opened(self._root, create=create, now=time.time())
        with suppress(BankReadOnly), translated(f"tidy {self._incoming}", writing=True):
            # A bank that may only be read still restores; its leftovers wait.
            incoming.sweep(self._incoming, time.time())

    # ------------------------------------------------------------------ writing
    def put(self, key: str, body: Iterable[bytes], *, absent: bool = False) -> Stored:
        path = tree.path_of(self._objects, check_key(key))
        with self._writing(key):
            if absent and path.exists():    # spares reading the body; link() decides
                raise _exists(key)
        size, hashed = 0, blake3()
        with ExitStack() as stack:
            with self._writing(key):
                fd, temporary = stack.enter_context(incoming.incoming_file(self._incoming))
            for chunk in body:              # its errors are the caller's own and pass as they are
                with self._writing(key):
                    _write(fd, chunk)
                hashed.update(chunk)
                size += len(chunk)
            stored = Stored(key, size, hashed.hexdigest())
            with self._writing(key):
                _write(fd, framed.trailer(size, stored.checksum))
                os.fsync(fd)
                if size >= FORGET:
                    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                self._publish(temporary, path, key, absent=absent)
        return stored

    def _publish(self, temporary: Path, path: Path, key: str, *, absent: bool) -> None:
        for _ in range(TRIES):
            try:
                self._make_directories(path.parent)
                if absent:
                    os.link(temporary, path, follow_symlinks=False)
                else:
                    temporary.replace(path)
                tree.sync_upwards(path.parent, self._objects)
                return
            except FileExistsError:
                raise _exists(key) from None
            except FileNotFoundError:
                # A removal took the directory that had just become empty: make it again. Anything
                # else that is missing does not come back by trying.
                if not temporary.exists():
                    break
                self._present()
        raise BankUnavailable(f"cannot write {key}: its directory or its file vanishes again and "
                              f"again below {self._root}")

    def _make_directories(self, directory: Path) -> None:
        """Make a directory and its parents, but never `objects` itself: where that is missing, no
        bank is mounted."""
        if directory == self._objects or directory.is_dir():
            return
        self._make_directories(directory.parent)
        with suppress(FileExistsError):
            directory.mkdir(mode=0o700)

    def delete(self, keys: Sequence[str]) -> None:
        paths = [tree.path_of(self._objects, check_key(key)) for key in keys]
        self._present()
        with translated(f"remove objects of the bank {self._root}", writing=True):
            for path in paths:
                path.unlink(missing_ok=True)
            for directory in sorted({path.parent for path in paths}, reverse=True):
                tree.remove_empty(directory, self._objects)
                tree.sync_nearest(directory, self._objects)

    # ------------------------------------------------------------------ reading
    def get(self, key: str) -> Iterator[bytes]:
        path = tree.path_of(self._objects, check_key(key))
        with self._opened(path, key) as fd, self._reading(key):
            framed.record(fd, key)      # what can be told at once is raised at once
        return self._chunks(path, key)

    def _chunks(self, path: Path, key: str) -> Iterator[bytes]:
        """Yield the bytes of an object. Each chunk is held back until the next one is read, and the
        last one until the checksum is known to be right: of an object of one chunk no wrong byte
        gets out."""
        hashed, chunk = blake3(), b""
        with self._opened(path, key) as fd:
            with self._reading(key):
                left, checksum = framed.record(fd, key)
            while left:
                if chunk:
                    yield chunk
                with self._reading(key):
                    chunk = os.read(fd, min(left, PART))
                if not chunk:
                    raise ObjectDamaged(f"the bank's object {key} became shorter while it was read")
                hashed.update(chunk)
                left -= len(chunk)
        if hashed.hexdigest() != checksum:
            raise ObjectDamaged(f"the bank's object {key} is damaged: its bytes do not have the "
                                "checksum that was written with them",
                                remedy=f"look after the disk; the file is {path}")
        if chunk:
            yield chunk

    def read(self, key: str, offset: int, length: int) -> bytes:
        check_range(offset, length)
        path = tree.path_of(self._objects, check_key(key))
        parts: list[bytes] = []
        with self._opened(path, key) as fd, self._reading(key):
            size, _ = framed.record(fd, key)
            end = min(offset + length, size)
            while offset < end:
                part = os.pread(fd, min(end - offset, PART), offset)
                if not part:
                    raise ObjectDamaged(f"the bank's object {key} became shorter while it was read")
                parts.append(part)
                offset += len(part)
        return b"".join(parts)

    def stat(self, key: str) -> Stored | None:
        path = tree.path_of(self._objects, check_key(key))
        try:
            with self._opened(path, key) as fd, self._reading(key):
                return Stored(key, *framed.record(fd, key))
        except ObjectMissing:
            return None

    def room(self) -> int | None:
        with translated(f"ask for the room of {self._root}"):
            told = os.statvfs(self._root)
        return told.f_bavail * told.f_frsize

    def list(self, prefix: str = "", *, after: str = "", limit: int = 1000) -> list[Stored]:
        storeds: list[Stored] = []
        if limit <= 0:
            return storeds
        with self._reading("the list of objects"), closing(
                tree.walk(self._objects, prefix, after)) as walk:
            for key, path in walk:
                with suppress(ObjectMissing), self._opened(path, key) as fd:
                    storeds.append(_listed(fd, key))
                if len(storeds) == limit:
                    break
        return storeds

    @contextmanager
    def _opened(self, path: Path, key: str) -> Iterator[int]:
        """Open the file of an object. Raises ObjectMissing, but BankUnavailable when there is no
        bank at all: an empty mount point must not look like a bank without checkpoints."""
        with self._reading(key):
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                self._present()
                raise ObjectMissing(f"the bank has no object {key}") from None
        try:
            yield fd
        finally:
            os.close(fd)

    def _present(self) -> None:
        with self._reading("the description"):
            present = (self._root / description.FILE).exists()
        if not present:
            raise BankUnavailable(f"the bank {self._root} is gone",
                                  remedy="is its file system mounted?")

    def _writing(self, key: str) -> AbstractContextManager[None]:
        return translated(f"write {key} to the bank {self._root}", writing=True)

    def _reading(self, key: str) -> AbstractContextManager[None]:
        return translated(f"read {key} of the bank {self._root}")


def _listed(fd: int, key: str) -> Stored:
    """Return what a list says of an object. One whose record is damaged has no checksum there: it
    can be deleted, and one bad file does not hide all others."""
    try:
        return Stored(key, *framed.record(fd, key))
    except (ObjectDamaged, NewerFormat):
        return Stored(key, max(os.fstat(fd).st_size - framed.LENGTH, 0), "")


def _write(fd: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(fd, view):]


def _exists(key: str) -> ObjectExists:
    return ObjectExists(f"the bank has an object {key} already")
