"""A process which drives operations: `engine_process.py STATE_DIR submit|resume|serve OPERATION…`.

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
from karbor.durable.engine import Engine, Limits

STEPS = 30
STATE_DIR, MODE, *OPERATIONS = sys.argv[1:]
JOURNAL = Path(STATE_DIR) / "steps.txt"
HOLD = Path(STATE_DIR) / "hold"


def drive(operation_id: str, stopping: threading.Event) -> OperationState | None:
    done = {line.split()[1] for line in JOURNAL.read_text().splitlines()
            if line.startswith(operation_id + " ")}
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
    serves = {"provider": Limits()} if MODE == "serve" else None
    with Engine(Path(STATE_DIR), drive, serves=serves) as engine:
        mine = []
        if MODE == "serve":
            print("orphans", *engine.orphans(), flush=True)
        for one in OPERATIONS:
            try:
                if MODE == "submit":
                    engine.submit(one, "provider", "project")
                else:
                    engine.resume(one, "provider", "project")
            except Conflict as conflict:
                print("conflict", one, conflict.message, flush=True)
            else:
                mine.append(one)
        for one in mine:
            print("over" if engine.wait(one) else "left", one, flush=True)


if __name__ == "__main__":
    main()
