"""What a worker looks for: put into a queue once, taken up when free twice, and not for ever."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from karbor.cmd.providers import Listed
from karbor.cmd.rounds import GRACE, LONGEST, Rounds
from karbor.domain.errors import Conflict
from karbor.domain.operation import Operation, OperationState, Verb
from karbor.durable.engine import Limits
from karbor.store.connect import connect
from karbor.store.journal import SqlJournal
from karbor.store.operations import Operations
from karbor.store.upgrade import upgrade


class Engine:
    """Remembers what it was told; `free` are the operations that nobody drives."""

    def __init__(self) -> None:
        self.serves: dict[str, Limits] = {}
        self.queues: list[tuple[str, str, str]] = []
        self.resumed: list[tuple[str, str, str]] = []
        self.free: set[str] = set()
        self.refuses = False

    def serve(self, provider: str, limits: Limits) -> None:
        self.serves[provider] = limits

    def enqueue(self, *what: str) -> None:
        self.queues.append(what)        # type: ignore[arg-type]

    def resume(self, *what: str) -> None:
        if self.refuses:
            raise Conflict("driven by process 7")
        self.resumed.append(what)       # type: ignore[arg-type]

    def orphans(self, among: Collection[str]) -> list[str]:
        return [one for one in among if one in self.free]


class Providers:
    def __init__(self) -> None:
        self.ids = ["prov-1"]

    def list(self) -> list[Listed]:
        return [Listed(one, one, "", "bank", (), enabled=one != "prov-disabled")
                for one in self.ids]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Operations]:
    database = connect(f"sqlite:///{tmp_path / 'karbor.sqlite'}")
    upgrade(database)
    yield Operations(database)
    database.dispose()


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def providers() -> Providers:
    return Providers()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limits() -> list[Limits]:
    return [Limits(10, 2)]


@pytest.fixture
def rounds(engine: Any, records: Operations, providers: Any, limits: list[Limits], clock: Clock
           ) -> Rounds:
    made = Rounds(engine, records, providers, lambda: limits[0], clock=clock)
    made.serve()
    return made


def operation(id: str, provider: str = "prov-1", created_at: float = 1000.0) -> Operation:
    return Operation(id, Verb.PROTECT, "p", {}, {}, {"provider_id": provider},
                     created_at=created_at)


def test_what_was_accepted_goes_into_its_providers_queue_once(
        rounds: Rounds, engine: Engine, records: Operations) -> None:
    records.add(operation("op-1"), offered=True)
    records.add(operation("a command's"))
    for _ in range(2):
        rounds.pick_up()
    assert engine.queues == [("op-1", "prov-1", "p")]


def test_whose_trust_is_never_made_is_taken_up_after_a_while(
        rounds: Rounds, engine: Engine, records: Operations, clock: Clock) -> None:
    records.add(operation("op-1"), trust="wanted", offered=True)
    rounds.pick_up()
    clock.now += GRACE
    rounds.pick_up()
    assert engine.queues == []
    clock.now += 1.0
    rounds.pick_up()
    assert engine.queues == [("op-1", "prov-1", "p")]


def test_a_provider_that_comes_later_is_served_and_others_wait_for_theirs(
        rounds: Rounds, engine: Engine, records: Operations, providers: Providers,
        caplog: pytest.LogCaptureFixture) -> None:
    records.add(operation("op-1", "prov-later"), offered=True)
    records.add(operation("op-2", "prov-never"), offered=True)
    for _ in range(2):
        rounds.pick_up()
    assert engine.queues == []
    assert [one.message for one in caplog.records if "prov-never" in one.message] == [
        "operation op-2 waits: it wants the provider prov-never, which no file describes"]
    providers.ids += ["prov-later", "prov-disabled"]
    rounds.pick_up()
    assert engine.queues == [("op-1", "prov-later", "p")]
    assert engine.serves == dict.fromkeys(["prov-1", "prov-later", "prov-disabled"], Limits(10, 2))


def test_limits_that_change_hold_from_then_on(
        rounds: Rounds, engine: Engine, limits: list[Limits]) -> None:
    limits[0] = Limits(4, 1)
    rounds.serve()
    assert engine.serves == {"prov-1": Limits(4, 1)}


def test_only_what_is_free_twice_is_taken_up(
        rounds: Rounds, engine: Engine, records: Operations) -> None:
    for one in ("op-1", "op-2"):
        records.add(operation(one), offered=True)
    rounds.pick_up()
    engine.free = {"op-1"}
    rounds.sweep(5.0)
    engine.free = {"op-2"}      # the first had only just been taken from its queue
    rounds.sweep(5.0)
    assert engine.resumed == []
    rounds.sweep(5.0)
    assert engine.resumed == [("op-2", "prov-1", "p")]


def test_what_fails_at_once_is_tried_after_longer_and_longer_pauses(
        rounds: Rounds, engine: Engine, records: Operations, clock: Clock) -> None:
    records.add(operation("op-1"), offered=True)
    rounds.pick_up()
    engine.free = {"op-1"}
    times = []
    for _ in range(400):
        before = len(engine.resumed)
        rounds.sweep(5.0)
        if len(engine.resumed) > before:
            times.append(clock.now)
        clock.now += 5.0
    pauses = [later - sooner for sooner, later in itertools.pairwise(times)]
    assert pauses == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, LONGEST, LONGEST]


def test_who_was_driven_meanwhile_is_taken_up_at_once_again(
        rounds: Rounds, engine: Engine, records: Operations, clock: Clock) -> None:
    records.add(operation("op-1"), offered=True)
    rounds.pick_up()
    for round_ in range(3):
        engine.free = {"op-1"}
        rounds.sweep(5.0)
        rounds.sweep(5.0)
        assert len(engine.resumed) == round_ + 1
        engine.free = set()
        clock.now += 5.0
        rounds.sweep(5.0)


def test_another_worker_may_be_quicker(
        rounds: Rounds, engine: Engine, records: Operations) -> None:
    records.add(operation("op-1"), offered=True)
    rounds.pick_up()
    engine.free, engine.refuses = {"op-1"}, True
    for _ in range(2):
        rounds.sweep(5.0)
    assert engine.resumed == []


def test_what_is_over_is_nobodys_any_more(
        rounds: Rounds, engine: Engine, records: Operations) -> None:
    records.add(operation("op-1"), offered=True)
    rounds.pick_up()
    journal = SqlJournal(records._engine)
    fence = journal.claim("op-1")
    journal.move("op-1", fence, OperationState.CANCELLED, now=1.0)
    engine.free = {"op-1"}
    for _ in range(2):
        rounds.sweep(5.0)
    assert engine.resumed == []
