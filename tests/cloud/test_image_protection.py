"""The image protection on the real Glance and Nova, byte for byte."""

from __future__ import annotations

import hashlib
import json
import pathlib
import random
from collections.abc import Iterator

import pytest
from karbor_testing.bank import MemoryBank
from openstack.connection import Connection

from karbor.clients.cloud import OpenStackCloud
from karbor.clients.connect import connect
from karbor.domain.resource import SERVER, Resource, ResourceGraph
from karbor.domain.step import Again, Hook
from karbor.plugin.protectable import DiscoveryLists
from karbor.protectables.image import Images
from karbor.protectables.server import Servers
from karbor.protections.glance.data import Disk
from karbor.protections.glance.image_plugin import ImageProtection
from karbor.protections.glance.restore import Image
from tests.cloud.by_hand import ByHand
from tests.cloud.conftest import Cloud
from tests.cloud.small_application import small_application, until
from tests.cloud.somebody import new_somebody

PREFIX = "karbor-images-"
USER = "demo2"
PLUGIN = ImageProtection()


@pytest.fixture
def sdk(cloud: Cloud) -> Iterator[Connection]:
    with cloud.connection(USER) as connection:
        yield connection
        for image in connection.image.images():
            if image.name.startswith(PREFIX) or f"of {PREFIX}" in image.name:
                if image.is_protected:
                    connection.image.update_image(image, is_protected=False)
                connection.image.delete_image(image)


@pytest.fixture
def mine(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenStackCloud]:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(cloud.clouds_yaml))
    with connect(USER) as opened:
        yield opened


def downloaded(mine: OpenStackCloud, id: str) -> str:
    whole = hashlib.sha256()
    for piece in mine.api("glance").download(f"/images/{id}/file"):
        whole.update(piece)
    return whole.hexdigest()


def restored(mine: OpenStackCloud, resource: Resource, kept: ByHand, graph: ResourceGraph) -> str:
    """Cut off once after the record was made and once after the bytes were sent."""
    run = ByHand(mine, resource, MemoryBank(), kept=kept.saved_ones, graph=graph)
    run.bank, run.vault = kept.bank, kept.vault
    lost = run.entry(Image())
    adopted = run.entry(Image(), entered_before=True)       # finds its mark, and sends the bytes
    assert isinstance(lost, Again)
    assert isinstance(adopted, Again)
    assert adopted.handle == lost.handle
    run.handles["image"] = adopted.handle
    run.run(PLUGIN.restore(resource))
    id = str(run.saved_ones["image"]["id"])
    assert adopted.handle == {"id": id}
    assert run.saved_ones["image"]["not_restored"] == []
    return id


def test_a_server_s_disk_is_kept_as_it_is_not_as_its_image_was(
        cloud: Cloud, sdk: Connection, mine: OpenStackCloud) -> None:
    with small_application(sdk, PREFIX) as app:
        disk = cloud.state.data / "nova" / "instances" / app.server / "disk"
        write(disk)
        listings = DiscoveryLists(mine)
        server = next(one for one in Servers().list(listings) if one.id == app.server)
        own, = Images().dependents([server], listings)[server.key]
        assert list(PLUGIN.protect_obstacles([own], mine)) == []

        kept = ByHand(mine, own, MemoryBank())
        kept.run(PLUGIN.protect(own))
        temporary = kept.saved_ones["disk"]["id"]
        assert [one.id for one in Images().list(DiscoveryLists(mine)) if one.id == temporary] == []
        kept.undo(Disk())
        assert mine.look("glance.image", temporary) is None
        kept.run(PLUGIN.verify(own))
        assert kept.saved_ones["read_back"] == {"evidence": "checksums", "unproved": ""}

        graph = ResourceGraph.build([server], lambda level: {server.key: [own]})
        id = restored(mine, own, kept, graph)
        assert downloaded(mine, id) == hashlib.sha256(disk.read_bytes()).hexdigest()
        shown = mine.api("glance").get(f"/images/{id}")
        assert shown["name"] == f"{app.server_name} disk (restored)"
        assert not [key for key in shown if key in ("karbor_mark", "instance_uuid")]

        undone = ByHand(mine, own, MemoryBank(), kept=kept.saved_ones, graph=graph)
        undone.bank, undone.vault = kept.bank, kept.vault
        undone.entry(Image())           # its answer is lost, and the operation is given up
        undone.undo(Image())
        marked = [one for one in mine.api("glance").list("/images", "images")
                  if undone.operation_id in str(one.get("karbor_mark"))]
        assert marked == []
        sdk.image.delete_image(id)


def write(disk: pathlib.Path) -> None:
    noise = random.Random(7).randbytes(100_000)
    with disk.open("r+b") as file:
        file.seek(4321)
        file.write(noise)


def test_an_image_comes_back_with_its_properties(sdk: Connection, mine: OpenStackCloud) -> None:
    data = random.Random(8).randbytes(9_000_001)
    original = sdk.image.create_image(
        name=f"{PREFIX}plain", data=data, disk_format="raw", container_format="bare",
        min_disk=3, min_ram=64, tags=["gold", "web"], wait=True, hw_disk_bus="virtio",
        os_distro="debian", visibility="shared")
    mine.api("glance").patch(
        f"/images/{original.id}", [{"op": "replace", "path": "/protected", "value": True}],
        headers={"Content-Type": "application/openstack-images-v2.1-json-patch"})
    resource = next(one for one in Images().list(DiscoveryLists(mine)) if one.id == original.id)
    kept = ByHand(mine, resource, MemoryBank())
    kept.run(PLUGIN.protect(resource))
    kept.run(PLUGIN.verify(resource))

    id = restored(mine, resource, kept, kept.graph)
    assert id != original.id
    one, two = (mine.api("glance").get(f"/images/{some}") for some in (original.id, id))
    changing = {"id", "self", "file", "created_at", "updated_at", "owner_specified"}
    assert ({key: value for key, value in one.items() if key not in changing}
            | {"tags": sorted(one["tags"])}) == (
        {key: value for key, value in two.items() if key not in changing}
        | {"tags": sorted(two["tags"])})
    assert downloaded(mine, id) == hashlib.sha256(data).hexdigest()


def test_stages_wait_for_a_server_that_is_busy(sdk: Connection, mine: OpenStackCloud) -> None:
    """Two images of one server asked for at once: the second waits, and both are made."""
    with small_application(sdk, PREFIX) as app:
        server = Resource(SERVER, app.server, app.server_name)
        own, = Images().dependents([server], DiscoveryLists(mine))[server.key]
        first, second = (ByHand(mine, own, MemoryBank()) for _ in range(2))
        first.entry(Disk())
        second.stage(PLUGIN.protect(own)[Hook.PREPARE_FINISH][0])
        first.undo(Disk())
        second.undo(Disk())


def test_an_image_of_a_server_that_boots_from_a_volume_has_no_data_to_keep(
        cloud: Cloud, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nova goes on naming it as the image of a server that was booted from it: that one has no
    disk of its own, and what Nova makes to find that out is removed again."""
    with new_somebody(cloud) as one:
        file = tmp_path / "clouds.yaml"
        file.write_text(json.dumps({"clouds": {"somebody": one.entry()}}))
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(file))
        with one.connection() as sdk, connect("somebody") as mine:
            _kept_or_refused(sdk, mine)


def _kept_or_refused(sdk: Connection, mine: OpenStackCloud) -> None:
    try:
        _images_without_data(sdk, mine)
    finally:
        _clear_volumes(sdk)


def _images_without_data(sdk: Connection, mine: OpenStackCloud) -> None:
    plain = sdk.image.create_image(name=f"{PREFIX}base", data=b"x" * 4096, disk_format="raw",
                                   container_format="bare", wait=True)
    root = sdk.block_storage.create_volume(name=f"{PREFIX}root", size=1, image_id=plain.id)
    until("volume available",
          lambda: sdk.block_storage.get_volume(root).status == "available")
    first = _booted(sdk, block_device_mapping_v2=[{
        "source_type": "volume", "destination_type": "volume", "uuid": root.id, "boot_index": 0}])
    image = sdk.compute.post(f"/servers/{first}/action", microversion="2.45", json={
        "createImage": {"name": f"{PREFIX}of-volume"}}).json()["image_id"]
    until("image active", lambda: sdk.image.get_image(image).status == "active")
    snapshot, = sdk.block_storage.snapshots()

    resource = next(one for one in Images().list(DiscoveryLists(mine)) if one.id == image)
    assert resource.facts["size"] == 0
    refused, = PLUGIN.protect_obstacles([resource], mine)
    assert f"it boots from snapshot {snapshot.id} in Cinder" in refused.what

    second = _booted(sdk, imageRef=image)
    listings = DiscoveryLists(mine)
    server = next(one for one in Servers().list(listings) if one.id == second)
    assert server.facts["image_id"] == image        # as Nova says
    assert Images().dependents([server], listings)[server.key] == []

    sdk.image.delete_image(image)
    until("image gone", lambda: sdk.image.get(f"/images/{image}").status_code == 404)
    disk, = Images().dependents([server], DiscoveryLists(mine))[server.key]
    assert disk.facts["base"] == "gone"
    kept = ByHand(mine, disk, MemoryBank())
    assert kept.stage(Disk())["no_disk"] is True
    made = {one.id for one in sdk.block_storage.snapshots()} - {snapshot.id}
    assert len(made) == 1
    kept.undo(Disk())
    assert mine.look("glance.image", kept.saved_ones["disk"]["id"]) is None
    assert [one.id for one in sdk.block_storage.snapshots()] == [snapshot.id]


def _booted(sdk: Connection, **source: object) -> str:
    made = sdk.compute.post("/servers", microversion="2.79", json={"server": {
        "name": f"{PREFIX}server", "flavorRef": sdk.compute.find_flavor("m1.nano").id,
        "networks": "none", **source}}).json()["server"]
    until("server active", lambda: sdk.compute.get_server(made["id"]).status == "ACTIVE")
    return str(made["id"])


def _clear_volumes(sdk: Connection) -> None:
    for server in list(sdk.compute.servers()):
        sdk.compute.delete_server(server)
    until("servers gone", lambda: not list(sdk.compute.servers()))
    for image in sdk.image.images(owner=sdk.current_project_id):
        sdk.image.delete_image(image)
    for snapshot in sdk.block_storage.snapshots():
        sdk.block_storage.delete_snapshot(snapshot)
    until("snapshots gone", lambda: not list(sdk.block_storage.snapshots()))
    for volume in sdk.block_storage.volumes():
        sdk.block_storage.delete_volume(volume)
    until("volumes gone", lambda: not list(sdk.block_storage.volumes()))
