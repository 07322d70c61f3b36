"""One entry after the other of a stage whose thing is given up by its service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from karbor.domain.errors import RemoteFailed
from karbor.domain.resource import VOLUME, Resource
from karbor.domain.step import Again, Done, Failed, Outcome
from karbor.operations import staging
from karbor.plugin.protection import Stage, Work
from tests.unit.protections.scripted import ScriptedCloud, StepOf

RESOURCE = Resource(VOLUME, "volume", "data")


class Making(Stage):
    """Things are called 1, 2, 3 …; `lost` are those whose service forgets them, at the looks that
    are numbered so (all, if there are no numbers)."""

    name = "making"
    kind = "some.thing"
    ready = frozenset({"available"})

    def __init__(self, lost: Mapping[str, set[int]]) -> None:
        self.lost = lost
        self.there: list[str] = []
        self.made = 0
        self.looks = 0

    def create(self, work: Work) -> str:
        self.made += 1
        self.there.append(str(self.made))
        return self.there[-1]

    def find(self, work: Work) -> str | None:
        return self.there[-1] if self.there else None

    def delete(self, work: Work, id: str) -> None:
        if id in self.there:
            self.there.remove(id)

    def given_up(self, work: Work, id: str, seen: Mapping[str, Any]) -> str:
        self.looks += 1
        looks = self.lost.get(id, {0})
        return "nobody works on it" if not looks or self.looks in looks else ""

    def record(self, id: str) -> Any:
        return {"status": "creating" if id in self.lost else "available"} if id in self.there \
            else None


def drive(stage: Making, handle: Mapping[str, Any] | None = None, *, twice: bool = False
          ) -> tuple[Outcome, list[dict[str, Any]]]:
    """To its end, or 30 entries; `twice`: each entry is made again, as after a crash before its
    outcome was written down."""
    kept, handles = dict(handle or {}), []
    outcome: Outcome = Again()
    for _ in range(30):
        looks = {f"some.thing#{one}": stage.record(one) for one in map(str, range(9))}
        for _ in range(2 if twice else 1):
            outcome = staging.perform(stage, StepOf(
                RESOURCE, ScriptedCloud(looks), handle=kept, entered_before=bool(handles) or twice))
            looks = {f"some.thing#{one}": stage.record(one) for one in map(str, range(9))}
        if not isinstance(outcome, Again):
            break
        kept = dict(kept if outcome.handle is None else outcome.handle)
        handles.append(kept)
    return outcome, handles


@pytest.mark.parametrize("twice", [False, True], ids=["once", "each entry twice"])
def test_what_its_service_gave_up_is_removed_and_made_anew(twice: bool) -> None:
    stage = Making({"1": set()})
    outcome, handles = drive(stage, twice=twice)
    assert isinstance(outcome, Done)
    assert outcome.saved == {"id": "2"}
    assert stage.there == ["2"]
    assert handles[-1] == {"id": "2", "anew": 1}


def test_it_is_believed_only_when_it_is_seen_twice() -> None:
    stage = Making({"1": {1}})
    outcome, handles = drive(stage)
    assert isinstance(outcome, Again)       # still in the making after 30 entries, and the only one
    assert handles[1]["given_up"] == "nobody works on it"
    assert handles[-1] == {"id": "1"}
    assert stage.there == ["1"]


def test_what_is_given_up_again_and_again_fails() -> None:
    stage = Making({str(number): set() for number in range(1, 9)})
    outcome, _ = drive(stage)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, RemoteFailed)
    assert "was given up 4 times: nobody works on it" in outcome.error.message
    assert stage.made == 4


def test_what_vanishes_by_itself_is_still_an_error() -> None:
    stage = Making({})
    stage.there = []
    outcome, _ = drive(stage, {"id": "7"})
    assert isinstance(outcome, Failed)
    assert "vanished" in outcome.error.message
