"""A process which drives operations: `engine_process.py STATE_DIR OPERATION…`.

Its driver writes each step as one line into a journal file, `OPERATION STEP PID`, and does not do
a step that is there; while there is a file `hold`, it does nothing. The process tells on its
standard output what became of each operation.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from karbor.domain.errors import Conflict
from karbor.domain.operation import OperationState
from karbor.durable.engine import Engine
from karbor.durable.locks import operation_locks

STEPS = 30
STATE_DIR, *OPERATIONS = sys.argv[1:]
JOURNAL = Path(STATE_DIR) / "steps.txt"
HOLD = Path(STATE_DIR) / "hold"


def done_of(operation_id: str) -> set[str]:
    return {line.split()[1] for line in JOURNAL.read_text().splitlines()
            if line.startswith(operation_id + " ")}


def stand(operation_id: str) -> OperationState:
    return (OperationState.DONE if len(done_of(operation_id)) == STEPS
            else OperationState.RUNNING)


def drive(operation_id: str, stopping: threading.Event) -> OperationState | None:
    done = done_of(operation_id)
    for step in range(STEPS):
        if str(step) in done:
            continue
        while stopping.wait(0.02) or HOLD.exists():
            if stopping.is_set():
                return None
        descriptor = os.open(JOURNAL, os.O_WRONLY | os.O_APPEND)
        os.write(descriptor, f"{operation_id} {step} {os.getpid()}\n".encode())
        os.close(descriptor)
    return OperationState.DONE


def main() -> None:
    # a shell starts what runs in its background with interrupts ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with Engine(operation_locks(Path(STATE_DIR)), stand, drive) as engine:
        mine = {}
        for one in OPERATIONS:
            try:
                mine[one] = engine.begin(one)
            except Conflict as conflict:
                print("conflict", one, conflict.message, flush=True)
        for one, end in mine.items():
            print("over" if end.result() else "left", one, flush=True)


if __name__ == "__main__":
    main()
