"""The proof of endurance refuses what has not endured."""

from __future__ import annotations

from typing import Any

import pytest

from dev.endurance.commands import Ended
from dev.endurance.proof import Passage, Scale

SCALE = Scale(operations=20, seconds=300, token_life=30, window=60, size=1 << 20)
BEGUN = 1000.0
CHANGED = {"at": 1100.0, "text": "credential changed from user + service token to "
           "trust + service token: its deadline came"}


def passage(code: int = 0, verb: str = "protect", **changes: Any) -> Passage:
    steps = [{"stage": stage, "state": "done", "finished_at": at}
             for stage, at in (("topology", 1010.0), ("bytes", 1200.0), ("bytes", 1340.0))]
    record = {"state": "done", "created_at": 1005.0, "finished_at": 1350.0, "steps": steps,
              "credential": {"rung": "trust + service token"},
              "events": [{"at": 1006.0, "text": "queued → planning"}, CHANGED], **changes}
    return Passage("someone", verb, BEGUN, Ended(code, "", "karbor: it failed\n", 1.0, 100.0),
                   record)


def test_what_outlasted_its_token_and_changed_over_has_endured() -> None:
    seen = passage()
    assert list(seen.faults(SCALE)) == []
    assert (seen.seconds, seen.steps_after) == (345.0, ["bytes", "bytes"])


def test_the_removal_of_what_was_made_for_the_while_is_a_request_as_well() -> None:
    steps = [{"stage": "release:disk", "state": "done", "finished_at": 1340.0}]
    assert list(passage(steps=steps).faults(SCALE)) == []


@pytest.mark.parametrize(("one", "said"), [
    (passage(code=1), "ended with 1: karbor: it failed"),
    (passage(state="failed"), "ended with 0: karbor: it failed"),
    (passage(finished_at=1290.0), "was over after 285 s"),
    (passage(events=[]), "changed its credential otherwise than it should: never"),
    (passage(events=[CHANGED, CHANGED]), "otherwise than it should"),
    (passage(events=[{**CHANGED, "at": 1080.0}]), "changed 4 s too early: its deadline came"),
    (passage(credential={"rung": "user + service token"}), "says that it stands on user"),
    (passage(verb="restore"), "asked for nothing after the change"),
    (passage(steps=[]), "asked for nothing after the change"),
])
def test_what_has_not_is_told(one: Passage, said: str) -> None:
    found = list(one.faults(SCALE))
    assert len(found) == 1
    assert said in found[0]


def test_a_command_that_began_nothing_is_told_with_its_last_words() -> None:
    one = Passage("someone", "protect", BEGUN, Ended(3, "", "a\nkarbor: no\n", 1.0, 1.0), {})
    assert list(one.faults(SCALE)) == ["ended with 3: karbor: no"]
    assert (one.seconds, one.changes, one.steps_after) == (0.0, [], [])


def test_the_rate_makes_both_disks_take_at_least_the_wanted_time() -> None:
    assert all(2 * size / SCALE.rate >= 300 for size in SCALE.sizes)
