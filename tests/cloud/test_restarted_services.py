"""Services that are killed while they work for an operation of the real `karbor` command, and
started again: the operation goes on, and nothing of the broken work is left."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.devcloud.processes import Processes
from tests.cloud.conftest import Cloud
from tests.cloud.karbor_command import Karbor, Running
from tests.cloud.small_application import until
from tests.cloud.somebody import Somebody, new_somebody

MIB = 1 << 20


@pytest.fixture
def somebody(cloud: Cloud) -> Iterator[Somebody]:
    with new_somebody(cloud) as one:
        yield one


@pytest.fixture
def karbor(somebody: Somebody, tmp_path: Path) -> Karbor:
    clouds = tmp_path / "clouds.yaml"
    clouds.write_text(yaml.safe_dump({"clouds": {"somebody": somebody.entry()}}))
    conf = tmp_path / "karbor.conf"
    conf.write_text("[waits]\nmade_anew_pause = 2\n")
    return Karbor(tmp_path, clouds, "somebody", {"KARBOR_CONFIG": str(conf)})


def killed(cloud: Cloud, process: str, when: Callable[[], bool]) -> None:
    """As soon as it does the work, as by a power cut; then it is started again."""
    until(f"{process} at work", when)
    Processes(cloud.state).signal(process, signal.SIGKILL)
    until(f"{process} dead", lambda: not Processes(cloud.state).alive(process))
    cloud.run("start", process)


def clear(mine: Any) -> None:
    storage = mine.block_storage
    for kind in ("backups", "snapshots", "volumes"):
        found = list(getattr(storage, kind)())
        for one in found:
            getattr(storage, f"delete_{kind[:-1]}")(one)
        for one in found:
            storage.wait_for_delete(one, interval=0.5, wait=180)


def test_cinder_backup_is_killed_while_it_backs_up_and_while_it_restores(
        cloud: Cloud, somebody: Somebody, karbor: Karbor) -> None:
    with somebody.connection() as mine:
        storage = mine.block_storage
        volume = storage.create_volume(name="data", size=1)
        until("volume available", lambda: storage.get_volume(volume).status == "available")
        data = os.urandom(300 * MIB)
        with (cloud.volumes / f"volume-{volume.id}").open("r+b") as file:
            file.write(data)

        running: Running = karbor.begin("protect", "data", "--name", "kept")
        killed(cloud, "cinder-backup", lambda: any(
            one.status == "creating" for one in storage.backups()))
        answer = running.end()
        assert answer.code == 0, answer
        assert "backup is made anew (1 of 2): backup" in answer.err
        assert [one.status for one in storage.backups()] == ["available"]
        assert list(storage.snapshots()) == []

        running = karbor.begin("restore", "kept")
        killed(cloud, "cinder-backup", lambda: any(
            one.status == "restoring-backup" for one in storage.volumes()))
        answer = running.end()
        assert answer.code == 0, answer
        assert "restored is made anew (1 of 2): the restored volume" in answer.err
        [new] = [one for one in storage.volumes() if one.id != volume.id]
        with (cloud.volumes / f"volume-{new.id}").open("rb") as file:
            assert file.read(len(data)) == data
        clear(mine)


def test_swift_is_killed_while_a_backup_is_written(
        cloud: Cloud, somebody: Somebody, karbor: Karbor) -> None:
    with somebody.connection() as mine:
        storage = mine.block_storage
        volume = storage.create_volume(name="data", size=1)
        until("volume available", lambda: storage.get_volume(volume).status == "available")
        with (cloud.volumes / f"volume-{volume.id}").open("r+b") as file:
            file.write(os.urandom(200 * MIB))
        running: Running = karbor.begin("protect", "data", "--name", "kept")
        killed(cloud, "swift-proxy", lambda: any(
            one.status == "creating" for one in storage.backups()))
        answer = running.end()
        assert answer.code == 0, answer
        assert [one.status for one in storage.backups()] == ["available"]
        assert list(storage.snapshots()) == []
        clear(mine)


def test_glance_is_killed_while_it_takes_an_image(
        cloud: Cloud, somebody: Somebody, karbor: Karbor) -> None:
    with somebody.connection() as mine:
        data = os.urandom(300 * MIB)
        image = mine.image.create_image(
            name="disk", data=data, disk_format="raw", container_format="bare", wait=True)
        karbor("protect", "image:disk", "--name", "kept")
        running = karbor.begin("restore", "kept")
        killed(cloud, "glance", lambda: any(one.status == "saving" for one in mine.image.images(
            owner=somebody.project.id)))
        answer = running.end()
        assert answer.code == 0, answer
        new = [one for one in mine.image.images(owner=somebody.project.id) if one.id != image.id]
        assert [one.status for one in new] == ["active"]
        assert new[0].checksum == mine.image.get_image(image).checksum
        for one in (image, *new):
            mine.image.delete_image(one)
