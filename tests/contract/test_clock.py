"""The clock on a real database: what is due is begun once, whoever dies, and all is told."""

from __future__ import annotations

import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from karbor.domain.errors import BadInput, CloudUnavailable, Conflict, StoreUnavailable
from karbor.domain.occurrence import WANTED, OccurrenceState
from karbor.domain.operation import OperationState
from karbor.domain.scheduled_operation import OperationType
from karbor.domain.trigger import PatternFormat, TriggerProperties
from karbor.store.connect import writing
from karbor.store.schedule_tables import TRIGGERS
from tests.contract.scheduling import (
    HOURLY,
    NIGHTLY,
    T0,
    WINDOW,
    Died,
    Firing,
    World,
    at,
    world_at,
)

TWO = at("2026-11-26 02:00")
DAY = 86400.0
RETENTION = OperationType.RETENTION_PROTECT


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    url = f"sqlite:///{tmp_path / 'karbor.sqlite'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_url")
    with world_at(url) as world:
        yield world


def test_what_is_due_is_begun_and_ends_as_its_operation(world: World) -> None:
    world.trigger()
    world.add()
    assert world.clock.tick(TWO - 1).fired == 0
    assert world.clock.sleep_until(TWO - 1) == TWO
    assert world.clock.sleep_until(TWO - 1000) == TWO - 985
    assert world.clock.tick(TWO).fired == 1
    one = world.newest()
    assert (one.state, one.due_at, one.started_at) == (OccurrenceState.RUNNING, TWO, TWO)
    assert [one.operation_id] == world.operation_starter.accepted == [one.reserved_operation_id]
    assert world.clock.tick(TWO + 15).fired == 0
    assert world.occurrences.of_operation("p", one.operation_id) == one
    assert world.occurrences.of_operation("other", one.operation_id) is None
    world.ends(one.operation_id)
    assert world.clock.tick(TWO + 30).ended == 1
    one = world.newest()
    assert (one.state, one.finished_at, one.reason) == (OccurrenceState.DONE, TWO + 30, "")
    world.clock.tick(TWO + DAY)
    assert world.told() == [("26 02:00", "done"), ("27 02:00", "running")]


@pytest.mark.parametrize(("state", "error", "reason"), [
    (OperationState.FAILED, {"message": "no space left", "remedy": "buy disks"},
     "no space left (buy disks)"),
    (OperationState.FAILED, None, "its operation failed"),
    (OperationState.CANCELLED, {"message": "x"}, "its operation was cancelled"),
])
def test_the_reason_of_a_failure_is_that_of_its_operation(
        world: World, state: OperationState, error: dict[str, str] | None, reason: str) -> None:
    world.trigger()
    world.add(operation_type=RETENTION)
    world.clock.tick(TWO)
    world.ends(world.operation_starter.accepted[0], state, error)
    world.clock.tick(TWO + 15)
    assert (world.newest().state, world.newest().reason) == (OccurrenceState.FAILED, reason)
    assert world.post_run.done == []       # what failed removes nothing


def test_an_operation_whose_record_is_gone_has_failed(world: World) -> None:
    world.trigger()
    world.add()
    world.clock.tick(TWO)
    world.operation_starter.records.withdraw(world.operation_starter.accepted[0])
    world.clock.tick(TWO + 15)
    assert "is gone" in world.newest().reason


def test_while_a_run_is_going_the_next_is_skipped(world: World) -> None:
    world.trigger(properties=HOURLY)
    world.add()
    world.clock.tick(T0 + 3600)
    assert world.clock.tick(T0 + 7200).skipped == 1
    assert world.newest().reason == ("the previous run is still going (operation "
                                     f"{world.operation_starter.accepted[0]})")
    world.ends(world.operation_starter.accepted[0])
    world.clock.tick(T0 + 10800)
    assert world.told() == [("26 01:00", "done"), ("26 02:00", "skipped"), ("26 03:00", "running")]


def test_of_what_was_missed_the_latest_is_caught_up_within_its_window(world: World) -> None:
    world.trigger()
    world.add()
    done = world.clock.tick(at("2026-11-29 02:14:59"))
    assert (done.fired, done.missed) == (1, 3)
    missed = world.occurrences.list("p", "s")[1]
    assert (missed.due_at, missed.count, missed.last_due_at) == (
        TWO, 3, at("2026-11-28 02:00"))
    assert missed.reason == ("nobody began 3 due times from 2026-11-26 02:00:00 UTC to "
                             "2026-11-28 02:00:00 UTC within 900 s each")
    assert world.told() == [("26 02:00", "missed"), ("29 02:00", "running")]


def test_after_the_window_it_is_missed_too_and_the_next_one_is_on_time(world: World) -> None:
    world.trigger()
    world.add()
    assert world.clock.tick(TWO + WINDOW + 1).missed == 1
    assert world.newest().reason == "nobody began it within 900 s"
    world.clock.tick(TWO + DAY)
    assert world.told() == [("26 02:00", "missed"), ("27 02:00", "running")]


def test_a_year_of_silence_is_one_row(world: World) -> None:
    world.trigger(properties=TriggerProperties(
        PatternFormat.CALENDAR, "BEGIN:VEVENT\nRRULE:FREQ=MINUTELY\nEND:VEVENT", T0))
    world.add()
    done = world.clock.tick(T0 + 365 * DAY)
    assert (done.fired, world.rows()) == (1, 2)
    missed = world.occurrences.list("p", "s")[1]
    assert (missed.count, missed.last_due_at) == (1000, T0 + 365 * DAY - 60)
    assert "more than 1000 due times" in missed.reason


def test_a_trigger_that_has_ended_is_due_no_more(world: World) -> None:
    world.trigger(properties=replace(NIGHTLY, end_time=TWO))
    world.add()
    world.clock.tick(TWO)
    assert world.scheduled.show("p", "s").next_due_at is None
    assert world.clock.sleep_until(TWO) == TWO + 15


def test_a_clock_that_is_put_back_begins_nothing_twice(world: World) -> None:
    world.trigger()
    one = world.add()
    world.clock.tick(TWO)
    world.ends(world.operation_starter.accepted[0])
    world.clock.tick(TWO + 1)
    found = world.scheduled.show("p", "s")
    world.scheduled.replace(replace(found, next_due_at=one.next_due_at))    # as if never seen
    world.clock.tick(TWO + 2)
    assert (world.told(), len(world.operation_starter.asked)) == ([("26 02:00", "done")], 1)


# ---------------------------------------------------------------------- engines that die
@pytest.mark.parametrize("dies", ["before", "after"])
def test_what_a_dead_engine_had_claimed_is_begun_by_another(world: World, dies: str) -> None:
    world.trigger()
    world.add()
    dying = world.another_clock(
        operation_starter=Firing(world.operation_starter.records, dies=dies)
    )
    with pytest.raises(Died):
        dying.tick(TWO)
    assert world.newest().state is OccurrenceState.DUE
    assert world.clock.tick(TWO + 299).fired == 0       # it might still be at it
    assert world.clock.tick(TWO + 300).fired == 1
    one = world.newest()
    assert (one.state, one.attempts) == (OccurrenceState.RUNNING, 2)
    assert one.operation_id == one.reserved_operation_id
    assert len(world.operation_starter.asked) == (1 if dies == "before" else 0)


def test_what_a_dead_engine_had_accepted_is_found_even_after_the_window(world: World) -> None:
    world.trigger()
    world.add()
    with pytest.raises(Died):
        world.another_clock(
            operation_starter=Firing(world.operation_starter.records, dies="after")
        ).tick(TWO)
    world.clock.tick(TWO + 2 * WINDOW)
    assert world.told() == [("26 02:00", "running")]


def test_what_nobody_took_over_in_its_window_is_missed(world: World) -> None:
    world.trigger()
    world.add()
    with pytest.raises(Died):
        world.another_clock(
            operation_starter=Firing(world.operation_starter.records, dies="before")
        ).tick(TWO)
    assert world.clock.tick(TWO + WINDOW + 1).missed == 1
    assert world.told() == [("26 02:00", "missed")]


def test_an_engine_that_was_only_slow_is_believed(world: World) -> None:
    """Another took it for dead and found the window closed; its operation runs all the same."""
    world.trigger()
    world.add()

    class Slow(Firing):
        def run(self, scheduled_operation, occurrence):  # type: ignore[no-untyped-def]
            world.clock.tick(TWO + WINDOW + 1)
            assert world.told() == [("26 02:00", "missed")]
            return super().run(scheduled_operation, occurrence)

    assert (
        world.another_clock(operation_starter=Slow(world.operation_starter.records)).tick(TWO).fired
        == 1
    )
    assert world.told() == [("26 02:00", "running")]
    assert world.newest().finished_at is None


def test_a_dead_engine_stops_no_other(world: World) -> None:
    world.trigger()
    for number in range(3):
        world.add(f"s{number}")
    with pytest.raises(Died):
        world.another_clock(
            operation_starter=Firing(world.operation_starter.records, dies="before")
        ).tick(TWO)
    assert world.clock.tick(TWO).fired == 2     # all but the one that is held


# ---------------------------------------------------------------------- what goes wrong
def test_what_may_work_later_is_tried_again_while_the_window_lasts(world: World) -> None:
    world.trigger()
    world.add()
    world.operation_starter.broken["s"] = CloudUnavailable("cinder does not answer")
    assert world.clock.tick(TWO).postponed == 1
    assert (world.newest().state, world.newest().reason) == (
        OccurrenceState.DUE, "cinder does not answer")
    assert world.clock.tick(TWO + 29).postponed == 0
    del world.operation_starter.broken["s"]
    assert world.clock.tick(TWO + 30).fired == 1
    assert (world.newest().attempts, world.newest().reason) == (2, "")


def test_what_never_worked_in_its_window_has_failed_with_the_last_reason(world: World) -> None:
    world.trigger()
    world.add()
    world.operation_starter.broken["s"] = CloudUnavailable("cinder does not answer")
    for later in range(0, WINDOW + 60, 30):
        world.clock.tick(TWO + later)
    assert (world.newest().state, world.newest().reason) == (
        OccurrenceState.FAILED, "cinder does not answer")
    assert world.newest().attempts == WINDOW // 30 + 2


@pytest.mark.parametrize(("error", "reason"), [
    (BadInput("the plan is gone", remedy="make one"), "the plan is gone (make one)"),
    (RuntimeError("hunter2"), "an unexpected RuntimeError; the log of the engine has more"),
])
def test_one_that_cannot_be_begun_says_why_and_stops_no_other(
        world: World, error: Exception, reason: str) -> None:
    world.trigger()
    for id in ("a", "b", "c"):
        world.add(id)
    world.operation_starter.broken["a"] = error
    done = world.clock.tick(TWO)
    assert (done.fired, done.failed) == (2, 1)
    assert (world.newest("a").state, world.newest("a").reason) == (OccurrenceState.FAILED, reason)


BOMB = "\n".join(["BEGIN:VEVENT", "RRULE:FREQ=DAILY;COUNT=99999999"
                  ";BYHOUR=" + ",".join(map(str, range(24)))
                  + ";BYMINUTE=" + ",".join(map(str, range(60)))
                  + ";BYSECOND=" + ",".join(map(str, range(60))), "END:VEVENT"])
"""Stored by a Karbor that accepted it; asking dateutil for its next time takes minutes."""


@pytest.mark.parametrize("broken", [{"pattern": "0 25 * * *"}, {"time_zone": "Mars/Phobos"},
                                    {"format": "later"}, {"format": "calendar", "pattern": BOMB}])
def test_a_broken_trigger_is_shown_to_its_owner_and_stops_no_other(
        world: World, broken: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    world.trigger("bad")
    world.trigger("good")
    world.add("a", "bad")
    world.add("b", "good")
    with writing(world.engines[0]) as connection:
        connection.execute(sa.update(TRIGGERS).where(TRIGGERS.c.id == "bad").values(**broken))
    done = world.clock.tick(TWO)
    assert (done.broken, done.fired) == (1, 1)
    assert any(one in world.triggers.show("p", "bad").fault
               for one in ("Bad hour", "no time zone 'Mars/Phobos'", "format 'later'",
                           "names 86400 times of a day"))
    assert world.clock.tick(TWO + 15).broken == 1
    assert sum("cannot tell its times" in one.message for one in caplog.records) == 1
    # It is not waited for, however long it has been due.
    assert world.clock.sleep_until(TWO + 15) == TWO + 30


def test_a_trigger_that_works_again_loses_its_fault(world: World) -> None:
    world.trigger(fault="no time zone")
    world.add()
    world.clock.tick(TWO)
    assert (world.triggers.show("p", "t").fault, world.told()) == ("", [("26 02:00", "running")])


def test_without_a_database_the_tick_says_so(world: World, monkeypatch: pytest.MonkeyPatch
                                             ) -> None:
    world.trigger()
    world.add()

    def gone(*_: object) -> None:
        raise StoreUnavailable("the database cannot be used")

    monkeypatch.setattr("karbor.store.occurrences.Occurrences.claim", gone)
    with pytest.raises(StoreUnavailable):
        world.clock.tick(TWO)
    monkeypatch.undo()
    assert world.clock.tick(TWO + 1).fired == 1


def test_many_at_once_are_begun_over_several_ticks(world: World) -> None:
    world.trigger()
    for number in range(7):
        world.add(f"s{number}")
    clock = world.another_clock(at_once=3)
    fired = []
    for now in (TWO, TWO + 1, TWO + 2):
        fired.append(clock.tick(now).fired)
        assert clock.sleep_until(now) == (now if len(fired) < 3 else now + 15)
    assert fired == [3, 3, 1]


# ---------------------------------------------------------------------- retention follows
def test_retention_follows_a_success_and_is_told(world: World) -> None:
    world.trigger()
    world.add(operation_type=RETENTION)
    world.clock.tick(TWO)
    world.ends(world.operation_starter.accepted[0])
    done = world.clock.tick(TWO + 15)
    assert (done.ended, done.retained) == (1, 1)
    assert world.newest().retention == "removed 1, kept 2"
    assert world.clock.tick(TWO + 30).retained == 0
    assert world.post_run.done == ["s"]


def test_retention_that_may_work_later_is_tried_again(world: World) -> None:
    world.trigger()
    world.add(operation_type=RETENTION)
    world.clock.tick(TWO)
    world.ends(world.operation_starter.accepted[0])
    world.post_run.broken = CloudUnavailable("swift does not answer")
    assert world.clock.tick(TWO + 15).retained == 0
    assert world.newest().retention == WANTED
    world.post_run.broken = None
    assert world.clock.tick(TWO + 45).retained == 1


@pytest.mark.parametrize(("error", "told"), [
    (BadInput("max_backups is 'x'"), "failed: max_backups is 'x'"),
    (RuntimeError("x"), "failed: an unexpected RuntimeError; the log of the engine has more"),
])
def test_retention_that_cannot_work_says_so(world: World, error: Exception, told: str) -> None:
    world.trigger()
    world.add(operation_type=RETENTION)
    world.post_run.broken = error
    world.clock.tick(TWO)
    world.ends(world.operation_starter.accepted[0])
    world.clock.tick(TWO + 15)
    assert (world.newest().retention, world.newest().state) == (told, OccurrenceState.DONE)


def test_what_ended_long_ago_is_forgotten(world: World) -> None:
    world.trigger()
    world.add()
    world.clock.tick(TWO)
    world.ends(world.operation_starter.accepted[0])
    world.clock.tick(TWO + 15)
    world.clock.tick(TWO + 91 * DAY)
    assert [state for _, state in world.told()] == ["missed", "running"]


# ---------------------------------------------------------------------- several engines
def test_of_two_that_see_the_same_due_time_one_wins(world: World) -> None:
    world.trigger()
    world.add()
    entry, = world.occurrences.due(TWO)
    assert world.occurrences.claim(entry[0], TWO + DAY, []) == []
    assert world.occurrences.claim(entry[0], TWO + DAY, []) is None


def test_of_two_that_take_over_one_wins(world: World) -> None:
    world.trigger()
    world.add()
    with pytest.raises(Died):
        world.another_clock(
            operation_starter=Firing(world.operation_starter.records, dies="before")
        ).tick(TWO)
    (one, _, _), = world.occurrences.waiting(TWO + 300)
    assert world.occurrences.hold(one, TWO + 600) is not None
    assert world.occurrences.hold(one, TWO + 600) is None
    assert not world.occurrences.end(one, OccurrenceState.FAILED, TWO + 301)    # its time is over


def together(world: World, moments: list[float], engines: int = 2, *, end: bool = False) -> None:
    """Clocks with connections of their own that tick at the same moments, side by side. `end`: all
    that was begun has ended before the next moment."""
    clocks = [world.another_clock(at_once=3) for _ in range(engines)]
    barrier = threading.Barrier(engines)

    def engine(number: int) -> None:
        for now in moments:
            barrier.wait()
            while clocks[number].tick(now).more:
                pass
            barrier.wait()
            if number == 0 and end:
                world.ends_all()

    with ThreadPoolExecutor(engines) as pool:
        for one in [pool.submit(engine, number) for number in range(engines)]:
            one.result()


def test_two_clocks_side_by_side_begin_each_once(world: World) -> None:
    world.trigger(properties=HOURLY)
    for number in range(8):
        world.add(f"s{number}")
    moments = [T0 + 3600 * hour for hour in range(1, 4)]
    together(world, moments)
    assert (
        len(world.operation_starter.accepted) == 8
    )  # no run ends here, so the later ones are skipped
    assert Counter(world.operation_starter.asked) == {f"s{number}": 1 for number in range(8)}
    for number in range(8):
        assert world.told(f"s{number}") == [
            ("26 01:00", "running"), ("26 02:00", "skipped"), ("26 03:00", "skipped")]


@settings(max_examples=6, deadline=None)
@given(scheduled=st.integers(1, 4), engines=st.integers(2, 3), end=st.booleans(),
       steps=st.lists(st.integers(1, 9000), min_size=1, max_size=5))
def test_however_the_engines_tick_each_due_time_is_in_one_row_and_begun_once(
        scheduled: int, engines: int, end: bool, steps: list[int]) -> None:
    moments, now = [], T0
    for step in steps:
        moments.append(now := now + step)
    with (tempfile.TemporaryDirectory() as place,
          world_at(f"sqlite:///{place}/karbor.sqlite") as world):
        world.trigger(properties=HOURLY)
        for number in range(scheduled):
            world.add(f"s{number}")
        together(world, moments, engines, end=end)
        for number in range(scheduled):
            rows = world.occurrences.list("p", f"s{number}")
            assert sum(one.count for one in rows) == (now - T0) // 3600
            begun = [one for one in rows if one.operation_id]
            assert world.operation_starter.asked.count(f"s{number}") == len(begun)
            before = [T0, *moments]
            on_time = [now for prev, now in zip(before, moments, strict=False)
                       if now - now % 3600 > prev and now % 3600 <= WINDOW]
            assert len(begun) == (len(on_time) if end else min(1, len(on_time)))
        assert sorted(world.operation_starter.accepted) == sorted(
            set(world.operation_starter.accepted)
        )


def test_an_occurrence_asked_for_is_begun_by_the_next_tick(world: World) -> None:
    world.trigger()
    one = world.add()
    from karbor.domain.occurrence import Occurrence, occurrence_id

    asked = Occurrence(occurrence_id("s", T0 + 60), "p", "s", "t", T0 + 60, OccurrenceState.DUE,
                       T0 + 60, manual=True)
    world.occurrences.ask(asked)
    with pytest.raises(Conflict, match="has not been begun yet"):
        world.occurrences.ask(replace(asked, id="x", due_at=T0 + 61))
    assert world.clock.tick(T0 + 60).fired == 1
    assert (world.newest().manual, world.newest().state) == (True, OccurrenceState.RUNNING)
    assert world.scheduled.show("p", "s").next_due_at == one.next_due_at
    with pytest.raises(Conflict, match="still going"):
        world.occurrences.ask(replace(asked, id="x", due_at=T0 + 61))
