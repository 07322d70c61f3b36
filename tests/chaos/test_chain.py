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
