"""One body for the engine beside SQLite and on PostgreSQL: what is begun is driven once, to its
end, and what is stopped can be resumed."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from karbor.domain.errors import Conflict, KarborError, NotFound, StoreUnavailable
from karbor.domain.operation import OperationState
from karbor.durable import advisory
from karbor.durable.engine import Engine
from karbor.durable.locks import Locks, operation_locks

if TYPE_CHECKING:
    from tests.postgresql import Server

DONE = OperationState.DONE
PATIENCE_SECONDS = 30.0


class Journal:
    """How operations stand; those of which nothing is known are running."""

    def __init__(self) -> None:
        self.states: dict[str, OperationState] = {}
        self.error: KarborError | None = None

    def stand(self, operation_id: str) -> OperationState:
        if self.error is not None:
            raise self.error
        return self.states.get(operation_id, OperationState.RUNNING)


class Driver:
    """Drives when it may; remembers how often."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.go = threading.Event()
        self.entered = threading.Semaphore(0)
        self.runs: Counter[str] = Counter()
        self.error: BaseException | None = None
        self.heeds = threading.Event()      # whether it stops when it is told to
        self.heeds.set()
        self._lock = threading.Lock()

    def __call__(self, operation_id: str, stopping: threading.Event) -> OperationState | None:
        with self._lock:
            self.runs[operation_id] += 1
        self.entered.release()
        while not self.go.wait(0.01):
            if stopping.is_set() and self.heeds.is_set():
                return None
        if self.error is not None:
            raise self.error
        self.journal.states[operation_id] = DONE
        return DONE

    def until_entered(self) -> None:
        assert self.entered.acquire(timeout=PATIENCE_SECONDS)


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def driver(journal: Journal) -> Driver:
    return Driver(journal)


@pytest.fixture(params=["sqlite", "postgresql"])
def make_locks(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Locks]]:
    """Each is as that of another process."""
    database = (request.getfixturevalue("postgresql_url") if request.param == "postgresql"
                else None)
    made: list[Locks] = []

    def make() -> Locks:
        made.append(operation_locks(tmp_path, database))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def make(make_locks: Callable[[], Locks], journal: Journal, driver: Driver
         ) -> Callable[[], Engine]:
    return lambda: Engine(make_locks(), journal.stand, driver)


def test_an_operation_is_driven_to_its_end_once(make: Callable[[], Engine], driver: Driver
                                                ) -> None:
    driver.go.set()
    with make() as engine:
        assert engine.begin("op-1").result(PATIENCE_SECONDS) is DONE
        with pytest.raises(Conflict, match="over: done"):
            engine.begin("op-1")
        assert not engine.driven(["op-1"])
    with make() as engine, pytest.raises(Conflict, match="over: done"):
        engine.begin("op-1")
    assert driver.runs == {"op-1": 1}


def test_what_is_stopped_is_resumed_by_the_next_engine(make: Callable[[], Engine], driver: Driver
                                                       ) -> None:
    with make() as engine:
        end = engine.begin("op-1")
        driver.until_entered()
        with pytest.raises(Conflict, match="this process"):
            engine.begin("op-1")
        with make() as another, pytest.raises(Conflict, match="driven by process"):
            another.begin("op-1")
        assert list(engine.driven(["op-1", "op-2"])) == ["op-1"]
    assert end.result(0) is None
    driver.go.set()
    with make() as engine:
        assert driver.runs["op-1"] == 1     # nothing goes on by itself
        assert engine.begin("op-1").result(PATIENCE_SECONDS) is DONE
    assert driver.runs["op-1"] == 2


def test_an_engine_that_stops_begins_nothing(make: Callable[[], Engine], driver: Driver) -> None:
    engine = make()
    engine.stop()
    with pytest.raises(Conflict, match="stopping"):
        engine.begin("op-1")
    assert not engine.driven(["op-1"])
    assert not driver.runs


def test_a_driver_that_fails_is_heard_and_can_be_resumed(
        make_locks: Callable[[], Locks], journal: Journal, driver: Driver) -> None:
    driver.go.set()
    failure = StoreUnavailable("the disk is full")
    driver.error = failure
    heard: list[tuple[str, BaseException | None]] = []
    with Engine(make_locks(), journal.stand, driver,
                left=lambda *what: heard.append(what)) as engine:
        with pytest.raises(StoreUnavailable, match="full"):
            engine.begin("op-1").result(PATIENCE_SECONDS)
        assert not engine.driven(["op-1"])
        driver.error = None
        assert engine.begin("op-1").result(PATIENCE_SECONDS) is DONE
    assert heard == [("op-1", failure), ("op-1", None)]


def test_when_the_lock_is_taken_the_journal_is_asked_again(
        make: Callable[[], Engine], journal: Journal, driver: Driver) -> None:
    """Found free, it was brought to its end by whoever had it, before we got the lock."""
    with make() as engine:
        journal.states["op-1"] = OperationState.FAILED
        with pytest.raises(Conflict, match="over: failed"):
            engine.begin("op-1")
        journal.error = NotFound("no operation op-2")
        with pytest.raises(NotFound):
            engine.begin("op-2")
        journal.error = StoreUnavailable("the server is gone")
        with pytest.raises(StoreUnavailable):
            engine.begin("op-2")
        assert not engine.driven(["op-1", "op-2"])
        journal.error = None
        driver.go.set()
        assert engine.begin("op-2").result(PATIENCE_SECONDS) is DONE
    assert driver.runs == {"op-2": 1}


def test_what_is_not_admitted_is_let_go(make: Callable[[], Engine], driver: Driver) -> None:
    with make() as engine:
        asked: list[bool] = []

        def admitted() -> bool:
            asked.append("op-1" in engine.driven(["op-1"]))     # with its lock
            return False

        with pytest.raises(Conflict, match="wait"):
            engine.begin("op-1", admitted)
        assert asked == [True]
        assert not engine.driven(["op-1"])
    assert not driver.runs


def test_of_several_that_begin_it_at_once_one_drives_it(make: Callable[[], Engine], driver: Driver
                                                        ) -> None:
    engines = [make() for _ in range(4)]

    def begun(engine: Engine) -> bool:
        try:
            engine.begin("op-1")
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(begun, engines)) == [False, False, False, True]
    for one in engines:
        one.stop()
    assert driver.runs == {"op-1": 1}


def test_who_loses_its_lock_stops_driving_and_another_goes_on(
        *, driver: Driver, journal: Journal, postgresql: Server, postgresql_url: str,
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection is gone while the process lives: on a server only. While its driver has not
    heard of it, this process does not drive the operation a second time; another one does."""
    monkeypatch.setattr(advisory, "WATCHED_EVERY", 0.02)
    ours, theirs = (operation_locks(tmp_path, postgresql_url) for _ in range(2))
    with Engine(ours, journal.stand, driver) as engine, \
            Engine(theirs, journal.stand, driver) as another:
        driver.heeds.clear()
        first = engine.begin("op-1")
        driver.until_entered()
        with postgresql.asked() as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                               " WHERE application_name LIKE 'karbor %'")
        with pytest.raises(Conflict, match="this process"):
            engine.begin("op-1")
        second = another.begin("op-1")
        driver.until_entered()
        driver.heeds.set()
        assert first.result(PATIENCE_SECONDS) is None
        driver.go.set()
        assert second.result(PATIENCE_SECONDS) is DONE
    assert driver.runs == {"op-1": 2}
    for one in (ours, theirs):
        one.close()
