"""What a worker takes up: what nobody drives, in turn, within the limits, and not in a hurry."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from karbor.domain.errors import Conflict, KarborError, KeystoneUnreachable, StoreUnavailable
from karbor.domain.operation import Operation, OperationState, Verb
from karbor.durable.engine import Limits
from karbor.providers.catalog import ProviderInfo
from karbor.store.connect import connect
from karbor.store.journal import SqlJournal
from karbor.store.operations import Operations
from karbor.store.upgrade import upgrade
from karbor.worker.queue_poller import GRACE, LONGEST, QueuePoller


class Engine:
    """Drives what it is told to, and whatever `others` do; `refuses` what others are quicker at."""

    def __init__(self) -> None:
        self.others: set[str] = set()
        self.here: list[str] = []
        self.begun: list[str] = []
        self.refuses = False
        self.error: KarborError | None = None
        self.meanwhile: set[str] = set()    # what others take between our look and our lock

    def begin(self, operation_id: str, admitted: Callable[[], bool]) -> None:
        if self.error:
            raise self.error
        if self.refuses:
            raise Conflict("driven by process 7")
        self.others |= self.meanwhile
        self.here.append(operation_id)
        if not admitted():
            self.here.remove(operation_id)
            raise Conflict("has to wait")
        self.begun.append(operation_id)

    def driven(self, among: Collection[str]) -> set[str]:
        return {one for one in among if one in self.others or one in self.here}


class Providers:
    def __init__(self) -> None:
        self.ids = ["prov-1"]

    def list(self) -> list[ProviderInfo]:
        return [ProviderInfo(one, one, "", "bank", (), enabled=one != "prov-disabled")
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
           ) -> QueuePoller:
    made = QueuePoller(engine, records, providers, lambda: limits[0], clock=clock)
    made.look_for_providers()
    return made


def operation(id: str, provider: str = "prov-1", created_at: float = 1000.0, project: str = "p"
              ) -> Operation:
    return Operation(id, Verb.PROTECT, project, {}, {}, {"provider_id": provider},
                     created_at=created_at)


def test_what_was_entrusted_is_driven_once(rounds: QueuePoller, engine: Engine, records: Operations
                                           ) -> None:
    records.add(operation("op-1"), offered=True)
    records.add(operation("a command's"))
    for _ in range(2):
        rounds.take_up(5.0)
    assert engine.begun == ["op-1"]


def test_whose_trust_is_never_made_is_taken_up_after_a_while(
        rounds: QueuePoller, engine: Engine, records: Operations, clock: Clock) -> None:
    records.add(operation("op-1"), trust="wanted", offered=True)
    rounds.take_up(5.0)
    clock.now += GRACE
    rounds.take_up(5.0)
    assert engine.begun == []
    clock.now += 1.0
    rounds.take_up(5.0)
    assert engine.begun == ["op-1"]


def test_a_provider_that_comes_later_is_served_and_others_wait_for_theirs(
        rounds: QueuePoller, engine: Engine, records: Operations, providers: Providers,
        caplog: pytest.LogCaptureFixture) -> None:
    records.add(operation("op-1", "prov-later"), offered=True)
    records.add(operation("op-2", "prov-never"), offered=True)
    for _ in range(2):
        rounds.take_up(5.0)
    assert engine.begun == []
    assert [one.message for one in caplog.records if "prov-never" in one.message] == [
        "operation op-2 waits: it wants the provider prov-never, which no file describes"]
    providers.ids += ["prov-later", "prov-disabled"]
    records.add(operation("op-3", "prov-disabled"), offered=True)
    rounds.take_up(5.0)
    assert engine.begun == ["op-1", "op-3"]


def test_of_each_provider_and_project_as_many_are_driven_as_may_be(
        rounds: QueuePoller, engine: Engine, records: Operations, limits: list[Limits]) -> None:
    """Project a has much to do; b and c do not wait behind all of it. Another provider counts for
    itself, and so does what other workers drive."""
    limits[0] = Limits(4, 2)
    for number, name in enumerate(["a-1", "a-2", "a-3", "b-1", "c-1", "b-2"]):
        records.add(operation(name, created_at=float(number), project=name[0]), offered=True)
    records.add(operation("other", "prov-2", created_at=9.0, project="a"), offered=True)
    rounds._providers.ids.append("prov-2")      # type: ignore[attr-defined]
    engine.others = {"b-1"}
    rounds.take_up(5.0)
    assert engine.begun == ["a-1", "c-1", "a-2", "other"]
    engine.here.remove("a-1")
    rounds.take_up(5.0)     # a place is free; a and b have as many, and that of a is older
    assert engine.begun[4:] == ["a-3"]


def test_limits_that_change_hold_from_then_on(
        rounds: QueuePoller, engine: Engine, records: Operations, limits: list[Limits]) -> None:
    for number in range(3):
        records.add(operation(f"op-{number}", created_at=float(number)), offered=True)
    rounds.take_up(5.0)
    assert engine.begun == ["op-0", "op-1"]
    limits[0] = Limits(4, 3)
    rounds.take_up(5.0)
    assert engine.begun == ["op-0", "op-1", "op-2"]


def test_of_two_who_take_the_last_place_none_goes_beyond_the_limit(
        rounds: QueuePoller, engine: Engine, records: Operations, limits: list[Limits], clock: Clock
        ) -> None:
    limits[0] = Limits(1, 1)
    for number in range(2):
        records.add(operation(f"op-{number}", created_at=float(number)), offered=True)
    engine.meanwhile = {"op-1"}
    rounds.take_up(5.0)
    assert engine.begun == []
    engine.meanwhile, engine.others = set(), set()      # the other one has given way as well
    rounds.take_up(5.0)
    assert engine.begun == ["op-0"]


def test_what_nobody_drives_any_more_is_driven_at_the_next_look(
        rounds: QueuePoller, engine: Engine, records: Operations) -> None:
    records.add(operation("op-1"), offered=True)
    engine.others = {"op-1"}
    rounds.take_up(5.0)
    assert engine.begun == []
    engine.others = set()       # its process was killed
    rounds.take_up(5.0)
    assert engine.begun == ["op-1"]


def test_what_fails_at_once_is_tried_after_longer_and_longer_pauses(
        rounds: QueuePoller, engine: Engine, records: Operations, clock: Clock) -> None:
    records.add(operation("op-1"), offered=True)
    times = []
    for _ in range(400):
        rounds.take_up(5.0)
        if engine.here:
            times.append(clock.now)
            engine.here.clear()
            rounds.left("op-1", KeystoneUnreachable("nobody answers"), 5.0)
        clock.now += 5.0
    pauses = [later - sooner for sooner, later in itertools.pairwise(times)]
    assert pauses == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, LONGEST, LONGEST]


def test_what_the_database_has_failed_is_not_held_against_an_operation(
        rounds: QueuePoller, engine: Engine, records: Operations, clock: Clock) -> None:
    records.add(operation("op-1"), offered=True)
    for round_ in range(1, 9):
        rounds.take_up(5.0)
        assert len(engine.begun) == round_
        engine.here.clear()
        rounds.left("op-1", StoreUnavailable("the server restarts"), 5.0)
        rounds.take_up(5.0)
        assert len(engine.begun) == round_      # not in a busy loop
        clock.now += 5.0


def test_who_has_lost_its_lock_is_taken_up_at_once_again(
        rounds: QueuePoller, engine: Engine, records: Operations) -> None:
    records.add(operation("op-1"), offered=True)
    for round_ in range(1, 4):
        rounds.take_up(5.0)
        assert len(engine.begun) == round_
        engine.here.clear()
        rounds.left("op-1", None, 5.0)


def test_another_worker_may_be_quicker(
        rounds: QueuePoller, engine: Engine, records: Operations) -> None:
    records.add(operation("op-1"), offered=True)
    engine.refuses = True
    rounds.take_up(5.0)
    assert engine.begun == []
    engine.refuses = False      # and die at once
    rounds.take_up(5.0)
    assert engine.begun == ["op-1"]


def test_what_is_over_is_nobodys_any_more(
        rounds: QueuePoller, engine: Engine, records: Operations) -> None:
    records.add(operation("op-1"), offered=True)
    journal = SqlJournal(records._engine)
    fence = journal.claim("op-1")
    journal.move("op-1", fence, OperationState.CANCELLED, now=1.0)
    rounds.take_up(5.0)
    assert engine.begun == []


def test_what_could_not_get_its_lock_is_taken_up_when_locks_are_to_be_had(
        rounds: QueuePoller, engine: Engine, records: Operations, clock: Clock) -> None:
    """Its connection was dead, or there was no file descriptor."""
    for number in range(2):
        records.add(operation(f"op-{number}", created_at=float(number)), offered=True)
    engine.error = StoreUnavailable("the database gives no locks")
    for _ in range(20):
        with pytest.raises(StoreUnavailable):
            rounds.take_up(5.0)
        clock.now += 5.0
    engine.error = None
    rounds.take_up(5.0)
    clock.now += 5.0
    rounds.take_up(5.0)
    assert sorted(engine.begun) == ["op-0", "op-1"]
