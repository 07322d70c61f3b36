"""Processes of the service, forked from one that has imported Karbor already.

Reads lines of JSON: {"start": CONFIG, "api": BOOL, "worker": BOOL, "log", "environ", "die"} answers
{"pid", "url"} when the process is up (or has failed: its log says why); {"wait": PID} answers
{"status"} (as waitpid tells it) when it has ended.

`die` is the number of the write to the journal in which the process kills itself with SIGKILL, and
its side: {"write": 3, "side": "before"} or "after" its COMMIT. What is written as time goes by
(heartbeats, records of checkpoints that are settled) is not counted.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect

from karbor import config
from karbor.cmd.serve import Server
from tests.chaos.zygote import warm

JOURNAL = re.compile(r"(INSERT INTO|UPDATE|DELETE FROM) (operations|steps|operation_events)\b|"
                     r"INSERT INTO checkpoints\b")


class Death:
    """Kills its process at one write."""

    def __init__(self, write: int, side: str) -> None:
        self._write, self._side = write, side
        self._count = 0
        self._lock = threading.Lock()
        self._of_thread = threading.local()

    def lie_in_wait(self) -> None:
        commit = DefaultDialect.do_commit

        def counted(dialect: Any, connection: Any) -> None:
            writes = getattr(self._of_thread, "writes", False)
            self._of_thread.writes = False
            mine = writes and self._is_mine()
            if mine and self._side == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            commit(dialect, connection)
            if mine:
                os.kill(os.getpid(), signal.SIGKILL)

        DefaultDialect.do_commit = counted

        @sa.event.listens_for(sa.Engine, "before_cursor_execute")
        def looked_at(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            if JOURNAL.match(statement.lstrip()):
                self._of_thread.writes = True

    def _is_mine(self) -> bool:
        with self._lock:
            self._count += 1
            return self._count == self._write


def serve(wanted: dict[str, Any], up: int) -> None:
    """As `karbor serve`, `karbor api` and `karbor worker` do."""
    server = Server(config.load([Path(wanted["start"])]), api=wanted["api"],
                    worker=wanted["worker"])
    server.heed_signals()
    if wanted.get("die"):
        Death(**wanted["die"]).lie_in_wait()
    with server:
        os.write(up, server.address.encode() or b"-")
        server.wait()


def child(wanted: dict[str, Any], up: int) -> None:
    """Never returns."""
    code = 70
    try:
        os.setsid()
        log = os.open(wanted["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for number in (1, 2):
            os.dup2(log, number)
        os.environ.clear()
        os.environ.update(wanted["environ"])
        logging.basicConfig(level=logging.INFO, stream=sys.stderr,
                            format=f"{os.getpid()} %(levelname)s %(name)s: %(message)s")
        logging.getLogger("keystonemiddleware").setLevel(logging.ERROR)     # its deprecations
        serve(wanted, up)
        code = 0
    except BaseException:  # noqa: BLE001 - nothing may leave a forked child
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    warm()
    assert threading.active_count() == 1
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        wanted = json.loads(line)
        if "wait" in wanted:
            status = os.waitpid(wanted["wait"], 0)[1]
            print(json.dumps({"status": os.waitstatus_to_exitcode(status)}), flush=True)
            continue
        hear, up = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(hear)
            child(wanted, up)
        os.close(up)
        url = os.read(hear, 200).decode()
        os.close(hear)
        print(json.dumps({"pid": pid, "url": url}), flush=True)


if __name__ == "__main__":
    main()
