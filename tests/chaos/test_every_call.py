"""Killed at every remote call, before and after it was carried out, every operation is finished
by the next process: nothing twice, nothing left behind, in Keystone neither.

By default creating requests and those about trusts are met on both sides, other changing ones after
they were carried out (before it, nothing has happened), and every fifth reading one.
`KARBOR_CHAOS=all` meets all of them on both sides.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import pytest

from tests.chaos.killing import Point, kill_at_each
from tests.chaos.scene import PROTECT, Scene, no_trust_stays, remaining, trusts
from tests.chaos.verbs import Cancel, Delete, Protect, Restore, Verb

ALL = os.environ.get("KARBOR_CHAOS") == "all"
TRUSTS = "/OS-TRUST/trusts"
EVERY = 5       # of the reading requests, when not all are met


def points(log: list[dict[str, Any]]) -> list[Point]:
    """Where to kill, from the requests of an undisturbed run."""
    changes = Counter(one["signature"] for one in log if one["mutates"] and one["status"] < 400)
    seen: Counter[str] = Counter()
    found, reads = [], 0
    for entry in log:
        signature = entry["signature"]
        seen[signature] += 1
        reads += not entry["mutates"]
        if ALL or (entry["mutates"] and (entry["method"] == "POST" or TRUSTS in signature)):
            sides = ["kill-before", "kill-after"]
        elif entry["mutates"] or reads % EVERY == 1:
            sides = ["kill-after"]
        else:
            sides = []
        sure = seen[signature] <= changes[signature]
        found += [Point(signature, seen[signature], side, sure) for side in sides]
    return found


@pytest.mark.parametrize("verb", [Protect(), Restore(), Delete(), Cancel()],
                         ids=lambda verb: type(verb).__name__.lower())
def test_killed_at_every_call(scenes: list[Scene], verb: Verb) -> None:
    first = scenes[0]
    first.home.bring_back(verb.start)
    start, mark = remaining(first.double), len(first.double.ledger())
    argv = verb.begin(first)
    first.double.forget_log()
    verb.check(first, first.home.karbor(*argv), start, mark)
    assert trusts(first.double) == set()
    plan = points([one for one in first.double.log() if one["status"]])
    assert any(TRUSTS in one.signature for one in plan)

    findings = kill_at_each(scenes, verb, plan)
    # A backup that is still being made may be asked to go once or twice: the first is refused then.
    lost = [str(one) for one in findings.missed if one.sure]
    assert not lost, f"these requests did not come: {lost}"
    assert len(findings.missed) <= len(plan) // 4, findings.missed


@pytest.mark.parametrize("verb", [Protect(), Restore()],
                         ids=lambda verb: type(verb).__name__.lower())
def test_killed_again_and_again(scene: Scene, verb: Verb) -> None:
    """Life after life is killed after a few changing requests, and the operation gets there all
    the same. Lives grow slowly, because a life may spend its first requests on repeating what is
    harmless to repeat (a deletion, a name) and be killed before it hears of it."""
    home, double = scene.home, scene.double
    home.bring_back(verb.start)
    start, mark = remaining(double), len(double.ledger())

    def arm(pid: int) -> None:
        double.fault("kill-after", pid=pid, mutating=True, nth=1 + lives // 4)

    lives = 0
    ended = home.karbor(*verb.begin(scene), before=arm)
    while ended.killed:
        double.heal()
        newest = home.newest()
        assert newest
        lives += 1
        assert lives < 60, "it does not get on"
        ended = home.finish("operation", "resume", newest[0], since=None, before=arm)
    assert lives > 5
    verb.check(scene, ended, start, mark)
    no_trust_stays(scene, *verb.another)


CHAINS = [
    ("POST /image/v2/images", "PUT /image/v2/images/{id}/file", "PATCH /image/v2/images/{id}"),
    ("POST /volume/v3/volumes", "POST /volume/v3/backups/{id}/restore",
     "PUT /volume/v3/volumes/{id}/metadata"),
    ("POST /compute/v2.1/servers", "DELETE /compute/v2.1/servers/{id}/metadata/karbor_mark"),
    ("POST /network/v2.0/security-groups", "POST /network/v2.0/security-group-rules",
     "PUT /network/v2.0/security-groups/{id}"),
    ("POST /network/v2.0/networks", "PUT /network/v2.0/networks/{id}"),
    ("POST /network/v2.0/ports", "PUT /network/v2.0/ports/{id}")]


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: chain[0].split("/")[-1])
def test_killed_until_the_mark_is_gone(scene: Scene, chain: tuple[str, ...]) -> None:
    """Each life is killed at the next request that concerns one thing, and the last of these takes
    its mark off: whoever comes then must still know that it is there."""
    home, double, verb = scene.home, scene.double, Restore()
    home.bring_back(verb.start)
    start, mark = remaining(double), len(double.ledger())
    argv = verb.begin(scene)
    for signature in chain:
        def arm(pid: int, signature: str = signature) -> None:
            double.fault("kill-after", pid=pid, signature=signature)

        assert home.karbor(*argv, before=arm).killed
        double.heal()
        newest = home.newest()
        assert newest
        argv = ("operation", "resume", newest[0])
    verb.check(scene, home.karbor(*argv), start, mark)


def test_the_harness_really_kills(scene: Scene) -> None:
    home, double = scene.home, scene.double
    home.bring_back("built")

    def arm(pid: int) -> None:
        double.fault("kill-after", pid=pid, method="POST", path="/v3/snapshots$")

    assert home.karbor(*PROTECT, before=arm).killed
    assert len(double.dump()["cinder.snapshot"]) >= 1
    newest = home.newest()
    assert newest
    assert newest[1] == "running"
