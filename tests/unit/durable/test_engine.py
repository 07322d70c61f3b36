"""One process: what is begun is driven once, to its end, and what is stopped can be resumed."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from karbor.domain.errors import Conflict, NotFound, StoreUnavailable
from karbor.domain.operation import OperationState
from karbor.durable.engine import Engine, Limits
from karbor.durable.locks import operation_locks

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


def state_of(path: Path, operation_id: str) -> str:
    connection = sqlite3.connect(path / "engine.sqlite")
    try:
        return str(connection.execute("SELECT status FROM workflow_status WHERE workflow_uuid = ?",
                                      (operation_id,)).fetchone()[0])
    finally:
        connection.close()


@pytest.fixture
def driver() -> Driver:
    return Driver()


def test_an_operation_is_driven_to_its_end_once(tmp_path: Path, driver: Driver) -> None:
    driver.go.set()
    with Engine(tmp_path, driver) as engine:
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
    assert state_of(tmp_path, "op-1") == "SUCCESS"
    assert operation_locks(tmp_path).holder("op-1") is None
    with Engine(tmp_path, driver) as engine:
        assert engine.wait("op-1") is True
        with pytest.raises(Conflict):
            engine.submit("op-1", "provider", "project")


def test_what_is_stopped_is_resumed_by_the_next_engine(tmp_path: Path, driver: Driver) -> None:
    with Engine(tmp_path, driver) as engine:
        engine.submit("op-1", "provider", "project")
        driver.entered.acquire()
        with pytest.raises(Conflict, match="process"):
            engine.resume("op-1", "provider", "project")
        assert engine.orphans() == []
    assert state_of(tmp_path, "op-1") == "PENDING"
    driver.go.set()
    with Engine(tmp_path, driver) as engine:
        assert engine.orphans() == ["op-1"]
        assert driver.runs["op-1"] == 1     # nothing goes on by itself
        engine.resume("op-1", "provider", "project")
        assert engine.wait("op-1") is True
        assert engine.orphans() == []
    assert driver.runs["op-1"] == 2
    assert state_of(tmp_path, "op-1") == "SUCCESS"


def test_who_waits_hears_that_it_was_stopped(tmp_path: Path, driver: Driver) -> None:
    told: list[bool] = []
    with Engine(tmp_path, driver) as engine:
        engine.submit("op-1", "provider", "project")
        waiter = threading.Thread(target=lambda: told.append(engine.wait("op-1")))
        waiter.start()
        driver.entered.acquire()
        engine.stop()
        waiter.join(10)
        with pytest.raises(Conflict, match="stopping"):
            engine.submit("op-2", "provider", "project")
    assert told == [False]


def test_an_operation_that_was_never_submitted_can_be_resumed(tmp_path: Path, driver: Driver
                                                              ) -> None:
    """Killed between writing it into the journal and submitting it."""
    driver.go.set()
    with Engine(tmp_path, driver) as engine:
        engine.resume("op-1", "provider", "project")
        assert engine.wait("op-1") is True
    assert driver.runs == {"op-1": 1}


def test_a_driver_that_fails_is_heard_and_can_be_resumed(tmp_path: Path, driver: Driver) -> None:
    driver.go.set()
    driver.error = StoreUnavailable("the disk is full")
    with Engine(tmp_path, driver) as engine:
        engine.submit("op-1", "provider", "project")
        with pytest.raises(StoreUnavailable, match="full"):
            engine.wait("op-1")
        assert engine.orphans() == ["op-1"]
        driver.error = None
        engine.resume("op-1", "provider", "project")
        assert engine.wait("op-1") is True
    assert b"disk is full" not in (tmp_path / "engine.sqlite").read_bytes()


def test_resumed_twice_in_a_row_without_a_driver_it_is_still_there(tmp_path: Path, driver: Driver
                                                                   ) -> None:
    """Stopped between being put into the process's own queue and being taken from it."""
    with Engine(tmp_path, driver) as engine:
        engine.submit("op-1", "provider", "project")
        driver.entered.acquire()
    with Engine(tmp_path, driver) as engine:
        engine.resume("op-1", "provider", "project")    # and leave at once
    driver.go.set()
    with Engine(tmp_path, driver) as engine:
        assert engine.orphans() == ["op-1"]
        engine.resume("op-1", "provider", "project")
        assert engine.wait("op-1") is True


def test_a_server_keeps_to_its_limits_and_is_fair(tmp_path: Path, driver: Driver) -> None:
    """Project a has much to do; b and c have not to wait behind all of it."""
    operations = [f"a-{n}" for n in range(6)] + ["b-0", "c-0"]
    with Engine(tmp_path, driver, serves={"provider": Limits(provider=3, project=2)}) as engine:
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


def test_a_server_resumes_into_its_providers_queue(tmp_path: Path, driver: Driver) -> None:
    serves = {"provider": Limits()}
    with Engine(tmp_path, driver, serves=serves) as engine:
        engine.submit("op-1", "provider", "project")
        driver.entered.acquire()
    driver.go.set()
    with Engine(tmp_path, driver, serves=serves) as engine:
        assert engine.orphans() == ["op-1"]
        engine.resume("op-1", "provider", "project")
        assert engine.wait("op-1") is True


def test_a_server_resumes_what_a_command_began(tmp_path: Path, driver: Driver) -> None:
    with Engine(tmp_path, driver) as engine:
        engine.submit("op-1", "provider", "project")
        driver.entered.acquire()
    driver.go.set()
    with Engine(tmp_path, driver, serves={"provider": Limits()}) as engine:
        engine.resume("op-1", "provider", "project")
        assert engine.wait("op-1") is True


def test_nothing_is_pickled_and_only_its_owner_can_read_it(tmp_path: Path, driver: Driver) -> None:
    driver.go.set()
    with Engine(tmp_path, driver) as engine:
        engine.submit("op-1", "provider", "project")
        engine.wait("op-1")
        for file in tmp_path.glob("engine.sqlite*"):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    connection = sqlite3.connect(tmp_path / "engine.sqlite")
    assert connection.execute("SELECT DISTINCT serialization FROM workflow_status").fetchall() == [
        ("portable_json",)]
    connection.close()


def test_two_engines_in_a_process_are_refused(tmp_path: Path, driver: Driver) -> None:
    with Engine(tmp_path, driver), pytest.raises(RuntimeError), Engine(tmp_path, driver):
        pass


def test_queues_of_dead_processes_are_swept(tmp_path: Path, driver: Driver) -> None:
    with Engine(tmp_path, driver):
        pass
    connection = sqlite3.connect(tmp_path / "engine.sqlite")
    with connection:
        connection.execute(
            "INSERT INTO queues (queue_id, name, polling_interval_sec, created_at, updated_at,"
            " application_name) VALUES ('q', 'own-1-dead', 1.0, 0, 0, 'karbor')")
    driver.go.set()
    with Engine(tmp_path, driver) as engine:
        engine.submit("op-1", "provider", "project")
        engine.wait("op-1")
    with Engine(tmp_path, driver) as engine:
        engine._own_queue()
        names = [row[0] for row in connection.execute("SELECT name FROM queues")]
        assert len(names) == 1
        assert names != ["own-1-dead"]
    assert connection.execute("SELECT count(*) FROM queues").fetchone() == (0,)
    connection.close()


@pytest.mark.parametrize("listening", [False, True], ids=["no-logging", "logging"])
def test_it_is_quiet_on_the_terminal_and_opens_no_port(tmp_path: Path, listening: bool) -> None:
    code = f"""
import logging, sys, threading
from pathlib import Path
from karbor.domain.operation import OperationState
from karbor.durable.engine import Engine
if {listening}:
    logging.basicConfig(level=logging.INFO)
def audit(event, arguments):
    if event in ("socket.bind", "socket.connect", "socket.getaddrinfo"):
        print(event, arguments)
sys.addaudithook(audit)
with Engine(Path({str(tmp_path)!r}), lambda id, stopping: OperationState.DONE) as engine:
    engine.submit("op-1", "provider", "project")
    assert engine.wait("op-1")
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True,
                          text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_a_command_that_only_reads_does_not_import_the_library() -> None:
    code = ("import sys; import karbor.durable.locks, karbor.store.operations, "
            "karbor.store.upgrade; assert 'dbos' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("broken", [b"this is no database" * 100, None],
                         ids=["garbage", "not-its-tables"])
def test_a_database_that_cannot_be_used_is_an_error_of_ours(
        tmp_path: Path, driver: Driver, broken: bytes | None) -> None:
    if broken is not None:
        (tmp_path / "engine.sqlite").write_bytes(broken)
    else:
        connection = sqlite3.connect(tmp_path / "engine.sqlite")
        connection.execute("CREATE TABLE workflow_status (x)")
        connection.close()
    with pytest.raises(StoreUnavailable), Engine(tmp_path, driver):
        pass
    driver.go.set()
    with Engine(tmp_path / "other", driver) as engine:
        engine.submit("op-1", "provider", "project")
        assert engine.wait("op-1") is True
