"""The development cloud's volumes, byte for byte, on every path by which Cinder moves data.

The volume driver is our own (dev/devcloud/plugins/devcloud_volume.py): what Karbor's tests say
about volumes is worth as much as this proof.
"""

from __future__ import annotations

import concurrent.futures
import pathlib
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .volume_bytes import GIB, MIB, Content, Volumes, wait


def snapshots(v: Volumes, image: Any) -> None:
    """Of a detached and of an attached volume; the volume goes on, is extended, is deleted."""
    volume, content = v.filled()
    detached, first = v.snapshot(volume), content.copy("first")
    v.write(volume, content, (MIB, v.noise(MIB)), (GIB - 99, v.noise(99)))
    second = content.copy("second")
    with v.attached(volume, image):
        attached = v.snapshot(volume, is_forced=True)
        v.write(volume, content, (0, bytes(2 * MIB)), (700 * MIB, v.noise(MIB)))
        small = v.new(snapshot_id=detached.id)
        large = v.new(2, snapshot_id=attached.id)
        assert v.same(small, first), "volume from the snapshot of a detached volume"
        assert v.same(large, second.copy("large", 2 * GIB)), "larger volume from a snapshot"
        v.delete_snapshots(attached)
        assert v.same(volume, content), "attached volume, a snapshot of it deleted"
        v.cinder.extend_volume(volume, 2)
        assert wait(lambda: v.get(volume), "in-use").size == 2
        content = content.copy("extended", 2 * GIB)
        v.write(volume, content, (2 * GIB - 10, v.noise(10)))
    assert v.same(volume, content), "volume after it was extended while attached, and detached"
    assert v.cinder.delete(f"/volumes/{volume.id}").status_code == 400, "it has a snapshot"
    v.delete_snapshots(detached)
    v.delete_volumes(volume)
    assert v.same(small, first), "volume from a snapshot, snapshot and source deleted"
    v.delete_volumes(small, large)


def clones(v: Volumes, _image: Any) -> None:
    """A clone and its source do not share anything; both grow."""
    volume, content = v.filled()
    original = content.copy("original")
    clone, large = v.new(source_volume_id=volume.id), v.new(2, source_volume_id=volume.id)
    v.write(volume, content, (0, v.noise(MIB)))
    assert v.same(clone, original), "clone"
    assert v.same(large, original.copy("large", 2 * GIB)), "larger clone"
    assert v.same(volume, content), "the source, written to"
    snapshot = v.snapshot(volume)
    v.cinder.extend_volume(volume, 2)
    assert v.available(volume).size == 2
    assert v.same(volume, content.copy("extended", 2 * GIB)), "extended volume with a snapshot"
    before = v.new(snapshot_id=snapshot.id)
    assert v.same(before, content), "volume from the snapshot of before the extension"
    v.delete_snapshots(snapshot)
    v.delete_volumes(volume, before)
    assert v.same(clone, original), "clone, source deleted"
    v.delete_volumes(clone, large)


def images(v: Volumes, image: Any) -> None:
    """A volume from an image, and images from a volume, also from one that has snapshots."""
    source = Content(v.directory / "source", data=(v.directory.parent / "image").read_bytes())
    volume = v.new(image_id=image.id)
    assert v.same(volume, source), "volume from a raw image"
    for disk_format, snapshots in (("raw", []), ("qcow2", [v.snapshot(volume)])):
        made = v.cinder.upload_volume_to_image(
            volume, "test", disk_format=disk_format, container_format="bare"
        )
        uploaded = wait(lambda i=made["image_id"]: v.connection.image.get_image(i), "active")
        v.available(volume)
        file = v.directory / disk_format
        v.connection.image.download_image(uploaded, stream=True, output=str(file))
        if disk_format != "raw":
            again = v.new(image_id=uploaded.id)
            assert v.same(again, source), f"volume from a {disk_format} image"
            v.delete_volumes(again)
            plain = v.directory / "plain"
            subprocess.run(["qemu-img", "convert", "-O", "raw", file, plain], check=True)
            file = plain
        assert source.same(file), f"{disk_format} image from a volume with snapshots {snapshots}"
        v.connection.image.delete_image(uploaded)
        if snapshots:
            v.delete_snapshots(*snapshots)
    v.delete_volumes(volume)


def backups(v: Volumes, image: Any) -> None:
    """Full, incremental, of a snapshot and of an attached volume; all outlive their volume."""
    volume, content = v.filled()
    made = [(v.backup(volume), content.copy("full"), "full")]
    v.write(
        volume,
        content,
        (2 * MIB, v.noise(100)),
        (50 * MIB, bytes(MIB)),  # data becomes zeros
        (900 * MIB, v.noise(MIB)),
        (GIB - 7, v.noise(7)),
    )
    snapshot, frozen = v.snapshot(volume), content.copy("frozen")
    v.write(volume, content, (0, v.noise(MIB)), (GIB - 3, v.noise(3)))
    with v.attached(volume, image):
        refused = v.cinder.post("/backups", json={"backup": {"volume_id": volume.id}})
        assert refused.status_code == 400, "an attached volume without force"
        incremental = v.backup(volume, force=True, is_incremental=True)
        assert incremental.is_incremental
        made.append((incremental, content.copy("incremental"), "incremental, attached"))
        v.write(volume, content, (10 * MIB, v.noise(9)))
        made.append((v.backup(volume, force=True), content.copy("attached"), "full, attached"))
        v.write(volume, content, (10 * MIB, v.noise(9)))
        of_snapshot = v.backup(volume, snapshot_id=snapshot.id, force=True)
        made.append((of_snapshot, frozen, "of a snapshot, attached"))
        assert v.same(volume, content), "attached volume after its backups"
    v.delete_snapshots(snapshot)
    v.delete_volumes(volume)
    for backup, expected, what in made:
        volume = v.restored(backup)
        assert v.same(volume, expected), f"restored: {what}"
        v.delete_volumes(volume)
    refused = v.cinder.delete(f"/backups/{made[0][0].id}")
    assert refused.status_code == 400, "a full backup with an incremental one on it"
    v.gone(v.cinder.delete_backup, incremental)
    v.gone(v.cinder.delete_backup, *(backup for backup, _, _ in made if backup != incremental))
    left = [o.name for o in v.connection.object_store.objects(v.container)]
    assert not left, f"objects of deleted backups: {left[:3]}"
    v.connection.object_store.delete_container(v.container)


SCENARIOS = (backups, snapshots, images, clones)  # the longest first


@pytest.fixture(scope="module")
def running(
    request: pytest.FixtureRequest, cloud: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, concurrent.futures.Future[float]]]:
    """The selected scenarios, running at the same time: each test waits for its own."""
    directory = tmp_path_factory.mktemp(f"volumes-{time.time_ns():x}")
    wanted = {
        item.callspec.params["scenario"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == request.path
    }
    yield from _run(cloud, directory, [s for s in SCENARIOS if s in wanted])


def _run(
    cloud: Any, directory: pathlib.Path, scenarios: list[Callable[[Volumes, Any], None]]
) -> Iterator[dict[str, concurrent.futures.Future[float]]]:
    (directory / "image").write_bytes(bytes(range(256)) * (20 * MIB // 256) + b"the end".ljust(512))

    def timed(scenario: Callable[[Volumes, Any], None], image: Any) -> float:
        begin = time.monotonic()
        with cloud.connection("demo") as connection:
            own = directory / scenario.__name__
            own.mkdir()
            scenario(Volumes(connection, cloud.volumes, own), image)
        return time.monotonic() - begin

    with cloud.connection("demo") as connection:
        image = connection.image.create_image(
            name=directory.name,
            data=(directory / "image").read_bytes(),
            disk_format="raw",
            container_format="bare",
            allow_duplicates=True,
            wait=True,
        )
        with concurrent.futures.ThreadPoolExecutor() as pool:
            yield {s.__name__: pool.submit(timed, s, image) for s in scenarios}
        connection.image.delete_image(image)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_bytes(
    scenario: Callable[[Volumes, Any], None],
    running: dict[str, concurrent.futures.Future[float]],
    record_property: Callable[[str, object], None],
) -> None:
    record_property("seconds", running[scenario.__name__].result())
