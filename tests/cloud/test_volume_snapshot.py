"""Snapshots that are the checkpoint, on the real Cinder, byte for byte."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest
from karbor_testing.bank import MemoryBank

from karbor.clients.cloud import OpenStackCloud
from karbor.clients.connect import connect
from karbor.domain.errors import ObjectMissing
from karbor.domain.resource import Resource, ResourceGraph
from karbor.domain.step import Failed, Hook
from karbor.plugin.protectable import DiscoveryLists
from karbor.plugin.protection import Target
from karbor.protectables.volume import Volumes as VolumesOfProject
from karbor.protections.cinder.snapshot import KeptSnapshot, evidence
from karbor.protections.cinder.volume_snapshot_plugin import VolumeSnapshot
from tests.cloud.by_hand import ByHand
from tests.cloud.conftest import Cloud
from tests.cloud.volume_bytes import Volumes

PLUGIN = VolumeSnapshot()


@pytest.fixture
def mine(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenStackCloud]:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(cloud.clouds_yaml))
    with connect("demo") as opened:
        yield opened


@pytest.fixture
def volumes(cloud: Cloud, tmp_path: pathlib.Path) -> Iterator[Volumes]:
    with cloud.connection() as connection:
        yield Volumes(connection, cloud.volumes, tmp_path)


def found(mine: OpenStackCloud, id: str) -> Resource:
    return next(one for one in VolumesOfProject().list(DiscoveryLists(mine)) if one.id == id)


def target(mine: OpenStackCloud, resource: Resource, run: ByHand) -> Target:
    return Target(mine, ResourceGraph.build([resource], lambda level: {}),
                  lambda stage, _resource: run.saved_ones.get(stage, {}), lambda _resource: {})


def shown(mine: OpenStackCloud, id: str) -> dict[str, object]:
    return dict(mine.api("cinder").get(f"/volumes/{id}")["volume"])


def test_a_volume_is_kept_restored_and_deleted(mine: OpenStackCloud, volumes: Volumes) -> None:
    cinder = mine.api("cinder")
    volume, content = volumes.filled()
    cinder.put(f"/volumes/{volume.id}/metadata", {"metadata": {"role": "orders"}})
    cinder.post(f"/volumes/{volume.id}/action",
                {"os-set_image_metadata": {"metadata": {"image_name": "cirros"}}})
    cinder.post(f"/volumes/{volume.id}/action", {"os-set_bootable": {"bootable": True}})
    resource = found(mine, volume.id)
    assert list(PLUGIN.protect_obstacles([resource], mine)) == []
    assert "lost together" in PLUGIN.protect_preview(resource)[0]

    kept = ByHand(mine, resource, MemoryBank())
    kept.run(PLUGIN.protect(resource))
    kept.run(PLUGIN.verify(resource))
    assert kept.saved_ones["looked_at"]["evidence"] == "status"
    for told in (kept.saved_ones["looked_at"]["unproved"],
                 kept.saved_ones["snapshot"]["not_kept"][0]["why"]):
        assert "lost together" in told

    was = content.copy("as-it-was")
    volumes.write(volume, content, (50 << 20, bytes(2 << 20)), (700 << 20, volumes.noise(5000)))
    assert list(PLUGIN.restore_obstacles([resource], target(mine, resource, kept))) == []
    assert kept.saved_ones["snapshot"]["id"] in str(
        PLUGIN.restore_preview(resource, target(mine, resource, kept)))
    id = restored(mine, resource, kept)
    new = volumes.cinder.get_volume(id)
    assert was.same(volumes.file(new))
    original, copy = shown(mine, volume.id), shown(mine, id)
    for field in ("name", "description", "size", "volume_type", "bootable", "metadata",
                  "volume_image_metadata", "availability_zone"):
        assert copy[field] == original[field], field

    gone = ByHand(mine, resource, MemoryBank(), kept=kept.saved_ones)
    gone.run(PLUGIN.remove(resource))
    assert gone.saved_ones["snapshot_removed"] == {"deleted": kept.saved_ones["snapshot"]["id"]}
    again = ByHand(mine, resource, MemoryBank(), kept=kept.saved_ones)
    again.run(PLUGIN.remove(resource))
    assert "is gone" in str(PLUGIN.restore_obstacles([resource], target(mine, resource, kept)))
    lost = ByHand(mine, resource, MemoryBank(), kept=kept.saved_ones)
    outcome = lost.entry(evidence())
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, ObjectMissing)
    volumes.delete_volumes(volume, new)


def restored(mine: OpenStackCloud, resource: Resource, kept: ByHand) -> str:
    """The answer to the first request is lost, as when a process dies there."""
    run = ByHand(mine, resource, MemoryBank(), kept=kept.saved_ones)
    stages = PLUGIN.restore(resource)[Hook.MAIN]
    first = run.entry(stages[0])
    assert not isinstance(first, Failed)
    adopted = run.entry(stages[0], entered_before=True)
    assert adopted.handle == {**first.handle, "entered_again": True}   # type: ignore[union-attr]
    run.handles["volume"] = adopted.handle  # type: ignore[union-attr]
    run.run(PLUGIN.restore(resource))
    return str(run.saved_ones["restored"]["id"])


def test_what_a_failed_protect_has_made_is_removed(mine: OpenStackCloud, volumes: Volumes) -> None:
    volume = volumes.new()
    run = ByHand(mine, found(mine, volume.id), MemoryBank())
    run.entry(KeptSnapshot())
    run.undo(KeptSnapshot())                # it knows no id: it finds the mark
    assert mine.api("cinder").list("/snapshots/detail", "snapshots",
                                   params={"volume_id": volume.id}) == []
    volumes.delete_volumes(volume)
