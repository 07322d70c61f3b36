"""Triggers and scheduled operations: what a user may do with them, on a real database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from karbor.domain.errors import BadInput, Conflict, NotFound
from karbor.domain.listing import Listing, Sort
from karbor.domain.occurrence import OccurrenceState
from karbor.domain.scheduled_operation import ScheduledOperation
from karbor.domain.trigger import Trigger
from karbor.schedule.properties import Limits
from karbor.schedule.scheduled_operations import ScheduleRequests, ScheduleUpdate
from karbor.schedule.triggers import TriggerRequests
from karbor.store.application_credentials import ApplicationCredentials
from karbor.store.connect import writing
from karbor.store.schedule_tables import SCHEDULED_OPERATIONS
from tests.contract.scheduling import HOURLY, NIGHTLY, T0, World, at, world_at

TWO = at("2026-11-26 02:00")
CRON: dict[str, Any] = {"format": "crontab", "pattern": "0 2 * * *"}
DEFINITION = {"plan_id": "plan", "provider_id": "provider"}


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    url = f"sqlite:///{tmp_path / 'karbor.sqlite'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_url")
    with world_at(url) as world:
        yield world


@pytest.fixture
def triggers(world: World) -> TriggerRequests:
    return TriggerRequests(world.triggers, Limits())


@pytest.fixture
def admission(world: World) -> ScheduleRequests:
    return ScheduleRequests(world.scheduled, triggers=world.triggers, plans=world.plans,
                        occurrences=world.occurrences)


def make(admission: ScheduleRequests, type: str = "protect", **options: Any) -> ScheduledOperation:
    return admission.create("p", type, replace(ScheduleUpdate(
        name="nightly", trigger_id="t", operation_definition=DEFINITION,
        caller={"user_id": "u"}, credential={"sealed": "gAAAA"}), **options), T0)


# ---------------------------------------------------------------------- triggers
def test_a_trigger_is_kept_as_it_was_checked(world: World, triggers: TriggerRequests) -> None:
    made = triggers.create("p", name="", type="time", now=T0, properties={
        **CRON, "time_zone": "Europe/Berlin", "window": 1000, "end_time": "2027-01-01 00:00:00"})
    assert triggers.coming("p", made.id, T0, 2) == [TWO - 3600, TWO - 3600 + 86400]
    assert world.triggers.show("p", made.id) == made
    for ask in (world.triggers.show, triggers.delete):
        with pytest.raises(NotFound, match="no trigger"):
            ask("other", made.id)
    with pytest.raises(Conflict):
        world.triggers.add(made)
    triggers.delete("p", made.id)
    with pytest.raises(NotFound):
        triggers.delete("p", made.id)


@pytest.mark.parametrize(("wrong", "said"), [
    ({"type": "event"}, "type 'event'"), ({"name": "x" * 256}, "255 characters"),
    ({"properties": {}}, "calendar or crontab"),
])
def test_a_trigger_that_cannot_be_is_refused(
        triggers: TriggerRequests, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        triggers.create("p", **{"name": "n", "type": "time", "properties": CRON, "now": T0,
                                **wrong})


def test_a_trigger_in_use_stays_and_names_its_users(
        world: World, triggers: TriggerRequests
) -> None:
    world.trigger()
    world.add("a")
    world.add("b")
    with pytest.raises(Conflict, match=r"the a \(a\), the b \(b\)"):
        triggers.delete("p", "t")
    world.scheduled.drop("p", "a")
    world.scheduled.drop("p", "b")
    triggers.delete("p", "t")


def test_a_new_pattern_counts_from_now_for_all_that_are_not_paused(
        world: World, triggers: TriggerRequests, admission: ScheduleRequests) -> None:
    world.trigger(fault="broken")
    world.add("a")
    world.add("paused")
    admission.pause("p", "paused", T0)
    before, = world.occurrences.due(TWO)
    now = at("2026-11-26 01:30")
    changed = triggers.update("p", "t", now=now, name="new", properties={
        "format": "crontab", "pattern": "0 3 * * *", "start_time": "2026-11-26 00:00:00"})
    assert world.triggers.show("p", "t") == changed
    assert (changed.name, changed.fault, changed.updated_at) == ("new", "", now)
    assert world.scheduled.show("p", "a").next_due_at == at("2026-11-26 03:00")
    assert world.scheduled.show("p", "paused").next_due_at is None
    # An engine that had read the old times claims nothing with them.
    assert world.occurrences.claim(before[0], TWO + 86400, []) is None
    world.clock.tick(TWO)
    assert world.told("a") == []


def test_a_new_name_moves_no_times(world: World, triggers: TriggerRequests) -> None:
    world.trigger()
    one = world.add()
    assert triggers.update("p", "t", now=T0 + 5, name="new", properties={}).name == "new"
    assert world.scheduled.show("p", "s") == one
    assert triggers.update("p", "t", now=T0 + 5) == world.triggers.show("p", "t")
    with pytest.raises(BadInput, match="start_time"):
        triggers.update("p", "t", now=T0, properties=CRON)
    with pytest.raises(NotFound):
        triggers.update("other", "t", now=T0, name="x")


def sorting(keys: Any) -> tuple[Sort, ...]:
    return tuple(Sort(*one) for one in keys)


def test_triggers_are_listed_filtered_sorted_and_in_pages(world: World) -> None:
    for number, name in enumerate(["b_1", "a%2", "C3", "a%2"]):
        world.trigger(str(number), HOURLY if number == 2 else NIGHTLY, name=name,
                      created_at=T0 + number // 2)
    world.trigger("foreign", project_id="other")

    def ids(project: str | None = "p", filters: dict[str, str] | None = None,
            sort: Any = (("created_at", True),), **page: Any) -> list[str]:
        return [one.id for one in world.triggers.list(
            Listing(project, sort=sorting(sort), filters=filters or {}, **page))]

    assert ids() == ["3", "2", "1", "0"]            # the newest first, then by id
    assert ids(None, {"name": "NIGHT"}) == ["foreign"]
    assert ids(filters={"name": "A%"}) == ["3", "1"]        # % is a letter like others
    assert ids(filters={"name": "."}) == []
    assert ids(filters={"name": "_"}) == ["0"]
    assert ids(filters={"properties": "0 * *"}) == ["2"]
    assert ids(filters={"type": "tim"}) == []
    by_name = (("name", False), ("created_at", True))
    assert ids(sort=by_name) == sorted(ids(), key=lambda one: (
        world.triggers.show("p", one).name, -world.triggers.show("p", one).created_at))
    assert ids(sort=(), limit=2) == ["3", "2"]
    assert ids(limit=2, offset=1) == ["2", "1"]
    for sort in (by_name, (("created_at", True),), (("id", False),), ()):
        pages, marker = [], ""
        while page := ids(sort=sort, marker=marker, limit=1):
            pages += page
            marker = page[-1]
        assert pages == ids(sort=sort)
    with pytest.raises(NotFound):
        ids(marker="foreign")
    for wrong in ({"sort": (("colour", True),)}, {"filters": {"colour": "red"}}):
        with pytest.raises(BadInput, match="'colour'"):
            ids(**wrong)


# ---------------------------------------------------------------------- scheduled operations
def test_a_scheduled_operation_is_kept_and_due_next(
        world: World, admission: ScheduleRequests
) -> None:
    world.trigger()
    made = make(admission, "retention_protect", description="d", operation_definition={
        **DEFINITION, "max_backups": "2", "keep_daily": 7})
    assert world.scheduled.show("p", made.id) == made
    assert (made.next_due_at, made.enabled, made.revision) == (TWO, True, 0)
    assert "gAAAA" not in repr(made)
    with pytest.raises(NotFound):
        world.scheduled.show("other", made.id)
    with pytest.raises(Conflict):
        world.scheduled.add(made)


@pytest.mark.parametrize(("wrong", "error", "said"), [
    ({"type": "restore"}, BadInput, "'restore'"),
    ({"name": " "}, BadInput, "needs a name"),
    ({"name": "x" * 256}, BadInput, "255"),
    ({"trigger_id": "other"}, NotFound, "no trigger other"),
    ({"trigger_id": None}, NotFound, "no trigger"),
    ({"operation_definition": {"plan_id": "plan"}}, BadInput, "no provider_id"),
    ({"operation_definition": {**DEFINITION, "plan_id": 5}}, BadInput, "no plan_id"),
    ({"operation_definition": {**DEFINITION, "plan_id": "x"}}, NotFound,
     "Plan x could not be found"),
    ({"operation_definition": {**DEFINITION, "provider_id": "x"}}, BadInput, "for provider"),
    ({"type": "retention_protect",
      "operation_definition": {**DEFINITION, "max_backups": "few"}}, BadInput, "max_backups"),
])
def test_what_could_not_run_is_refused(
        world: World, admission: ScheduleRequests, wrong: dict[str, Any], error: type[Exception],
        said: str) -> None:
    world.trigger()
    with pytest.raises(error, match=said):
        make(admission, **wrong)
    assert world.scheduled.list(Listing("p")) == []


def test_of_a_foreign_project_there_is_no_trigger(
        world: World, admission: ScheduleRequests
) -> None:
    world.trigger(project_id="other")
    with pytest.raises(NotFound):
        make(admission)


def test_a_paused_one_begins_nothing_and_has_missed_nothing(
        world: World, admission: ScheduleRequests) -> None:
    world.trigger()
    id = make(admission).id
    assert admission.pause("p", id, T0).enabled is False
    assert admission.pause("p", id, T0).revision == 1        # it was paused already
    world.clock.tick(TWO)
    with pytest.raises(BadInput, match="is paused"):
        admission.run_now("p", id, TWO + 60)
    now = at("2026-11-29 02:10")
    assert admission.resume("p", id, now).next_due_at == at("2026-11-30 02:00")
    world.clock.tick(now)
    assert world.told(id) == []
    assert admission.resume("p", id, now).revision == 2
    world.clock.tick(at("2026-11-30 02:00"))
    assert world.told(id) == [("30 02:00", "running")]


def test_one_that_is_paused_before_it_is_begun_is_skipped(world: World, admission: ScheduleRequests
                                                          ) -> None:
    world.trigger()
    id = make(admission).id
    asked = admission.run_now("p", id, T0 + 60)
    assert (asked.state, asked.manual, asked.due_at) == (OccurrenceState.DUE, True, T0 + 60)
    admission.pause("p", id, T0 + 61)
    world.clock.tick(T0 + 62)
    assert world.newest(id).reason == "it was paused before this run was begun"
    assert world.operation_starter.asked == []


def test_run_now_is_beside_the_times_of_the_trigger(
        world: World, admission: ScheduleRequests
) -> None:
    world.trigger()
    id = make(admission).id
    admission.run_now("p", id, T0 + 60)
    with pytest.raises(Conflict, match="not been begun"):
        admission.run_now("p", id, T0 + 61)
    world.clock.tick(T0 + 62)
    with pytest.raises(Conflict, match="still going"):
        admission.run_now("p", id, T0 + 63)
    world.ends(world.operation_starter.accepted[0])
    world.clock.tick(TWO)
    assert world.told(id) == [("26 00:01", "done"), ("26 02:00", "running")]
    with pytest.raises(NotFound):
        admission.run_now("other", id, T0)


def test_one_can_be_changed(world: World, admission: ScheduleRequests) -> None:
    world.trigger()
    world.trigger("t2", HOURLY)
    id = make(admission, "retention_protect").id
    changed = admission.update(
        "p",
        id,
        ScheduleUpdate(
            name="new",
            description="d",
            trigger_id="t2",
            operation_definition={**DEFINITION, "max_backups": 3},
            caller={"user_id": "v"},
            credential={"sealed": "h"},
        ),
        T0 + 5,
    )
    assert world.scheduled.show("p", id) == changed
    assert (changed.name, changed.trigger_id, changed.next_due_at, changed.caller) == (
        "new", "t2", T0 + 3600, {"user_id": "v"})
    assert (changed.revision, changed.updated_at) == (1, T0 + 5)
    assert admission.update("p", id, ScheduleUpdate(), T0 + 6).next_due_at == T0 + 3600
    for options, error in (
        (ScheduleUpdate(name=""), BadInput),
        (ScheduleUpdate(trigger_id="x"), NotFound),
        (ScheduleUpdate(operation_definition={}), BadInput),
    ):
        with pytest.raises(error):
            admission.update("p", id, options, T0)
    with pytest.raises(NotFound):
        admission.update("other", id, ScheduleUpdate(name="x"), T0)
    admission.pause("p", id, T0)
    assert admission.update("p", id, ScheduleUpdate(trigger_id="t"), T0).next_due_at is None


def test_of_two_who_change_it_at_once_one_is_told(
        world: World, admission: ScheduleRequests
) -> None:
    world.trigger()
    one = make(admission)
    admission.pause("p", one.id, T0)
    with pytest.raises(Conflict, match="somebody else"):
        world.scheduled.replace(one)
    with pytest.raises(NotFound):
        world.scheduled.replace(replace(one, id="gone"))
    with pytest.raises(Conflict, match="trigger x is gone"):
        world.scheduled.replace(replace(world.scheduled.show("p", one.id), trigger_id="x"))


def test_one_goes_with_its_history(world: World, admission: ScheduleRequests) -> None:
    world.trigger()
    id = make(admission).id
    world.clock.tick(TWO)
    with pytest.raises(NotFound):
        admission.delete("other", id)
    admission.delete("p", id)
    assert (world.rows(), len(world.operation_starter.accepted)) == (0, 1)
    assert world.clock.tick(TWO + 15).ended == 0


def test_scheduled_operations_are_listed_filtered_and_sorted(
        world: World, admission: ScheduleRequests) -> None:
    world.trigger()
    ids = [make(admission, name=name, description=text).id
           for name, text in (("b", "Shop"), ("a", ""), ("c", "SHOPPING"))]
    admission.pause("p", ids[1], T0)

    def places(filters: dict[str, str] | None = None, sort: Any = (("created_at", True),),
               **page: Any) -> list[int]:
        return [ids.index(one.id) for one in world.scheduled.list(
            Listing("p", sort=sorting(sort), filters=filters or {}, **page))]

    assert places(sort=(("name", False),)) == [1, 0, 2]
    assert places(sort=(("status", False), ("name", True))) == [1, 2, 0]
    assert places({"description": "shop"}, sort=(("name", False),)) == [0, 2]
    assert sorted(places({"operation_definition": '"plan_id": "plan"'})) == [0, 1, 2]
    assert places({"operation_definition": "%"}) == []
    assert places({"name": "A", "operation_type": "protect", "trigger_id": "t"}) == [1]
    assert places({"operation_type": "retention_protect"}) == []
    assert world.scheduled.list(Listing("other")) == []
    assert len(world.scheduled.list(Listing(None))) == 3
    with pytest.raises(BadInput):
        places({"colour": "red"})
    marker = ids[1]
    assert places(sort=(("status", False), ("name", True)), marker=marker, limit=1) == [2]


def test_occurrences_are_for_their_project_and_in_pages(world: World) -> None:
    world.trigger(properties=HOURLY)
    world.add()
    for hour in range(1, 4):
        world.clock.tick(T0 + 3600 * hour)
    newest = world.occurrences.list("p", "s", Listing("p", sort=(Sort("due_at"),), limit=1))
    rest = world.occurrences.list("p", "s", Listing(
        "p", sort=(Sort("due_at"),), marker=newest[0].id))
    assert [one.due_at for one in [*newest, *rest]] == [T0 + 10800, T0 + 7200, T0 + 3600]
    assert world.occurrences.list("other", "s") == []


def test_the_credential_is_sealed_anew_with_the_others(world: World) -> None:
    world.trigger()
    world.add(credential={"cloud": "c", "user": {"sealed": "old"}})
    assert ApplicationCredentials(world.engines[0]).reseal(lambda sealed: sealed + "-new") == 1
    assert world.scheduled.show("p", "s").credential == {
        "cloud": "c", "user": {"sealed": "old-new"}}


def test_a_type_of_a_later_karbor_can_be_listed(world: World) -> None:
    world.trigger()
    world.add()
    with writing(world.engines[0]) as connection:
        connection.execute(SCHEDULED_OPERATIONS.update().values(operation_type="verify"))
    assert [str(one.operation_type) for one in world.scheduled.list(Listing("p"))] == ["verify"]


def test_a_trigger_bears_what_its_users_see(world: World) -> None:
    assert world.trigger() == Trigger("t", "p", "nightly", NIGHTLY, created_at=T0)
