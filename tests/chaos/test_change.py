"""The credential changes in mid-flight, and the process dies before it, at it, or after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.chaos.commands import Ended
from tests.chaos.killing import Point, kill_at_each
from tests.chaos.scene import Scene, remaining, trusts
from tests.chaos.verbs import Protect

CHANGED = "credential changed from user + service token to trust + service token: "
AROUND = 3      # requests before the one at which the window ends, at which it is killed too
BEHIND = 7      # and after it
LIFE = 1.5      # seconds
MOST = 4        # logins at which it is killed


class Changing(Protect):
    """A protect which cannot end on the credential with which it began. `because` is what it
    says of the change."""

    because: tuple[str, ...] = ()

    def check(self, scene: Scene, ended: Ended, start: dict[str, int], mark: int) -> None:
        super().check(scene, ended, start, mark)
        newest = scene.home.newest()
        assert newest
        shown = scene.home.json("operation", "show", newest[0], "--no-steps")
        told = [one["text"] for one in shown["events"] if one["text"].startswith(CHANGED)]
        assert len(told) == 1, shown["events"]
        assert any(one in told[0] for one in self.because), told
        assert shown["credential"]["rung"] == "trust + service token"


class Overtaken(Changing):
    """Keystone's window is shorter than its operator has said. It ends just when the first backup
    is asked for; or while no process is there."""

    because = ("the user's token",)

    def begin(self, scene: Scene) -> tuple[str, ...]:
        scene.double.set(window=0.0)
        scene.double.fault("expire", signature="POST /volume/v3/backups")
        return super().begin(scene)

    def finish(self, scene: Scene, argv: tuple[str, ...], since: str | None) -> Ended:
        scene.double.fault("expire")
        return super().finish(scene, argv, since)


class Late(Changing):
    """The deadline comes while a snapshot is asked for, or while no process is there, unless Nova
    is asked before it for an image, which would outlast the token."""

    because = ("its deadline came", "a service was to be asked for work of up to")

    def begin(self, scene: Scene) -> tuple[str, ...]:
        scene.double.set(token_life=LIFE)
        scene.double.fault("delay", signature="POST /volume/v3/snapshots", seconds=LIFE)
        return super().begin(scene)


def undisturbed(scene: Scene, verb: Changing) -> list[tuple[Point, dict[str, Any]]]:
    """Each request of a run that nobody kills, as a point, and as the double has it in its log."""
    scene.home.bring_back(verb.start)
    start, mark = remaining(scene.double), len(scene.double.ledger())
    argv = verb.begin(scene)
    ended = scene.home.karbor(*argv)
    log = [one for one in scene.double.log() if one["status"]]
    verb.check(scene, ended, start, mark)
    assert trusts(scene.double) == set()
    seen: Counter[str] = Counter()
    found = []
    for entry in log:
        seen[entry["signature"]] += 1
        found.append((Point(entry["signature"], seen[entry["signature"]], "kill-after"), entry))
    return found


def both_sides(point: Point) -> list[Point]:
    return [Point(point.signature, point.nth, side) for side in ("kill-before", "kill-after")]


def test_killed_around_the_end_of_the_window(scenes: list[Scene]) -> None:
    requests = undisturbed(scenes[0], verb := Overtaken())
    at = next(number for number, (_, entry) in enumerate(requests) if "expire" in entry["faults"])
    assert requests[at][1]["status"] == 401
    near = [point for point, _ in requests[at - AROUND:at + BEHIND]]
    assert "POST /identity/v3/auth/tokens" in [one.signature for one in near]
    findings = kill_at_each(scenes, verb, near)
    assert len(findings.missed) <= len(near) // 4, findings.missed


@pytest.fixture
def no_window(scenes: list[Scene]) -> Iterator[list[Scene]]:
    """Karbor has been told that there is none: deadlines are the ends of tokens."""
    for one in scenes:
        one.home.configure("allow_expired_window = 0")
    yield scenes
    for one in scenes:
        one.home.configure()


def test_taken_over_only_when_keystone_tells_what_has_become_of_the_trust(scene: Scene) -> None:
    """The trust is gone and the token is over: whoever is logged in goes on with the operation. A
    trust that Keystone cannot tell about just then may not be lost sight of."""
    home, double, verb = scene.home, scene.double, Protect()
    home.bring_back(verb.start)
    start, mark = remaining(double), len(double.ledger())

    def arm(pid: int) -> None:
        double.fault("kill-after", pid=pid, signature="POST /volume/v3/backups")

    assert home.karbor(*verb.begin(scene), before=arm).killed
    double.heal()
    newest = home.newest()
    assert newest
    [trust] = double.dump()["keystone.trust"]
    double.drop("keystone.trust", trust)
    double.set(window=0.0)
    double.fault("expire")
    double.fault("answer", method="GET", path=f"/OS-TRUST/trusts/{trust}", nth=2)
    refused = home.karbor("operation", "resume", newest[0])
    assert [one["fired"] for one in double.faults()] == [1, 1]
    assert refused.code == 3, refused
    assert home.newest() == (newest[0], "running")

    double.heal()
    verb.check(scene, home.karbor("operation", "resume", newest[0]), start, mark)
    shown = home.json("operation", "show", newest[0], "--no-steps")
    assert "taken over with a new login of its user" in str(shown["events"])
    assert trusts(double) == set()


def test_killed_at_the_logins_after_the_deadline(no_window: list[Scene]) -> None:
    """Those of the operation, and of its end, when it removes the trust."""
    requests = undisturbed(no_window[0], verb := Late())
    late = next(number for number, (_, entry) in enumerate(requests) if "delay" in entry["faults"])
    logins = [one for point, entry in requests[late:]
              if entry["signature"] == "POST /identity/v3/auth/tokens" for one in both_sides(point)]
    assert logins
    findings = kill_at_each(no_window, verb, logins[:MOST])
    assert not findings.missed
