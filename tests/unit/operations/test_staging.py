"""One entry after the other of a stage whose thing is given up by its service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from karbor.domain.errors import CloudConflict, PluginFault, WorkInterrupted
from karbor.domain.resource import VOLUME, Resource
from karbor.domain.step import Again, Done, Failed, Outcome, Wait
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

    def find(self, work: Work) -> list[str]:
        return self.there[::-1]

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
def test_what_its_service_gave_up_may_be_made_anew(twice: bool) -> None:
    stage = Making({"1": set()})
    outcome, _ = drive(stage, twice=twice)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, WorkInterrupted)
    assert outcome.error.message == "thing 1 was given up: nobody works on it"
    assert stage.there == ["1"]     # removing it is the next thing that is done


def test_it_is_believed_only_when_it_is_seen_twice() -> None:
    stage = Making({"1": {1}})
    outcome, handles = drive(stage)
    assert isinstance(outcome, Again)       # still in the making after 30 entries, and the only one
    assert outcome.wait == Wait("thing 1, which is creating")
    assert handles[1]["given_up"] == "nobody works on it"
    assert handles[-1] == {"id": "1"}
    assert stage.there == ["1"]


def test_what_vanishes_by_itself_may_be_made_anew() -> None:
    stage = Making({})
    stage.there = []
    outcome, _ = drive(stage, {"id": "7"})
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, WorkInterrupted)
    assert "vanished" in outcome.error.message


class Refusing(Making):
    """Its service refuses to delete things that are worked on, and says why that never ends."""

    def __init__(self, *, never: bool) -> None:
        super().__init__({"1": set()})
        self.there, self.never, self.refusals = ["1"], never, 0

    def delete(self, work: Work, id: str) -> None:
        self.refusals += 1
        raise CloudConflict("400: it must be available", status=400)

    def never_deleted(self, work: Work, id: str, seen: Mapping[str, Any]) -> str:
        return "nobody makes a backup of it" if self.never else ""


def removal(stage: Making, entries: int, handle: Mapping[str, Any] | None = None) -> Outcome:
    handle = {"id": "1"} if handle is None else handle
    outcome: Outcome = Again()
    for _ in range(entries):
        looks = {f"some.thing#{id}": stage.record(id) for id in ("1", "2")}
        outcome = staging.undo(stage, StepOf(RESOURCE, ScriptedCloud(looks), handle=handle))
        if not isinstance(outcome, Again):
            break
        handle = dict(handle if outcome.handle is None else outcome.handle)
    return outcome


def test_what_is_worked_on_is_looked_at_and_seldom_asked_to_go() -> None:
    stage = Refusing(never=False)
    outcome = removal(stage, 100)
    assert isinstance(outcome, Again)
    assert outcome.wait == Wait("thing 1 to be deletable; it is creating", "removal")
    assert stage.refusals == 10     # of a hundred entries


def test_what_will_be_worked_on_for_ever_is_left_at_once_with_the_cause() -> None:
    stage = Refusing(never=True)
    outcome = removal(stage, 100)
    assert isinstance(outcome, Failed)
    assert outcome.error.message == ("thing 1 cannot be deleted while it is creating: nobody makes "
                                     "a backup of it")
    assert stage.refusals == 1


class Failing(Making):
    """Its service accepts deletions, and fails at the first ones."""

    def __init__(self, times: int) -> None:
        super().__init__({})
        self.there, self.times, self.asked = ["1"], times, 0

    def delete(self, work: Work, id: str) -> None:
        self.asked += 1
        if self.asked > self.times:
            super().delete(work, id)

    def record(self, id: str) -> Any:
        return {"status": "error"} if id in self.there else None


def test_a_deletion_that_failed_is_asked_for_again_a_few_times() -> None:
    stage = Failing(2)
    assert isinstance(removal(stage, 30), Done)
    stage = Failing(9)
    outcome = removal(stage, 30)
    assert isinstance(outcome, Failed)
    assert outcome.error.message == "thing 1 cannot be deleted: error"
    assert stage.asked == 3


class Twice(Making):
    """A request of a process that was interrupted is carried out after the next one's."""

    def create(self, work: Work) -> str:
        made = super().create(work)
        super().create(work)
        return made


def test_what_an_interrupted_process_has_made_as_well_is_removed() -> None:
    stage = Twice({})
    outcome, handles = drive(stage, twice=True)
    assert outcome == Done({"id": "2"}, handle=handles[-1])
    assert stage.there == ["2"]


def test_of_two_that_are_undone_none_is_left() -> None:
    stage = Twice({})
    _, handles = drive(stage, {}, twice=True)
    stage.there = ["1", "2"]
    assert removal(stage, 9, handles[0]) == Done()
    assert stage.there == []


def test_of_two_whose_ids_were_never_written_down_none_is_left() -> None:
    stage = Making({})
    stage.there = ["1", "2"]
    assert removal(stage, 9, {}) == Done()
    assert stage.there == []


class Stuck(Twice):
    """The second thing cannot be deleted."""

    def __init__(self) -> None:
        super().__init__({})
        self.asked = 0

    def find(self, work: Work) -> list[str]:
        return self.there

    def delete(self, work: Work, id: str) -> None:
        self.asked += 1

    def record(self, id: str) -> Any:
        return {"status": "error_deleting" if id == "2" and self.asked else "available"}


def test_a_second_thing_that_cannot_be_deleted_is_told_and_fails_nothing() -> None:
    stage = Stuck()
    outcome, _ = drive(stage, twice=True)
    assert isinstance(outcome, Done)
    assert outcome.saved["id"] == "1"
    assert outcome.saved["note"].startswith("a second thing 2, made by a process that was interr")
    assert stage.asked == 2 * staging.DELETIONS     # each entry is made twice


@pytest.mark.parametrize("present", ["thing-1", None, [7]])
def test_what_a_plugin_finds_is_a_list_of_ids(present: Any) -> None:
    stage = Making({})
    stage.find = lambda work: present       # type: ignore[method-assign]
    with pytest.raises(PluginFault, match="which is no list of ids"):
        staging.perform(stage, StepOf(RESOURCE, ScriptedCloud({}), entered_before=True))
