"""Processes are killed with -9; others finish their operations, and no step is done twice."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from karbor.durable.locks import operation_locks

SCRIPT = Path(__file__).parent / "engine_process.py"
STEPS = 30
OPERATIONS = ["op-1", "op-2", "op-3"]


class Processes:
    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.journal = state_dir / "steps.txt"
        self.journal.touch()
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *operations: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", str(SCRIPT), str(self.state_dir), *operations],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.started.append(process)
        return process

    def finish(self, process: subprocess.Popen[str]) -> list[str]:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        return out.splitlines()

    def lines(self) -> list[list[str]]:
        return [line.split() for line in self.journal.read_text().splitlines()]

    def until_each_has(self, steps: int, operations: list[str]) -> None:
        deadline = time.monotonic() + 60
        while True:
            count = Counter(line[0] for line in self.lines())
            if all(count[one] >= steps for one in operations):
                return
            assert time.monotonic() < deadline, count
            time.sleep(0.01)

    def kill(self, process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    every = Processes(tmp_path)
    yield every
    for one in every.started:
        if one.poll() is None:
            one.kill()
        one.communicate()


def assert_each_step_once(processes: Processes, operations: list[str] = OPERATIONS) -> None:
    done = Counter((operation, int(step)) for operation, step, _ in processes.lines())
    assert done == {(one, step): 1 for one in operations for step in range(STEPS)}


def test_another_process_finishes_what_a_killed_one_was_driving(processes: Processes) -> None:
    first = processes.start(*OPERATIONS)
    processes.until_each_has(5, OPERATIONS)
    processes.kill(first)
    before = len(processes.lines())
    assert before < STEPS * len(OPERATIONS)
    locks = operation_locks(processes.state_dir)
    assert [locks.holder(one) for one in OPERATIONS] == [None] * 3
    told = processes.finish(processes.start(*OPERATIONS))
    assert sorted(told[-3:]) == [f"over {one}" for one in OPERATIONS]
    assert_each_step_once(processes)


def test_killed_again_and_again_it_gets_to_the_end(processes: Processes) -> None:
    process = processes.start("op-1")
    for steps in (4, 9, 14, 19):
        processes.until_each_has(steps, ["op-1"])
        processes.kill(process)
        process = processes.start("op-1")
    assert processes.finish(process) == ["over op-1"]
    assert_each_step_once(processes, ["op-1"])
    assert len({pid for *_, pid in processes.lines()}) == 5


def test_what_a_live_process_drives_is_refused_with_its_pid(processes: Processes) -> None:
    first = processes.start(*OPERATIONS)
    processes.until_each_has(1, OPERATIONS)
    hold = processes.state_dir / "hold"
    hold.touch()
    told = processes.finish(processes.start(*OPERATIONS))
    hold.unlink()
    assert told == [f"conflict {one} {one} is being driven by process {first.pid}"
                    for one in OPERATIONS]
    assert sorted(processes.finish(first)) == [f"over {one}" for one in OPERATIONS]
    assert_each_step_once(processes)
    assert {pid for *_, pid in processes.lines()} == {str(first.pid)}


def test_of_rivals_who_resume_the_same_work_one_gets_each(processes: Processes) -> None:
    first = processes.start(*OPERATIONS)
    processes.until_each_has(2, OPERATIONS)
    processes.kill(first)
    rivals = [processes.start(*OPERATIONS) for _ in range(3)]
    told = [line for one in rivals for line in processes.finish(one)]
    assert sorted(line for line in told if line.startswith("over")) == [
        f"over {one}" for one in OPERATIONS]
    assert_each_step_once(processes)
    drivers = {one: {pid for operation, _, pid in processes.lines() if operation == one}
               for one in OPERATIONS}
    assert all(len(pids - {str(first.pid)}) == 1 for pids in drivers.values())


def test_an_interrupt_leaves_it_to_be_resumed(processes: Processes) -> None:
    first = processes.start("op-1")
    processes.until_each_has(3, ["op-1"])
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=60)
    assert first.returncode not in (0, None)
    assert len(processes.lines()) < STEPS
    assert processes.finish(processes.start("op-1")) == ["over op-1"]
    assert_each_step_once(processes, ["op-1"])
