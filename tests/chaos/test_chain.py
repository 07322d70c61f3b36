"""Checkpoints whose Cinder backups build upon each other, deleted from the wrong end."""

from __future__ import annotations

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
