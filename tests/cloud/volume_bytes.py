"""Volumes whose contents a test knows: every write goes to the volume and to a file of the test.

Comparing whole files, sizes included, shows what Cinder did to the data, whatever it says.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import pathlib
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import IO, Any

MIB, GIB = 1 << 20, 1 << 30
_FAILED = {"error", "error_deleting", "error_extending", "error_restoring", "killed", "ERROR"}


class Content:
    """What a volume has to contain, as a sparse file."""

    def __init__(self, path: pathlib.Path, size: int = GIB, data: bytes = b"") -> None:
        self.path = path
        if data or not path.exists():
            path.write_bytes(data)
        os.truncate(path, size)

    def copy(self, name: str, size: int | None = None) -> Content:
        other = self.path.with_name(f"{self.path.name}-{name}")
        subprocess.run(["cp", "--sparse=always", self.path, other], check=True)
        return Content(other, size or self.path.stat().st_size)

    def same(self, file: pathlib.Path) -> bool:
        """Whether every byte is the same; what is a hole in both files is not read."""
        if file.stat().st_size != self.path.stat().st_size:
            return False
        with file.open("rb") as one, self.path.open("rb") as other:
            for start, end in itertools.chain(_data(one), _data(other)):
                for position in range(start, end, MIB):
                    size = min(MIB, end - position)
                    pieces = [os.pread(f.fileno(), size, position) for f in (one, other)]
                    if pieces[0] != pieces[1]:
                        return False
        return True


def _data(file: IO[bytes]) -> Iterator[tuple[int, int]]:
    """The parts of a sparse file that are not holes."""
    end = 0
    while True:
        try:
            start = os.lseek(file.fileno(), end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                return
            raise
        end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
        yield start, end


class Volumes:
    """One user's volumes, snapshots and backups, with their contents."""

    def __init__(self, connection: Any, volumes: pathlib.Path, directory: pathlib.Path) -> None:
        self.connection = connection
        self.cinder = connection.block_storage
        self.nova = connection.compute
        self.directory = directory
        self.container = f"devcloud-test-{directory.name}"
        self._volumes = volumes
        self._numbers = itertools.count(1)
        self._random = random.Random(directory.name)

    def noise(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def file(self, thing: Any, kind: str = "volume") -> pathlib.Path:
        return self._volumes / f"{kind}-{thing.id}"

    # ---------------------------------------------------------------- volumes
    def new(self, size: int = 1, **source: Any) -> Any:
        volume = self.cinder.create_volume(size=size, name=self.directory.name, **source)
        return self.available(volume)

    def filled(self) -> tuple[Any, Content]:
        """Data at the start, across an object boundary of the backup, and at the very end."""
        volume = self.new()
        content = Content(self.directory / f"content{next(self._numbers)}")
        places = ((0, 2 * MIB + 7), (50 * MIB - 11, MIB), (600 * MIB + 1, 1000), (GIB - 513, 513))
        self.write(volume, content, *((where, self.noise(size)) for where, size in places))
        return volume, content

    def write(self, volume: Any, content: Content, *places: tuple[int, bytes]) -> None:
        """As the guest would."""
        for where, data in places:
            for target in (self.file(volume), content.path):
                with target.open("r+b") as file:
                    file.seek(where)
                    file.write(data)

    def same(self, volume: Any, content: Content) -> bool:
        return content.same(self.file(volume))

    def get(self, volume: Any) -> Any:
        return self.cinder.get_volume(volume.id)

    def available(self, volume: Any) -> Any:
        return wait(lambda: self.get(volume), "available")

    # ---------------------------------------------------------------- snapshots and backups
    def snapshot(self, volume: Any, **options: Any) -> Any:
        made = self.cinder.create_snapshot(volume_id=volume.id, name="test", **options)
        return wait(lambda: self.cinder.get_snapshot(made.id), "available")

    def backup(self, volume: Any, **options: Any) -> Any:
        made = self.cinder.create_backup(
            volume_id=volume.id, name="test", container=self.container, **options
        )
        return wait(lambda: self.cinder.get_backup(made.id), "available")

    def restored(self, backup: Any) -> Any:
        """Into a volume that Cinder makes for it."""
        made = self.cinder.restore_backup(backup, name=self.directory.name)
        volume = self.available(self.cinder.get_volume(made.volume_id))
        wait(lambda: self.cinder.get_backup(backup.id), "available")
        return volume

    # ---------------------------------------------------------------- servers
    @contextlib.contextmanager
    def attached(self, volume: Any, image: Any) -> Iterator[None]:
        """Attached by Nova to a new server; detached and deleted through Nova."""
        flavor = self.nova.find_flavor("m1.nano", ignore_missing=False)
        server = self.nova.create_server(
            name=self.directory.name, flavor_id=flavor.id, image_id=image.id, networks="none"
        )
        server = wait(lambda: self.nova.get_server(server.id), "ACTIVE")
        self.nova.create_volume_attachment(server, volume_id=volume.id)
        wait(lambda: self.get(volume), "in-use")
        try:
            yield
        finally:
            if self.get(volume).status == "in-use":
                self.nova.delete_volume_attachment(server, volume.id)
            self.available(volume)
            self.nova.delete_server(server)
            self.nova.wait_for_delete(server, interval=0.5, wait=120)

    def gone(self, delete: Callable[[Any], Any], *things: Any) -> None:
        for thing in things:
            delete(thing)
        for thing in things:
            self.cinder.wait_for_delete(thing, interval=0.5, wait=180)

    def delete_volumes(self, *volumes: Any) -> None:
        self.gone(self.cinder.delete_volume, *volumes)
        left = [volume.id for volume in volumes if self.file(volume).exists()]
        assert not left, f"files of deleted volumes: {left}"

    def delete_snapshots(self, *snapshots: Any) -> None:
        self.gone(self.cinder.delete_snapshot, *snapshots)
        left = [s.id for s in snapshots if self.file(s, "snapshot").exists()]
        assert not left, f"files of deleted snapshots: {left}"


def wait(get: Callable[[], Any], status: str, patience: float = 240) -> Any:
    end = time.monotonic() + patience
    while True:
        thing = get()
        if thing.status == status:
            return thing
        reason = getattr(thing, "fail_reason", None) or ""
        assert thing.status not in _FAILED, f"{thing.id} went to {thing.status} {reason}"
        assert time.monotonic() < end, f"{thing.id} stays {thing.status}, not {status}"
        time.sleep(0.5)
