"""FileLocks: `flock` on a file, which the kernel lets go of however the process ends.

The file holds the process id, so that another process can be told who has it. The directory must
be on a file system of this machine.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from karbor.domain.errors import Conflict, StoreUnavailable
from karbor.durable.locks import Process, machine, proper

LOG = logging.getLogger(__name__)
_TRIES, _PAUSE = 20, 0.01   # `holder` has a lock for microseconds: long enough to be in the way


class HeldFile:
    """See `locks.Held`. The kernel never takes it away, so nobody has to be told."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            # Removed while it is locked; who opened it before sees that it is no longer the file
            # of that name, and begins again.
            try:
                self._path.unlink(missing_ok=True)
            except OSError as error:    # the lock goes all the same: whoever finds it free takes it
                LOG.warning("the file of a lock stays: %s", error)
            finally:
                os.close(descriptor)

    def tell(self, lost: threading.Event) -> None:
        pass


class FileLocks:
    """See `locks.Locks`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def take(self, name: str) -> HeldFile:
        path = self._path(name)
        for _ in range(_TRIES):
            try:
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise StoreUnavailable(f"no lock can be made in {self._directory}: "
                                       f"{error.strerror}") from error
            try:
                if self._locked(path, descriptor):
                    os.truncate(descriptor, 0)
                    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
                    return HeldFile(path, descriptor)
            except OSError as error:    # the disk is full: nobody must hold it for us
                os.close(descriptor)
                raise StoreUnavailable(f"no lock can be made in {self._directory}: "
                                       f"{error.strerror}") from error
            os.close(descriptor)
            time.sleep(_PAUSE)
        pid = self.holder(name)
        who = f"process {pid}" if pid else "another process"
        raise Conflict(f"{name} is being driven by {who}",
                       remedy="wait for it, or end that process and resume")

    def holder(self, name: str) -> int | None:
        try:
            descriptor = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreUnavailable(f"no lock can be looked at in {self._directory}: "
                                   f"{error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            told = os.pread(descriptor, 20, 0)
            return int(told) if told.isdigit() else 0
        finally:
            os.close(descriptor)    # which gives back a lock we got by asking
        return None

    def holders(self, names: Iterable[str]) -> dict[str, int]:
        return {name: pid for name in names if (pid := self.holder(name)) is not None}

    def processes(self, names: Iterable[str]) -> dict[str, Process]:
        return {name: Process(pid, machine()) for name, pid in self.holders(names).items()}

    def close(self) -> None:
        pass        # each is closed by itself

    @staticmethod
    def _locked(path: Path, descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return os.path.samestat(path.stat(), os.fstat(descriptor))
        except (BlockingIOError, FileNotFoundError):
            return False

    def _path(self, name: str) -> Path:
        return self._directory / f"{proper(name)}.lock"
