"""Keys as paths below one directory: made, removed and walked in the order of the keys.

`a/b` is the file `a/b+b3`. No key has a `+`, so a file never stands where another key needs a
directory: `a` and `a/b` may both exist.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

SUFFIX = "+b3"


def path_of(root: Path, key: str) -> Path:
    return root / (key + SUFFIX)


def sync_upwards(directory: Path, root: Path) -> None:
    """Make the names in `directory`, and those of all directories up to `root`, last. All of them,
    because another thread may have made one a moment ago and not have come to its sync yet."""
    for path in (directory, *directory.parents):
        sync_directory(path)
        if path == root:
            return


def sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def remove_empty(directory: Path, root: Path) -> None:
    """Remove `directory` if there is no file in or below it, then its parents as long as they are
    empty, but not `root`. Directories below may be empty when an earlier removal was cut off.
    Safe while others write: only a directory that is empty goes, and a writer makes it again."""
    if directory == root or not _remove_hollow(directory):
        return
    for parent in directory.parents:
        if parent == root or not _removed(parent):
            return


def _remove_hollow(directory: Path) -> bool:
    try:
        with os.scandir(directory) as entries:
            found = [(entry.is_dir(follow_symlinks=False), entry.path) for entry in entries]
    except FileNotFoundError:
        return True
    if not all(is_directory for is_directory, _ in found):
        return False
    return all(_remove_hollow(Path(path)) for _, path in found) and _removed(directory)


def _removed(directory: Path) -> bool:
    try:
        directory.rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def sync_nearest(directory: Path, root: Path) -> None:
    """Make removals last: sync the nearest directory that still exists."""
    for path in (directory, *directory.parents):
        with suppress(FileNotFoundError):
            sync_directory(path)
            return
        if path == root:
            return


def walk(root: Path, prefix: str, after: str) -> Generator[tuple[str, Path], None, None]:
    """Yield key and path of the objects whose key begins with `prefix` and comes after `after`, in
    order of their keys. Enters no directory that cannot have such keys. Raises FileNotFoundError
    when there is no `root`; what vanishes below it meanwhile is left out."""
    with os.scandir(root):
        pass
    yield from _walk(root, "", prefix, after)


def _walk(directory: Path, within: str, prefix: str, after: str
          ) -> Generator[tuple[str, Path], None, None]:
    names: list[tuple[str, str]] = []       # (how it sorts among the keys, its file name)
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX):
                    names.append((within + entry.name.removesuffix(SUFFIX), entry.name))
                elif entry.is_dir(follow_symlinks=False):
                    names.append((f"{within}{entry.name}/", entry.name))
    except FileNotFoundError:
        return
    for key, name in sorted(names):
        if not key.endswith("/"):
            if key > after and key.startswith(prefix):
                yield key, directory / name
        elif (key > after or after.startswith(key)) and (
                key.startswith(prefix) or prefix.startswith(key)):
            yield from _walk(directory / name, key, prefix, after)
