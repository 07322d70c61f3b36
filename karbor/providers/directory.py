"""The files of providers, read again when they change."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from karbor.domain.errors import BadInput
from karbor.providers.provider_file import ProviderFile, read

_Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class LoadedProviderFile:
    """The files as they stand: those that are good, and what is wrong with the others."""

    good: tuple[ProviderFile, ...] = ()
    broken: tuple[BadInput, ...] = ()


class ProviderDirectory:
    """`*.conf` in one directory; files that begin with a dot are passed over. Safe for threads.

    Whether anything has changed is seen by names, sizes, times and inodes, at each use. `told`
    hears of what is wrong with a file once, when it is read.
    """

    def __init__(self, path: Path, *, must_exist: bool,
                 told: Callable[[BadInput], None] = lambda _error: None) -> None:
        self.path = path
        self._must_exist = must_exist
        self._told = told
        self._stamps: dict[str, _Stamp] | None = None
        self._read: dict[str, tuple[_Stamp, ProviderFile | BadInput]] = {}
        self._shelved = LoadedProviderFile()
        self._lock = threading.Lock()

    def files(self) -> LoadedProviderFile:
        """Return what is read from each file. Raises BadInput when there is no such directory,
        though somebody named it."""
        with self._lock:
            stamps = self._look()
            if stamps != self._stamps:
                self._read = {name: self._once(name, stamp) for name, stamp in stamps.items()}
                self._shelved = _sorted_out([found for _, found in self._read.values()])
                self._stamps = stamps
                for error in self._shelved.broken:
                    self._told(error)
            return self._shelved

    def _look(self) -> dict[str, _Stamp]:
        try:
            with os.scandir(self.path) as entries:
                names = sorted(entry.name for entry in entries if entry.name.endswith(".conf")
                               and not entry.name.startswith("."))
        except FileNotFoundError:
            if self._must_exist:
                raise BadInput(f"there is no directory {self.path}",
                               remedy="make it, or correct [DEFAULT] provider_config_dir"
                               ) from None
            return {}
        except OSError as error:
            raise BadInput(f"{self.path} cannot be read: {error.strerror}") from error
        found = {}
        for name in names:
            try:
                seen = (self.path / name).stat()
            except OSError:
                found[name] = (0, 0, 0)     # gone, or a dangling link: reading it will tell
                continue
            found[name] = (seen.st_mtime_ns, seen.st_size, seen.st_ino)
        return found

    def _once(self, name: str, stamp: _Stamp) -> tuple[_Stamp, ProviderFile | BadInput]:
        """Return what a file says. One that has not changed is not read again: it stays the same
        object."""
        before = self._read.get(name)
        if before is not None and before[0] == stamp:
            return before
        try:
            return stamp, read(self.path / name)
        except BadInput as error:
            return stamp, error


def _sorted_out(found: list[ProviderFile | BadInput]) -> LoadedProviderFile:
    """Leave out what contradicts itself. Of two that bear one id or one name neither counts: nobody
    can say which was meant."""
    files = [one for one in found if isinstance(one, ProviderFile)]
    broken = [one for one in found if isinstance(one, BadInput)]
    same: dict[tuple[ProviderFile, ...], list[str]] = defaultdict(list)
    for what in ("id", "name"):
        bearers = defaultdict(list)
        for file in files:
            bearers[str(getattr(file, what)).lower()].append(file)
        for several in bearers.values():
            if len(several) > 1:
                same[tuple(several)].append(f"{what} {getattr(several[0], what)}")
    for those, whats in same.items():
        broken.append(BadInput(
            f"{' and '.join(str(file.path) for file in those)} bear the same "
            f"{' and '.join(whats)}: neither is used",
            remedy="every provider has an id and a name of its own"))
    doubled = {file.path for those in same for file in those}
    return LoadedProviderFile(tuple(one for one in files if one.path not in doubled), tuple(broken))
