"""The volume protection on the real Cinder and Swift, byte for byte."""

from __future__ import annotations

import contextlib
import pathlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from karbor_testing.bank import MemoryBank

from karbor.clients.cloud import OpenStackCloud
from karbor.clients.connect import connect
from karbor.domain.errors import CloudConflict, ObjectMissing
from karbor.domain.resource import VOLUME, Resource
from karbor.domain.step import Failed, Hook
from karbor.plugin.protectable import DiscoveryLists
from karbor.protectables.volume import Volumes as VolumesOfProject
from karbor.protections.cinder.backup import Snapshot
from karbor.protections.cinder.backup_deletion import delete_backup
from karbor.protections.cinder.restore import Volume
from karbor.protections.cinder.volume_backup_plugin import VolumeBackup
from tests.cloud.by_hand import ByHand
from tests.cloud.conftest import Cloud
from tests.cloud.volume_bytes import Volumes

PLUGIN = VolumeBackup()
CONTAINER = "karbor-test-volume-protection"


@pytest.fixture
def mine(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenStackCloud]:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(cloud.clouds_yaml))
    with connect("demo") as opened:
        yield opened


@pytest.fixture
def volumes(cloud: Cloud, mine: OpenStackCloud, tmp_path: pathlib.Path) -> Iterator[Volumes]:
    directory = tmp_path / "karbor-volume-protection"
    directory.mkdir()
    with cloud.connection() as connection:
        yield Volumes(connection, cloud.volumes, directory)
    sweep(mine, directory.name)


def sweep(cloud: OpenStackCloud, name: str) -> None:
    """Nothing stays of a test that failed; what is busy is asked again until it can go."""
    cinder = cloud.api("cinder")
    end = time.monotonic() + 120
    while time.monotonic() < end:
        backups = [one for one in cinder.list("/backups/detail", "backups")
                   if one["container"] == CONTAINER]
        volumes = [one for one in cinder.list("/volumes/detail", "volumes")
                   if one["name"] in (name, "karbor-test-undone")]
        if not backups and not volumes:
            return
        for one in sorted(backups, key=lambda one: not one["is_incremental"]):
            with contextlib.suppress(CloudConflict):
                delete_backup(cloud, one["id"])
        for one in volumes:
            with contextlib.suppress(CloudConflict):
                cinder.delete(f"/volumes/{one['id']}", params={"cascade": "true"})
        threading.Event().wait(1.0)
    raise AssertionError(f"left behind: {backups} {volumes}")


def found(mine: OpenStackCloud, id: str) -> Resource:
    return next(one for one in VolumesOfProject().list(DiscoveryLists(mine)) if one.id == id)


def protect(mine: OpenStackCloud, resource: Resource, mode: str) -> ByHand:
    run = ByHand(mine, resource, MemoryBank(),
                 parameters={"backup_mode": mode, "container": CONTAINER})
    run.run(PLUGIN.protect(resource))
    snapshot = run.saved_ones["snapshot"]["id"]
    run.undo(Snapshot())            # as Karbor releases what is temporary
    assert mine.look("cinder.snapshot", snapshot) is None
    run.run(PLUGIN.verify(resource))
    return run


def objects(mine: OpenStackCloud) -> list[str]:
    return [one["name"] for one in mine.api("swift").list(f"/{CONTAINER}", "")]


def test_volumes_are_kept_proved_restored_and_deleted(
        mine: OpenStackCloud, volumes: Volumes) -> None:
    volume, content = volumes.filled()
    mine.api("cinder").put(f"/volumes/{volume.id}/metadata", {"metadata": {"role": "orders"}})
    mine.api("cinder").post(f"/volumes/{volume.id}/action",
                            {"os-set_image_metadata": {"metadata": {"image_name": "cirros"}}})
    mine.api("cinder").post(f"/volumes/{volume.id}/action",
                            {"os-set_bootable": {"bootable": True}})
    resource = found(mine, volume.id)
    assert list(PLUGIN.protect_obstacles([resource], mine)) == []

    full = protect(mine, resource, "auto")          # nothing to build upon yet
    assert full.saved_ones["backup"]["is_incremental"] is False
    proof = full.saved_ones["read_back"]
    assert proof["evidence"] == "objects"
    assert proof["chain"][0]["objects"] > 1

    volumes.write(volume, content, (50 << 20, bytes(2 << 20)), (700 << 20, volumes.noise(5000)))
    second = protect(mine, resource, "auto")
    assert second.saved_ones["backup"]["is_incremental"] is True
    chain = [one["backup"] for one in second.saved_ones["read_back"]["chain"]]
    assert chain == [second.saved_ones["backup"]["id"], full.saved_ones["backup"]["id"]]

    restored = restore(mine, resource, second)
    assert content.same(volumes.file(restored))
    original = mine.api("cinder").get(f"/volumes/{volume.id}")["volume"]
    for field in ("name", "description", "size", "volume_type", "bootable", "metadata",
                  "volume_image_metadata", "availability_zone"):
        assert restored.shown[field] == original[field], field

    delete_in_turn(mine, resource, full, second)
    volumes.delete_volumes(volume, volumes.cinder.get_volume(restored.id))


def restore(mine: OpenStackCloud, resource: Resource, kept: ByHand) -> Any:
    run = ByHand(mine, resource, MemoryBank(), kept=kept.saved_ones)
    stages = PLUGIN.restore(resource)[Hook.MAIN]
    first = run.entry(stages[0])            # its outcome is lost: the process died
    assert not isinstance(first, Failed)
    adopted = run.entry(stages[0], entered_before=True)
    assert adopted.handle == {**first.handle, "entered_again": True}   # type: ignore[union-attr]
    run.handles["volume"] = adopted.handle  # type: ignore[union-attr]
    run.run(PLUGIN.restore(resource))
    marked = [one for one in mine.api("cinder").list("/volumes/detail", "volumes")
              if run.operation_id in str(one["metadata"])]
    assert marked == []
    return Shown(mine.api("cinder").get(f"/volumes/{run.saved_ones['restored']['id']}")["volume"])


class Shown:
    """A volume as Cinder's API shows it; the SDK's leaves out what it does not know."""

    def __init__(self, shown: dict[str, Any]) -> None:
        self.shown = shown
        self.id = shown["id"]


def delete_in_turn(mine: OpenStackCloud, resource: Resource, full: ByHand, second: ByHand) -> None:
    """The full one is deferred while the incremental one exists; then it goes."""
    first = ByHand(mine, resource, MemoryBank(), kept=full.saved_ones)
    first.run(PLUGIN.remove(resource))
    id = full.saved_ones["backup"]["id"]
    assert first.saved_ones["backup_removed"]["deferred"]["id"] == id
    assert PLUGIN.delete_deferred(first.saved_ones["backup_removed"]["deferred"], mine) is False

    # With the full one's data gone the incremental one is worth nothing, and verify says so.
    lost = next(name for name in objects(mine) if id in name and name.endswith("-00001"))
    mine.api("swift").delete(f"/{CONTAINER}/{lost}")
    verify = ByHand(mine, resource, MemoryBank(), kept=second.saved_ones)
    with pytest.raises(ObjectMissing, match="00001"):
        verify.run(PLUGIN.verify(resource))
    # Nothing more is built upon it: the next one is a full one, and says why.
    third = protect(mine, resource, "incremental")
    assert third.saved_ones["backup"]["is_incremental"] is False
    assert lost in third.saved_ones["base"]["note"]
    assert third.saved_ones["read_back"]["evidence"] == "objects"
    ByHand(mine, resource, MemoryBank(), kept=third.saved_ones).run(PLUGIN.remove(resource))

    last = ByHand(mine, resource, MemoryBank(), kept=second.saved_ones)
    last.run(PLUGIN.remove(resource))
    assert last.saved_ones["backup_removed"] == {"deleted": second.saved_ones["backup"]["id"]}
    again = ByHand(mine, resource, MemoryBank(), kept=full.saved_ones)
    again.run(PLUGIN.remove(resource))
    assert again.saved_ones["backup_removed"] == {"deleted": id}
    assert delete_backup(mine, id) is True      # idempotent
    assert objects(mine) == []
    mine.api("swift").delete(f"/{CONTAINER}")


def test_a_snapshot_that_was_cut_off_is_adopted_and_undone(
        mine: OpenStackCloud, volumes: Volumes) -> None:
    volume = volumes.new()
    run = ByHand(mine, found(mine, volume.id), MemoryBank())
    lost = run.entry(Snapshot())
    adopted = run.entry(Snapshot(), entered_before=True)
    assert adopted.handle == {**lost.handle, "entered_again": True}   # type: ignore[union-attr]
    run.undo(Snapshot())                        # it knows no id: it finds the mark
    left = mine.api("cinder").list("/snapshots/detail", "snapshots",
                                   params={"volume_id": volume.id})
    assert left == []
    made = ByHand(mine, Resource(VOLUME, volume.id, "x"), MemoryBank(), kept={"backup": {
        "id": "none", "size": 1, "volume": {
            "name": "karbor-test-undone", "description": "", "volume_type": "file",
            "availability_zone": "", "metadata": {}, "size": 1}}})
    made.entry(Volume())
    made.undo(Volume())
    names = [one["name"] for one in mine.api("cinder").list("/volumes/detail", "volumes")]
    assert "karbor-test-undone" not in names
    volumes.delete_volumes(volume)
