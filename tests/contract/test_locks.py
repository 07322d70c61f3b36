"""One body for the locks beside SQLite and those on PostgreSQL: they die with their process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from karbor.domain.errors import BadInput, Conflict, StoreUnavailable
from karbor.durable import advisory
from karbor.durable.locks import Held, Locks, machine, operation_locks

if TYPE_CHECKING:
    from tests.postgresql import Server

HOLD = """
import sys
from pathlib import Path
from karbor.durable.locks import operation_locks
held = operation_locks(Path(sys.argv[1]), sys.argv[2]).take("op-1")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """The directory and the database."""
    if request.param == "sqlite":
        return tmp_path / "state", "sqlite:///anything"
    return tmp_path / "state", request.getfixturevalue("postgresql_url")


@pytest.fixture
def make(where: tuple[Path, str]) -> Iterator[Callable[[], Locks]]:
    made: list[Locks] = []

    def another() -> Locks:
        made.append(operation_locks(*where))
        return made[-1]

    yield another
    for one in made:
        one.close()


@pytest.fixture
def locks(make: Callable[[], Locks]) -> Locks:
    return make()


def test_a_lock_is_had_by_one_and_names_it(locks: Locks, make: Callable[[], Locks]) -> None:
    assert locks.holder("op-1") is None
    assert locks.holders(["op-1", "op-2"]) == {}
    held = locks.take("op-1")
    for seen in (locks, make()):
        assert seen.holder("op-1") == os.getpid()
        assert seen.holders(["op-1", "op-2"]) == {"op-1": os.getpid()}
        assert seen.processes(["op-1", "op-2"]) == {"op-1": (os.getpid(), machine())}
        with pytest.raises(Conflict, match=f"op-1 is being driven by process {os.getpid()}"):
            seen.take("op-1")
    locks.take("op-2").release()
    held.release()
    held.release()
    assert locks.holder("op-1") is None
    again = make().take("op-1")
    held.release()      # it is somebody else's now
    assert locks.holder("op-1") == os.getpid()
    again.release()


def test_a_killed_process_holds_nothing(locks: Locks, where: tuple[Path, str]) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(where[0]), where[1]], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert locks.holder("op-1") == process.pid
        with pytest.raises(Conflict, match=f"process {process.pid}"):
            locks.take("op-1")
        process.send_signal(signal.SIGKILL)
        process.wait()
    until_free(locks).release()
    assert locks.holder("op-1") is None


def until_free(locks: Locks) -> Held:
    """A server sees a moment later than the kernel that a process is gone."""
    while True:
        try:
            return locks.take("op-1")
        except Conflict:
            continue


def _count_up(where: tuple[Path, str], file: Path, rounds: int) -> None:
    """Add to a number in a file, again and again: some are lost if two do it at a time."""
    locks = operation_locks(*where)
    done = 0
    while done < rounds:
        try:
            held = locks.take("number")
        except Conflict:
            continue
        file.write_text(str(int(file.read_text()) + 1))
        held.release()
        done += 1
    locks.close()


def test_nobody_is_inside_together(where: tuple[Path, str], tmp_path: Path) -> None:
    file = tmp_path / "number"
    file.write_text("0")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_count_up, args=(where, file, 100)) for _ in range(2)]
    for one in processes:
        one.start()
    _count_up(where, file, 100)
    for one in processes:
        one.join(120)
    assert file.read_text() == "300"


def test_asking_who_has_it_is_not_in_the_way(locks: Locks, make: Callable[[], Locks]) -> None:
    over = threading.Event()

    def ask(request_context: Locks) -> None:
        while not over.is_set():
            request_context.holder("op-1")

    with ThreadPoolExecutor(2) as pool:
        request_context = [pool.submit(ask, make()) for _ in range(2)]
        for _ in range(200):
            locks.take("op-1").release()
        over.set()
        for one in request_context:
            one.result()


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a\n"])
def test_only_names_are_names(locks: Locks, name: str) -> None:
    with pytest.raises(ValueError, match="not the name"):
        locks.take(name)


# ---------------------------------------------------------------- what only a server can do
def test_who_loses_the_connection_hears_of_it(
        postgresql: Server, postgresql_url: str, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advisory, "WATCHED_EVERY", 0.02)
    locks, other = (operation_locks(tmp_path, postgresql_url) for _ in range(2))
    held, lost = locks.take("op-1"), threading.Event()
    held.tell(lost)
    assert not lost.is_set()
    with postgresql.asked() as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                           " WHERE application_name LIKE 'karbor %'")
    assert lost.wait(20)
    later = threading.Event()
    held.tell(later)
    assert later.is_set()
    other.take("op-1")
    held.release()      # it is not ours any more
    assert other.holder("op-1") == os.getpid()
    locks.take("op-2").release()        # a new connection is made
    for one in (locks, other):
        one.close()


def test_without_a_server_there_are_no_locks(tmp_path: Path) -> None:
    locks = operation_locks(tmp_path, f"postgresql://u:hunter2@/karbor?host={tmp_path}")
    with pytest.raises(StoreUnavailable, match="no locks") as told:
        locks.take("op-1")
    assert "hunter2" not in str(told.value)
    locks = operation_locks(tmp_path, "postgresql://u:hunter2@h:port/karbor")
    with pytest.raises((BadInput, StoreUnavailable)) as told:
        locks.take("op-1")
    assert "hunter2" not in str(told.value)


