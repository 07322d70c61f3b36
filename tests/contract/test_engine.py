"""One body for the engine on SQLite and on PostgreSQL: what is begun is driven once, to its end,
and what is stopped can be resumed."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from karbor.domain.errors import Conflict, NotFound, StoreUnavailable
from karbor.domain.operation import OperationState
from karbor.durable import advisory
from karbor.durable import engine as engine_module
from karbor.durable.engine import Engine, Limits
from karbor.durable.locks import Locks, operation_locks
from karbor.store.connect import connect

if TYPE_CHECKING:
    from tests.postgresql import Server

DONE = OperationState.DONE


class Driver:
    """Drives when it may; remembers how often, and how many of what at once."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.entered = threading.Semaphore(0)
        self.runs: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self._now: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.error: BaseException | None = None

    def __call__(self, operation_id: str, stopping: threading.Event) -> OperationState | None:
        group = operation_id.partition("-")[0]
        with self._lock:
            self.runs[operation_id] += 1
            for key in (group, "all"):
                self._now[key] += 1
                self.most[key] = max(self.most[key], self._now[key])
        self.entered.release()
        try:
            while not self.go.wait(0.01):
                if stopping.is_set():
                    return None
            if self.error is not None:
                raise self.error
            return DONE
        finally:
            with self._lock:
                for key in (group, "all"):
                    self._now[key] -= 1


@dataclass
class Place:
    """Where the engine keeps its tables."""

    state_dir: Path
    database: str | None

    def engine(self, drive: Any, **options: Any) -> Engine:
        return Engine(self.state_dir, drive, database=self.database, **options)

    def locks(self) -> Locks:
        return operation_locks(self.state_dir, self.database)

    def rows(self, statement: str, **values: Any) -> list[Any]:
        url = self.database or f"sqlite:///{self.state_dir / 'engine.sqlite'}"
        engine = connect(url)
        with engine.begin() as connection:
            if self.database:
                connection.execute(sa.text("SET search_path TO karbor_engine"))
            found = connection.execute(sa.text(statement), values)
            rows = [tuple(row) for row in found] if found.returns_rows else []
        engine.dispose()
        return rows

    def status(self, operation_id: str) -> str:
        return str(self.rows("SELECT status FROM workflow_status WHERE workflow_uuid = :id",
                             id=operation_id)[0][0])


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place(tmp_path, None)
    return Place(tmp_path / "unused", request.getfixturevalue("engine_url"))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "SERVED_EVERY", 0.05)


@pytest.fixture
def driver() -> Driver:
    return Driver()


def test_an_operation_is_driven_to_its_end_once(place: Place, driver: Driver) -> None:
    driver.go.set()
    with place.engine(driver) as engine:
        engine.submit("op-1", "provider", "project")
        assert engine.wait("op-1") is True
        assert engine.wait("op-1") is True
        assert engine.orphans() == []
        for again in (engine.submit, engine.resume):
            with pytest.raises(Conflict):
                again("op-1", "provider", "project")
        with pytest.raises(NotFound):
            engine.wait("op-2")
    assert driver.runs == {"op-1": 1}
    assert place.status("op-1") == "SUCCESS"
    assert place.locks().holder("op-1") is None
    with place.engine(driver) as engine:
        assert engine.wait("op-1") is True
        with pytest.raises(Conflict):
            engine.submit("op-1", "provider", "project")


def test_what_is_stopped_is_resumed_by_the_next_engine(place: Place, driver: Driver) -> None:
    with place.engine(driver) as engine:
        engine.submit("op-1", "provider", "project")
        driver.entered.acquire()
        with pytest.raises(Conflict, match="process"):
            engine.resume("op-1", "provider", "project")
        assert engine.orphans() == []
    assert place.status("op-1") == "PENDING"
    driver.go.set()
    with place.engine(driver) as engine:
        assert engine.orphans() == ["op-1"]
        assert driver.runs["op-1"] == 1     # nothing goes on by itself
        engine.resume("op-1", "provider", "project")
        assert engine.wait("op-1") is True
        assert engine.orphans() == []
    assert driver.runs["op-1"] == 2
    assert place.status("op-1") == "SUCCESS"


def test_who_waits_hears_that_it_was_stopped(place: Place, driver: Driver) -> None:
    told: list[bool] = []
    with place.engine(driver) as engine:
        engine.submit("op-1", "provider", "project")
        waiter = threading.Thread(target=lambda: told.append(engine.wait("op-1")))
        waiter.start()
        driver.entered.acquire()
        engine.stop()
        waiter.join(10)
        with pytest.raises(Conflict, match="stopping"):
            engine.submit("op-2", "provider", "project")
    assert told == [False]


def test_an_operation_that_was_never_submitted_can_be_resumed(place: Place, driver: Driver
                                                              ) -> None:
    """Killed between writing it into the journal and submitting it."""
    driver.go.set()
    with place.engine(driver) as engine:
        engine.resume("op-1", "provider", "project")
        assert engine.wait("op-1") is True
    assert driver.runs == {"op-1": 1}


def test_resumed_twice_in_a_row_without_a_driver_it_is_still_there(place: Place, driver: Driver
                                                                   ) -> None:
    """Stopped between being put into the process's own queue and being taken from it."""
    with place.engine(driver) as engine:
        engine.submit("op-1", "provider", "project")
        driver.entered.acquire()
    with place.engine(driver) as engine:
        engine.resume("op-1", "provider", "project")    # and leave at once
    driver.go.set()
    with place.engine(driver) as engine:
        assert engine.orphans() == ["op-1"]
        engine.resume("op-1", "provider", "project")
        assert engine.wait("op-1") is True


def test_a_server_keeps_to_its_limits_and_is_fair(place: Place, driver: Driver) -> None:
    """Project a has much to do; b and c have not to wait behind all of it."""
    operations = [f"a-{n}" for n in range(6)] + ["b-0", "c-0"]
    with place.engine(driver, serves={"provider": Limits(provider=3, project=2)}) as engine:
        for one in operations:
            engine.submit(one, "provider", one.partition("-")[0])
        for _ in range(3):
            assert driver.entered.acquire(timeout=20)
        assert driver.most["a"] <= 2
        driver.go.set()
        assert all(engine.wait(one) for one in operations)
    assert driver.runs == dict.fromkeys(operations, 1)
    assert driver.most["all"] == 3
    assert driver.most["a"] <= 2


def test_a_server_resumes_into_its_providers_queue(place: Place, driver: Driver) -> None:
    serves = {"provider": Limits()}
    with place.engine(driver, serves=serves) as engine:
        engine.submit("op-1", "provider", "project")
        driver.entered.acquire()
    driver.go.set()
    with place.engine(driver, serves=serves) as engine:
        assert engine.orphans() == ["op-1"]
        engine.resume("op-1", "provider", "project")
        assert engine.wait("op-1") is True


def test_a_server_resumes_what_a_command_began(place: Place, driver: Driver) -> None:
    with place.engine(driver) as engine:
        engine.submit("op-1", "provider", "project")
        driver.entered.acquire()
    driver.go.set()
    with place.engine(driver, serves={"provider": Limits()}) as engine:
        engine.resume("op-1", "provider", "project")
        assert engine.wait("op-1") is True


def test_a_driver_that_fails_is_heard_and_can_be_resumed(place: Place, driver: Driver) -> None:
    driver.go.set()
    driver.error = StoreUnavailable("the disk is full")
    with place.engine(driver) as engine:
        engine.submit("op-1", "provider", "project")
        with pytest.raises(StoreUnavailable, match="full"):
            engine.wait("op-1")
        assert engine.orphans() == ["op-1"]
        driver.error = None
        engine.resume("op-1", "provider", "project")
        assert engine.wait("op-1") is True
    assert place.rows("SELECT error FROM workflow_status") == [(None,)]


def test_two_engines_in_a_process_are_refused(place: Place, driver: Driver) -> None:
    with place.engine(driver), pytest.raises(RuntimeError), place.engine(driver):
        pass


def test_queues_of_dead_processes_are_swept(place: Place, driver: Driver) -> None:
    with place.engine(driver):
        pass
    place.rows("INSERT INTO queues (queue_id, name, polling_interval_sec, created_at, updated_at,"
               " application_name) VALUES ('q', 'own-1-dead', 1.0, 0, 0, 'karbor')")
    driver.go.set()
    with place.engine(driver) as engine:
        engine.submit("op-1", "provider", "project")
        engine.wait("op-1")
    with place.engine(driver) as engine:
        engine._own_queue()
        names = place.rows("SELECT name FROM queues")
        assert len(names) == 1
        assert names != [("own-1-dead",)]
    assert place.rows("SELECT count(*) FROM queues") == [(0,)]


def test_a_server_takes_up_providers_that_come_later_and_other_limits(
        place: Place, driver: Driver) -> None:
    first, then = ("a-1", "b-1", "c-1"), ("a-2", "b-2", "c-2")
    driver.go.set()
    with place.engine(driver, serves={}) as engine:
        engine.serve("new", Limits(provider=1, project=1))
        for one in first:
            engine.enqueue(one, "new", one[0])
        assert all(engine.wait(one) for one in first)
        assert driver.most["all"] == 1
        driver.go.clear()
        driver.entered = threading.Semaphore(0)
        engine.serve("new", Limits(provider=3, project=1))
        for one in then:
            engine.enqueue(one, "new", one[0])
        for _ in then:
            assert driver.entered.acquire(timeout=20)
        driver.go.set()
        assert all(engine.wait(one) for one in then)
    assert driver.runs == dict.fromkeys(first + then, 1)


def test_a_paused_server_finishes_what_it_has_and_takes_nothing_new(
        place: Place, driver: Driver) -> None:
    with place.engine(driver, serves={"provider": Limits()}) as engine:
        engine.enqueue("a-1", "provider", "a")
        assert driver.entered.acquire(timeout=20)
        engine.pause()
        engine.enqueue("b-1", "provider", "b")
        engine.serve("other", Limits())
        engine.enqueue("c-1", "other", "c")
        driver.go.set()
        assert engine.wait("a-1") is True
        assert not [one for one in threading.enumerate() if one.name.startswith("takes from")]
        assert [place.status(one) for one in ("b-1", "c-1")] == ["ENQUEUED"] * 2
        engine.go_on()
        assert all(engine.wait(one) for one in ("b-1", "c-1"))
    assert driver.runs == {"a-1": 1, "b-1": 1, "c-1": 1}


def test_put_into_a_queue_by_several_it_is_driven_once(place: Place, driver: Driver) -> None:
    driver.go.set()
    with place.engine(driver, serves={"provider": Limits()}) as engine:
        with ThreadPoolExecutor(4) as pool:
            for one in [pool.submit(engine.enqueue, "op-1", "provider", "p") for _ in range(4)]:
                one.result()
        assert engine.wait("op-1") is True
        engine.enqueue("op-1", "provider", "p")
    assert place.status("op-1") == "SUCCESS"
    assert driver.runs == {"op-1": 1}


def test_of_those_asked_for_it_tells_which_nobody_drives(place: Place, driver: Driver) -> None:
    with place.engine(driver) as engine:
        engine.submit("left", "provider", "p")
        driver.entered.acquire()
    with place.engine(driver, serves={"provider": Limits(1, 1)}) as engine:
        engine.enqueue("driven", "provider", "p")
        assert driver.entered.acquire(timeout=20)
        engine.enqueue("waits", "provider", "p")
        among = ["left", "driven", "waits", "never"]
        assert sorted(engine.orphans(among)) == ["left", "never"]
        assert engine.orphans() == ["left"]
        assert engine.orphans([]) == []


def test_who_loses_its_lock_stops_driving_and_another_goes_on(
        driver: Driver, postgresql: Server, engine_url: str, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection is gone while the process lives: on a server only."""
    monkeypatch.setattr(advisory, "WATCHED_EVERY", 0.02)
    place = Place(tmp_path, engine_url)
    with place.engine(driver, serves={"provider": Limits()}) as engine:
        engine.enqueue("op-1", "provider", "p")
        assert driver.entered.acquire(timeout=20)
        with postgresql.asked() as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                               " WHERE application_name LIKE 'karbor %'")
        assert engine.wait("op-1") is False
        driver.go.set()
        engine.resume("op-1", "provider", "p")
        assert driver.entered.acquire(timeout=20)
        assert engine.wait("op-1") is True
    assert driver.runs == {"op-1": 2}
    assert place.status("op-1") == "SUCCESS"


def test_the_engines_tables_are_made_by_the_first_that_comes(
        driver: Driver, empty_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In a schema of their own, without a word, and without a look at other databases."""
    driver.go.set()
    place = Place(tmp_path / "unused", empty_url)
    with place.engine(driver) as engine:
        engine.submit("op-1", "provider", "project")
        assert engine.wait("op-1") is True
    assert not [one for one in caplog.records if one.levelname in ("WARNING", "ERROR")]
    assert place.rows("SELECT DISTINCT table_schema FROM information_schema.tables"
                      " WHERE table_schema NOT LIKE 'pg_%'"
                      " AND table_schema <> 'information_schema'") == [("karbor_engine",)]
    assert not (tmp_path / "unused").exists()
