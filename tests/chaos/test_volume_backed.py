"""Images that Nova makes of servers booted from a volume: their data are snapshots in Cinder."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.chaos.application import ROOT, Person
from tests.chaos.scene import Scene, remaining, trusts


@pytest.fixture
def built(scene: Scene) -> Scene:
    scene.home.bring_back("built")
    scene.double.set(looks={"*": -1})
    return scene


def image_of(scene: Scene, server: str, name: str) -> str:
    """As a user makes one."""
    person = Person(scene.double)
    made: dict[str, Any] = person.ask("POST", f"compute/v2.1/servers/{server}/action",
                                      {"createImage": {"name": name}})
    person.close()
    return str(made["image_id"])


def boot(scene: Scene, image: str, name: str) -> str:
    person = Person(scene.double)
    server = person.make("compute/v2.1/servers", "server", name=name, flavorRef="1",
                         imageRef=image, networks=[{"uuid": scene.app.network}])
    person.close()
    return str(server["id"])


def test_such_an_image_is_refused_before_anything_is_made(built: Scene) -> None:
    image = image_of(built, built.app.db, "db-image")
    snapshot, = built.double.dump()["cinder.snapshot"]
    record = built.double.dump()["glance.image"][image]
    assert (record["size"], snapshot in record["properties"]["block_device_mapping"]) == (0, True)
    before = remaining(built.double)
    for argv in (("protect", "db-image", "--dry-run"), ("protect", "db-image")):
        ended = built.home.karbor(*argv)
        assert ended.code not in (0, None), ended
        assert f"it boots from snapshot {snapshot} in Cinder, which would not be kept" in (
            ended.err), ended
    assert remaining(built.double) == before
    assert built.home.json("checkpoint", "list", "--all") == []
    plain = built.home.karbor("protect", "app-image", "--name", "plain")
    assert plain.code == 0, plain


@pytest.mark.parametrize("base", ["there", "gone"])
def test_a_server_booted_from_one_is_kept_with_its_volume(built: Scene, base: str) -> None:
    """Nova says that it was booted from an image; it has no disk of its own all the same."""
    double = built.double
    image = image_of(built, built.app.db, "db-image")
    server = boot(built, image, "clone")
    person = Person(double)
    if base == "gone":
        person.ask("DELETE", f"image/v2/images/{image}")
    root, = double.dump()["nova.server"][server]["volumes"]
    assert double.read("cinder.volume", root["id"]) == ROOT
    double.set(looks={"*": 0})
    before = remaining(double)
    ended = built.home.karbor("protect", "clone", "--name", "safe")
    assert ended.code == 0, ended
    after = remaining(double)
    made = {kind: after[kind] - before.get(kind, 0) for kind in after
            if after[kind] != before.get(kind, 0)}
    assert made.pop("swift.object") >= 3
    assert made == {"cinder.backup": 1, "swift.container": 1}      # no image, no snapshot stays
    assert trusts(double) == set()
    shown, = built.home.json("checkpoint", "list")
    assert (shown["state"], shown["evidence"]) == ("available", "objects")
    assert built.home.karbor("verify", "safe").code == 0

    # Everything that it came from goes.
    person.ask("DELETE", f"compute/v2.1/servers/{server}")
    double.settle()
    person.ask("DELETE", f"volume/v3/volumes/{root['id']}")
    if base == "there":
        person.ask("DELETE", f"image/v2/images/{image}")
    for snapshot in double.dump()["cinder.snapshot"]:
        person.ask("DELETE", f"volume/v3/snapshots/{snapshot}")
    double.settle()
    person.close()

    for argv in (("restore", "safe", "--dry-run"), ("restore", "safe")):
        restored = built.home.karbor(*argv)
        assert restored.code == 0, restored
    found = [one for one in double.dump()["nova.server"].values() if one["name"] == "clone"]
    assert [one["status"] for one in found] == ["ACTIVE"]
    volume, = found[0]["volumes"]
    assert volume["boot"] is True
    assert double.read("cinder.volume", volume["id"]) == ROOT


def test_a_protect_that_fails_leaves_none_of_novas_snapshots(built: Scene) -> None:
    double = built.double
    image = image_of(built, built.app.db, "db-image")
    boot(built, image, "clone")
    person = Person(double)
    person.ask("DELETE", f"image/v2/images/{image}")
    person.close()
    before = remaining(double)
    double.set(looks={"*": 0})
    double.fault("answer", method="POST", path="/v3/backups$", status=403, times=1000,
                 message="this user may make no backups")
    ended = built.home.karbor("protect", "clone", "--name", "safe")
    assert ended.code not in (0, None), ended
    assert "this user may make no backups" in ended.err, ended
    assert remaining(double) == before
    assert [one["state"] for one in built.home.json("checkpoint", "list", "--all")] == ["error"]
    assert json.loads(built.home.karbor("operation", "list", "--format", "json").out)
