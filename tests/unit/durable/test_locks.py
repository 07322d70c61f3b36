from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from karbor.domain.errors import Conflict, StoreUnavailable
from karbor.durable.flocks import FileLocks as Locks
from karbor.durable.locks import operation_locks

HOLD = """
import sys
from pathlib import Path
from karbor.durable.flocks import FileLocks as Locks
Locks(Path(sys.argv[1])).take("op-1")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_is_had_by_one_and_names_it(tmp_path: Path) -> None:
    locks = Locks(tmp_path / "locks")
    assert locks.holder("op-1") is None
    held = locks.take("op-1")
    assert locks.holder("op-1") == os.getpid()
    with pytest.raises(Conflict, match=f"process {os.getpid()}"):
        locks.take("op-1")
    locks.take("op-2").release()
    held.release()
    held.release()
    assert locks.holder("op-1") is None
    assert list((tmp_path / "locks").iterdir()) == []


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    locks = Locks(tmp_path)
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert locks.holder("op-1") == process.pid
        with pytest.raises(Conflict, match=f"process {process.pid}"):
            locks.take("op-1")
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert locks.holder("op-1") is None
    locks.take("op-1").release()


def _count_up(directory: Path, rounds: int) -> None:
    """Add to a number in a file, again and again: some are lost if two do it at a time."""
    locks, file = Locks(directory / "locks"), directory / "number"
    done = 0
    while done < rounds:
        try:
            held = locks.take("number")
        except Conflict:
            continue
        file.write_text(str(int(file.read_text()) + 1))
        held.release()
        done += 1


def test_nobody_is_inside_together_although_the_file_comes_and_goes(tmp_path: Path) -> None:
    (tmp_path / "number").write_text("0")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_count_up, args=(tmp_path, 200)) for _ in range(2)]
    for one in processes:
        one.start()
    _count_up(tmp_path, 200)
    for one in processes:
        one.join(120)
    assert (tmp_path / "number").read_text() == "600"


def test_asking_who_has_it_is_not_in_the_way(tmp_path: Path) -> None:
    locks, over = Locks(tmp_path), threading.Event()

    def ask() -> None:
        while not over.is_set():
            locks.holder("op-1")

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        for _ in range(200):
            locks.take("op-1").release()
        over.set()
        for one in asking:
            one.result()


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a\n"])
def test_a_name_cannot_lead_out_of_the_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not the name"):
        Locks(tmp_path).take(name)


def test_a_directory_that_cannot_be_made_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable):
        operation_locks(tmp_path / "file").take("op-1")
