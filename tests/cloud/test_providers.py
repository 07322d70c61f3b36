"""Providers as users and operators use them: the real command, Swift, Cinder and Glance."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openstack.connection
import pytest

from tests.cloud.conftest import Cloud
from tests.cloud.karbor_command import Karbor

SWIFT = "aaaaaaaa-0000-4000-8000-000000000001"
SNAPSHOTS = "aaaaaaaa-0000-4000-8000-000000000002"
NOTHING = "aaaaaaaa-0000-4000-8000-000000000003"


@dataclass
class Place:
    karbor: Karbor
    directory: Path
    container: str

    def write(self, name: str, id: str, plugins: list[str], bank: str) -> None:
        lines = ["[provider]", f"name = {name}", f"id = {id}", "enabled = True",
                 *(f"plugin = karbor-{one}-plugin" for one in plugins), bank]
        (self.directory / f"{name}.conf").write_text("\n".join(lines) + "\n")


@pytest.fixture
def place(cloud: Cloud, tmp_path: Path) -> Iterator[Place]:
    container = f"karbor-test-provider-{uuid.uuid4().hex[:12]}"
    conf = tmp_path / "karbor.conf"
    conf.write_text("[DEFAULT]\ndefault_provider = swift\n")
    directory = tmp_path / "providers.d"
    directory.mkdir()
    made = Place(Karbor(tmp_path, cloud.clouds_yaml, extra={"KARBOR_CONFIG": str(conf)}),
                 directory, container)
    swift = (f"bank = karbor-swift-bank-plugin\n[swift_bank_plugin]\n"
             f"bank_swift_object_container = {container}\n[swift_client]\n"
             f"swift_auth_url = {cloud.auth_url}\nswift_user = demo2\nswift_key = devcloud\n"
             "swift_tenant_name = demo2\n")
    made.write("swift", SWIFT, ["volume-protection", "image-protection"], swift)
    made.write("snapshots", SNAPSHOTS, ["volume-snapshot"], swift)
    made.write("nothing", NOTHING, ["noop-protection"], "bank = karbor-fs-bank-plugin\n"
               f"[file_system_bank_plugin]\nfile_system_bank_path = {tmp_path / 'nothing'}\n")
    yield made
    with cloud.connection("demo2") as connection:
        store: Any = connection.object_store
        for name in names(store, container):
            store.delete(f"/{container}/{name}")
        store.delete(f"/{container}")


def names(store: Any, container: str, prefix: str = "") -> list[str]:
    answer = store.get(f"/{container}", params={"format": "json", "prefix": prefix})
    return [one["name"] for one in answer.json()] if answer.status_code == 200 else []


@pytest.fixture
def connection(cloud: Cloud) -> Iterator[openstack.connection.Connection]:
    with cloud.connection() as opened:
        yield opened


@pytest.fixture
def volume(connection: openstack.connection.Connection) -> Iterator[Any]:
    cinder: Any = connection.block_storage
    made = cinder.create_volume(name=f"karbor-test-{uuid.uuid4().hex[:8]}", size=1)
    cinder.wait_for_status(made, "available", interval=0.5, wait=120)
    yield made
    for one in list(cinder.volumes(name=made.name)):
        for snapshot in cinder.snapshots(volume_id=one.id):
            cinder.delete_snapshot(snapshot)
            cinder.wait_for_delete(snapshot, interval=0.5, wait=120)
        cinder.delete_volume(one)


@pytest.fixture
def image(connection: openstack.connection.Connection) -> Iterator[tuple[Any, bytes]]:
    glance: Any = connection.image
    body = random.Random(7).randbytes(9 << 20) + bytes(5 << 20)
    made = glance.create_image(name=f"karbor-test-{uuid.uuid4().hex[:8]}", data=body,
                               disk_format="raw", container_format="bare", validate_checksum=False)
    yield made, body
    for one in list(glance.images(name=made.name)):
        glance.delete_image(one)


def test_check_proves_a_bank_in_swift_and_leaves_nothing(place: Place, cloud: Cloud) -> None:
    found = place.karbor("provider", "list", "-f", "json").json
    assert {one["name"]: one["default"] for one in found} == {
        "swift": True, "snapshots": False, "nothing": False}
    checked = place.karbor("provider", "check")
    assert "FAILED" not in checked.out
    assert "put if absent: a second writer is refused, and of 4 at the same time" in checked.out
    with cloud.connection("demo2") as connection:
        assert names(connection.object_store, place.container) == ["karbor-bank.json"]
    text = (place.directory / "swift.conf").read_text()
    (place.directory / "swift.conf").write_text(text.replace("devcloud", "wrong"))
    refused = place.karbor("provider", "check", expect=5)
    assert "[swift_client]" in refused.out
    assert "wrong" not in refused.out + refused.err


def test_an_image_goes_to_swift_and_comes_back(
        place: Place, image: tuple[Any, bytes], cloud: Cloud,
        connection: openstack.connection.Connection) -> None:
    made, body = image
    kept = place.karbor("protect", f"image:{made.id}", "--name", "picture", "-f", "json").json
    assert kept["request"]["provider_id"] == SWIFT
    assert kept["checkpoint"]["evidence"] == "checksums"
    with cloud.connection("demo2") as other:
        [pack] = [one for one in other.object_store.objects(place.container)
                  if "/vault/packs/" in one.name]
        assert 9 << 20 < pack["bytes"] < 9.1 * (1 << 20)       # of the zeros nothing
    place.karbor("protect", f"image:{made.id}", "--name", "again")
    with cloud.connection("demo2") as other:        # a second checkpoint adds no pack
        assert [one for one in names(other.object_store, place.container)
                if "/vault/packs/" in one] == [pack.name]
    place.karbor("checkpoint", "delete", "again", "--yes")
    place.karbor("verify", "picture")
    glance: Any = connection.image
    glance.delete_image(made.id)
    place.karbor("restore", "picture")
    back = next(iter(glance.images(name=made.name)))
    assert glance.download_image(back).content == body
    place.karbor("checkpoint", "delete", "picture", "--yes")
    [collected] = place.karbor("vault", "gc", "-f", "json").json
    assert (collected["disks"], collected["needed_packs"], collected["writers"]) == (0, 0, 0)
    with cloud.connection("demo2") as other:        # the pack is too young to be garbage
        assert {one.split("/")[3] for one in names(
            other.object_store, place.container, "objects/")} == {"vault"}
        assert names(other.object_store, place.container, "claims/") == []


def test_providers_with_one_bank_keep_to_themselves(
        place: Place, volume: Any, connection: openstack.connection.Connection) -> None:
    noted = place.karbor("protect", f"volume:{volume.id}", "--dry-run", "--provider", "snapshots")
    assert "lost together with it" in noted.err
    place.karbor("protect", f"volume:{volume.id}", "--name", "quick", "--provider", "snapshots")
    listed = place.karbor("checkpoint", "list")
    assert "quick" not in listed.out
    assert "1 checkpoint of other providers" in listed.err
    assert f"--provider {SNAPSHOTS}" in place.karbor("restore", "quick", expect=6).complaint
    extra = {**place.karbor.extra, "KARBOR_PROVIDER": "snapshots"}
    snapshots = Karbor(place.karbor.home, place.karbor.clouds_yaml, extra=extra)
    assert "lost together with it" in snapshots("checkpoint", "show", "quick").out
    verified = snapshots("verify", "quick", "-f", "json").json
    assert verified["result"]["verified"][0]["evidence"] == "status"
    snapshots("restore", "quick")
    assert len(list(connection.block_storage.volumes(name=volume.name))) == 2   # type: ignore[attr-defined]
    snapshots("checkpoint", "delete", "quick", "--yes")
    assert list(connection.block_storage.snapshots(volume_id=volume.id)) == []  # type: ignore[attr-defined]


def test_what_is_kept_of_nothing_says_so(place: Place, volume: Any) -> None:
    kept = place.karbor("protect", f"volume:{volume.id}", "--name", "air", "--provider", "nothing")
    assert "there is nothing to restore" in kept.err
    shown = place.karbor("checkpoint", "show", "air", "--provider", "nothing", "-f", "json").json
    assert shown["evidence"] is None
    restored = place.karbor("restore", "air", "--provider", "nothing")
    assert "not restored: volume" in restored.err
    place.karbor("checkpoint", "delete", "air", "--provider", "nothing", "--yes")


def test_an_operation_is_resumed_with_the_provider_it_began_with(
        place: Place, volume: Any) -> None:
    running = place.karbor.begin("protect", f"volume:{volume.id}", "--name", "cut",
                                 "--provider", "snapshots")
    running.until("snapshot: done|snapshot …")
    running.process.kill()
    running.end()
    listed = place.karbor("operation", "list", "-f", "json").json
    id = listed[0]["id"]
    assert listed[0]["request"]["provider_id"] == SNAPSHOTS
    assert place.karbor("operation", "show", id, "-f", "json").json["interrupted"] is True
    file = place.directory / "snapshots.conf"
    away = file.rename(file.with_suffix(".away"))
    refused = place.karbor("operation", "resume", id, expect=2)
    assert SNAPSHOTS in refused.complaint
    away.rename(file)
    place.karbor("operation", "resume", id)
    found = place.karbor("checkpoint", "show", "cut", "--provider", "snapshots", "-f", "json").json
    assert found["state"] == "available"
    place.karbor("checkpoint", "delete", "cut", "--provider", "snapshots", "--yes")
