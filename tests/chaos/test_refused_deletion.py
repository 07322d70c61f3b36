"""A deletion that the cloud refuses hides nothing: the checkpoint is there as before, and good."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.commands import Ended
from tests.chaos.scene import Scene, no_trust_stays, remaining

DELETE = ("checkpoint", "delete", "safe", "--yes")
BACKUPS = "/volume/v3/backups/"


@pytest.fixture
def protected(scene: Scene) -> Scene:
    scene.home.bring_back("protected")
    return scene


def refuse(scene: Scene, **more: Any) -> None:
    """As a policy does that lets this user delete no backups."""
    scene.double.fault("answer", **{
        "method": "DELETE", "path": BACKUPS, "status": 403, "times": 1000,
        "message": "Policy doesn't allow backup:delete to be performed.", **more})


def there_as_before(scene: Scene, before: dict[str, int]) -> None:
    assert [(one["name"], one["state"]) for one in scene.home.json("checkpoint", "list")] == [
        ("safe", "available")]
    assert remaining(scene.double) == before
    scene.double.heal()
    verified = scene.home.karbor("verify", "safe")
    assert verified.code == 0, verified
    deleted = scene.home.karbor(*DELETE)
    assert deleted.code == 0, deleted
    assert scene.home.json("checkpoint", "list", "--all") == []
    assert "cinder.backup" not in scene.double.dump()


def failed(ended: Ended) -> None:
    assert ended.code not in (0, None), ended
    assert "nothing was removed: the checkpoint is available as before" in ended.err, ended


def test_the_first_request_is_refused(protected: Scene) -> None:
    before = remaining(protected.double)
    refuse(protected)
    ended = protected.home.karbor(*DELETE)
    failed(ended)
    assert "Policy doesn't allow" in ended.err
    there_as_before(protected, before)


def test_requests_are_ignored_until_nobody_hopes_any_more(protected: Scene) -> None:
    """Without a backup service: several requests, none of which removes anything."""
    before = remaining(protected.double)
    protected.double.set(backup_service=False)
    ended = protected.home.karbor(*DELETE)
    protected.double.set(backup_service=True)
    failed(ended)
    there_as_before(protected, before)


def test_what_was_removed_in_part_stays_hidden(protected: Scene) -> None:
    refuse(protected, nth=2)
    ended = protected.home.karbor(*DELETE)
    assert ended.code not in (0, None), ended
    assert "the checkpoint stays hidden" in ended.err, ended
    assert len(protected.double.dump()["cinder.backup"]) == 1
    assert protected.home.json("checkpoint", "list") == []
    protected.double.heal()
    hidden, = protected.home.json("checkpoint", "list", "--all")
    assert hidden["state"] == "deleting"
    again = protected.home.karbor("checkpoint", "delete", hidden["id"], "--yes")
    assert again.code == 0, again
    assert protected.home.json("checkpoint", "list", "--all") == []
    assert "cinder.backup" not in protected.double.dump()


def test_a_second_try_that_is_refused_as_well_shows_it_again(protected: Scene) -> None:
    """The first one could not find out whether anything was removed."""
    before = remaining(protected.double)
    protected.double.fault("answer", method="DELETE", path=BACKUPS, status=500, times=2)
    protected.double.fault("answer", method="GET", path="/volume/v3/", status=403, times=1000)
    refuse(protected)
    first = protected.home.karbor(*DELETE)
    assert "the checkpoint stays hidden" in first.err, first
    hidden, = protected.home.json("checkpoint", "list", "--all")
    protected.double.heal()
    refuse(protected)
    failed(protected.home.karbor("checkpoint", "delete", hidden["id"], "--yes"))
    there_as_before(protected, before)


def test_it_is_killed_at_every_request(protected: Scene) -> None:
    """Whenever the process dies, who takes the operation up shows the checkpoint again."""
    refuse(protected)
    failed(protected.home.karbor(*DELETE))
    log = protected.double.log()
    counted: dict[str, int] = {}
    points = []
    for one in log:
        signature = one["signature"]
        counted[signature] = counted.get(signature, 0) + 1
        if "/v3/auth/tokens" not in signature:
            points.append((signature, counted[signature]))
    assert any("DELETE" in signature and "backups" in signature for signature, _ in points)
    struck = 0
    for signature, nth in points:
        for side in ("kill-before", "kill-after"):
            protected.home.bring_back("protected")
            newest = protected.home.newest()

            def arm(pid: int, signature: str = signature, nth: int = nth, side: str = side
                    ) -> None:
                protected.double.fault(side, pid=pid, signature=signature, nth=nth)

            before = remaining(protected.double)
            refuse(protected)
            ended = protected.home.karbor(*DELETE, before=arm)
            if ended.killed:
                struck += 1
                protected.double.heal()
                refuse(protected)
                protected.home.finish(*DELETE, since=newest[0] if newest else None)
            listed = protected.home.json("checkpoint", "list", "--all")
            assert [one["state"] for one in listed] == ["available"], (side, signature, nth)
            assert remaining(protected.double) == before
            protected.double.heal()
            no_trust_stays(protected, "protect", "app-image", "--name", "another")
    assert struck > 4
