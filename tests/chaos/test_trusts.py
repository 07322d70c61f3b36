"""Keystone does not answer when a trust is made or removed: none is lost sight of."""

from __future__ import annotations

import pytest

from tests.chaos.scene import PROTECT, Scene, difference, no_trust_stays, remaining, trusts
from tests.chaos.verbs import Protect

TRUSTS = "/OS-TRUST/trusts"
ANOTHER = ("protect", "app-image", "--name", "another")


@pytest.mark.parametrize("act", ["close-before", "close-after"])
def test_one_that_may_have_been_made_is_looked_for_by_the_next_operation(
        scene: Scene, act: str) -> None:
    home, double = scene.home, scene.double
    home.bring_back("built")
    start = remaining(double)
    double.fault(act, method="POST", path=TRUSTS)
    ended = home.karbor(*PROTECT)
    assert ended.code == 3, ended
    newest = home.newest()
    assert newest
    assert newest[1] == "failed"
    assert len(trusts(double)) == (act == "close-after")
    assert trusts(double) <= home.trusts().keys()
    assert difference(start, remaining(double)) == {}

    assert home.karbor(*ANOTHER).code == 0
    assert trusts(double) == set()
    assert home.trusts() == {}


@pytest.mark.parametrize("act", ["answer", "close-before", "close-after"])
def test_one_that_could_not_be_removed_goes_with_the_next_operation(
        scene: Scene, act: str) -> None:
    home, double, verb = scene.home, scene.double, Protect()
    home.bring_back(verb.start)
    start, mark = remaining(double), len(double.ledger())
    double.fault(act, method="DELETE", path=TRUSTS)
    verb.check(scene, home.karbor(*verb.begin(scene)), start, mark)
    newest = home.newest()
    assert newest
    shown = home.json("operation", "show", newest[0], "--no-steps")
    assert "its trust still stands, and is removed later" in str(shown["events"])
    assert list(home.trusts().values()) == ["done"]
    no_trust_stays(scene, *ANOTHER)
    assert home.karbor(*ANOTHER).code == 0
    assert home.trusts() == {}
