"""Locks that die with their process: one per operation under way, beside an SQLite database.

The lock is `flock` on a file: the kernel lets go of it however the process ends. The file holds
the process id, so that another process can be told who has it. The directory must be on a file
system of this machine.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from karbor.domain.errors import Conflict, StoreUnavailable

_TRIES, _PAUSE = 20, 0.01   # `holder` has a lock for microseconds: long enough to be in the way
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Held:
    """A lock we have. `release` may be called twice, and from another thread."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            # Removed while it is locked; who opened it before sees that it is no longer the file
            # of that name, and begins again.
            self._path.unlink(missing_ok=True)
            os.close(descriptor)


@contextmanager
def released_on_error(held: Held) -> Iterator[None]:
    try:
        yield
    except BaseException:
        held.release()
        raise


class Locks:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def take(self, name: str) -> Held:
        """Raises Conflict, with the process that has it; StoreUnavailable when no file can be
        made. Taking a lock twice in one process is a Conflict too."""
        path = self._path(name)
        for _ in range(_TRIES):
            try:
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise StoreUnavailable(f"no lock can be made in {self._directory}: "
                                       f"{error.strerror}") from error
            if self._locked(path, descriptor):
                os.truncate(descriptor, 0)
                os.pwrite(descriptor, str(os.getpid()).encode(), 0)
                return Held(path, descriptor)
            os.close(descriptor)
            time.sleep(_PAUSE)
        pid = self.holder(name)
        who = f"process {pid}" if pid else "another process"
        raise Conflict(f"{name} is being driven by {who}",
                       remedy="wait for it, or end that process and resume")

    def holder(self, name: str) -> int | None:
        """The id of the process that has the lock (0: not known yet); None: nobody."""
        try:
            descriptor = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            told = os.pread(descriptor, 20, 0)
            return int(told) if told.isdigit() else 0
        finally:
            os.close(descriptor)    # which gives back a lock we got by asking
        return None

    @staticmethod
    def _locked(path: Path, descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return os.path.samestat(path.stat(), os.fstat(descriptor))
        except (BlockingIOError, FileNotFoundError):
            return False

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(f"not the name of a lock: {name!r}")
        return self._directory / f"{name}.lock"


def operation_locks(state_dir: Path) -> Locks:
    """The locks of the operations whose database is in `state_dir`: who drives them right now."""
    return Locks(state_dir / "locks")
