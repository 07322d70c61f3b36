"""Checkpoints whose Cinder backups build upon each other, deleted from the wrong end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.commands import Ended
from tests.chaos.scene import Scene, remaining


def test_the_full_backup_goes_with_the_last_that_builds_upon_it(scene: Scene) -> None:
    scene.home.bring_back("built")
    before = remaining(scene.double)
    for name, mode in (("full", "full"), ("first", "incremental"), ("second", "incremental")):
        ended = scene.home.karbor("protect", "web", "--name", name, "--param",
                                  f"volume:backup_mode={mode}")
        assert ended.code == 0, ended
    backups = scene.double.dump()["cinder.backup"]
    assert sorted(one["is_incremental"] for one in backups.values()) == [False, True, True]

    for name, left in (("full", 3), ("first", 3)):
        ended = scene.home.karbor("checkpoint", "delete", name, "--yes")
        assert ended.code == 0, ended
        assert len(scene.double.dump()["cinder.backup"]) == left
    assert [one["name"] for one in scene.home.json("checkpoint", "list")] == ["second"]

    ended = scene.home.karbor("checkpoint", "delete", "second", "--yes")
    assert ended.code == 0, ended
    after = remaining(scene.double)
    after.pop("swift.container", None)      # Cinder makes it and leaves it
    assert after == before
    assert scene.home.json("checkpoint", "list") == []


def test_a_backup_that_cinder_fails_to_delete_stays_known(scene: Scene) -> None:
    """The full one is taken away with the last that was built upon it: Cinder accepts that, and
    fails. Later operations say so, until it has gone."""
    scene.home.bring_back("built")
    for name, mode in (("full", "full"), ("first", "incremental")):
        ended = scene.home.karbor("protect", "app-data", "--name", name, "--param",
                                  f"volume:backup_mode={mode}")
        assert ended.code == 0, ended
    assert scene.home.karbor("checkpoint", "delete", "full", "--yes").code == 0
    scene.double.set(outcomes=[{"kind": "cinder.backup.delete", "nth": 2,
                                "status": "error_deleting"}])
    assert scene.home.karbor("checkpoint", "delete", "first", "--yes").code == 0
    (left,) = scene.double.dump()["cinder.backup"].values()
    assert left["status"] == "error_deleting"
    assert len(list(scene.home.place.rglob(f"tombstones/*{left['id']}*"))) == 1

    again = scene.home.json("protect", "app-data", "--name", "next")
    events = scene.home.json("operation", "show", again["id"])["events"]
    assert any(f"Cinder could not delete backup {left['id']}" in one["text"] for one in events)

    scene.double.edit("cinder.backup", left["id"], status="available")
    assert scene.home.karbor("checkpoint", "delete", "next", "--yes").code == 0
    assert not scene.double.dump().get("cinder.backup")
    assert not list(scene.home.place.rglob("tombstones/*.json"))


def incremental(scene: Scene, name: str) -> Ended:
    ended = scene.home.karbor("protect", "web", "--name", name, "--param",
                              "volume:backup_mode=incremental")
    assert ended.code == 0, ended
    return ended


def newest(scene: Scene) -> dict[str, Any]:
    return max(scene.double.dump()["cinder.backup"].values(),
               key=lambda one: str(one["data_timestamp"]))


@pytest.mark.parametrize(("lost", "why"), [
    ("base", "is gone or not this project's"), ("middle", "is gone or not this project's"),
    ("error", "is error"), ("another", "is gone or not this project's"),
    ("objects", "Swift has no object"), ("all", "no available backup of this volume")])
def test_a_broken_chain_heals_with_a_full_backup(scene: Scene, lost: str, why: str) -> None:
    """Nobody can restore what is built upon it; the next night begins anew, and says why."""
    scene.home.bring_back("built")
    double = scene.double
    incremental(scene, "night-1")
    base = newest(scene)["id"]
    incremental(scene, "night-2")
    middle = newest(scene)["id"]
    incremental(scene, "night-3")
    last = newest(scene)
    assert (last["parent_id"], last["is_incremental"]) == (middle, True)
    double.settle()
    match lost:
        case "base":
            double.drop("cinder.backup", base)
        case "middle":
            double.drop("cinder.backup", middle)
        case "error":
            double.edit("cinder.backup", middle, status="error")
        case "another":
            double.edit("cinder.backup", base, _project="0" * 32)
        case "objects":
            double.drop("swift.object", next(
                id for id in double.dump()["swift.object"] if id.endswith(f"{base}-00001")))
        case "all":
            for id in (base, middle, last["id"]):
                double.drop("cinder.backup", id)

    if lost != "objects":       # what is read back tells of those
        dry = scene.home.karbor("restore", "night-3", "--dry-run")
        assert dry.code != 0, dry
        assert last["id"] in dry.err, dry
        assert ("is gone" if lost != "error" else "is error") in dry.err, dry
    verified = scene.home.karbor("verify", "night-3")
    assert verified.code != 0, verified

    healed = incremental(scene, "night-4")
    new = newest(scene)
    assert (new["is_incremental"], new["parent_id"]) == (False, None)
    assert "backed up in full: " in healed.out, healed
    assert why in healed.out, healed
    shown = scene.home.karbor("checkpoint", "show", "night-4")
    assert why in shown.out, shown
    shown_last = scene.home.json("operation", "show", scene.home.newest()[0])    # type: ignore[index]
    assert any(why in one for one in shown_last["result"]["notes"])
    assert scene.home.karbor("verify", "night-4").code == 0
    assert scene.home.karbor("restore", "night-4", "--dry-run").code == 0

    quiet = incremental(scene, "night-5")
    assert newest(scene)["parent_id"] == new["id"]
    assert "backed up in full" not in quiet.out
