"""Files that are being written, and what is left of those whose writer has died.

Every writer holds a lock (flock) on its file, which ends with its process however it dies. A file
of this host that nobody holds is a leftover. Of another host's files that cannot be known for
certain (a network file system may keep locks to each host), so those must also be old.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

GRACE = 24 * 3600.0
"""Seconds after its last write until a file of another host, or one on a file system that has no
locks, counts as left behind."""

_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


def this_host() -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:60] or "unnamed"


@contextmanager
def incoming_file(directory: Path) -> Iterator[tuple[int, Path]]:
    """Make a new file, open for writing and locked; closed and unlinked at the end, so that only
    what was published under another name stays. Raises OSError."""
    while True:
        path = directory / f"{this_host()}.{os.getpid()}.{secrets.token_hex(8)}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _lock(fd, wait=True)
            if os.fstat(fd).st_nlink:
                yield fd, path
                return
            # A sweeper found it between its creation and its lock: make another one.
        finally:
            # How the write itself ended counts; a name that cannot be removed now is swept later.
            with suppress(OSError):
                path.unlink()
            os.close(fd)


def sweep(directory: Path, now: float) -> list[str]:
    """Remove what dead writers have left; returns the names. Raises OSError."""
    removed = []
    with os.scandir(directory) as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        path = directory / name
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue        # its writer has just finished
        try:
            ours = name.startswith(f"{this_host()}.")
            old = now - os.fstat(fd).st_mtime > GRACE
            held = _lock(fd, wait=False)
            if held is False or not (old or (held and ours)):
                continue
            with suppress(FileNotFoundError):
                path.unlink()
                removed.append(name)
        finally:
            os.close(fd)
    return removed


def _lock(fd: int, *, wait: bool) -> bool | None:
    """Try to lock the file. True: we hold it; False: another does; None: this file system has no
    locks."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True
