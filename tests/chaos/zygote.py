"""A process that has imported Karbor once, and forks a child for every command.

Reads lines of JSON: {"argv", "environ", "out", "err"}; answers {"pid"}, waits for any line, lets
the child begin, and answers {"status"} (as waitpid tells it) when the child is over. It never has
more than one thread, so that its children begin as healthy as a new process.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from importlib import import_module

WARM = ("karbor.cli.program", "karbor.cmd.embedded", "karbor.clients.connect",
        "karbor.credentials.authority", "karbor.durable.engine", "karbor.cli.progress_table",
        "openstack", "alembic.command", "sqlalchemy.dialects.sqlite", "email.parser", "netrc",
        "http.client", "concurrent.futures.thread", "karbor.operations.runner",
        "karbor.worker.executor", "karbor.worker.worker", "karbor.durable.advisory",
        "sqlalchemy.dialects.postgresql.psycopg")


def warm() -> None:
    for name in WARM:
        import_module(name)
    from karbor.plugin import registry
    from karbor.providers.builtin import BANK, PROTECTIONS
    registry.protectables()
    registry.protections(PROTECTIONS)
    registry.bank(BANK)
    # The double answers at once: waiting a second for it would be most of these tests' time.
    from karbor.clients import status_poller
    status_poller.SHORTEST = 0.05
    from karbor.worker import queue_poller, worker
    queue_poller.GRACE = 3.0      # whoever died over a trust is not waited for so long
    worker.TRUSTS_EVERY_SECONDS = 2.0
    assert threading.active_count() == 1, threading.enumerate()


def child(wanted: dict[str, object], begin: int) -> None:
    """Runs the command; never returns."""
    code = 70
    try:
        os.setsid()
        for number, path, flags in ((0, os.devnull, os.O_RDONLY),
                                    (1, wanted["out"], os.O_WRONLY | os.O_CREAT | os.O_APPEND),
                                    (2, wanted["err"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)):
            opened = os.open(str(path), flags, 0o600)
            os.dup2(opened, number)
            os.close(opened)
        os.environ.clear()
        os.environ.update(wanted["environ"])        # type: ignore[arg-type]
        os.read(begin, 1)
        from karbor.cli.program import karbor
        karbor(wanted["argv"], prog_name="karbor")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - nothing may leave a forked child
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    warm()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        wanted = json.loads(line)
        begin, let_begin = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(let_begin)
            child(wanted, begin)
        os.close(begin)
        print(json.dumps({"pid": pid}), flush=True)
        sys.stdin.readline()
        os.write(let_begin, b"x")
        os.close(let_begin)
        print(json.dumps({"status": os.waitpid(pid, 0)[1]}), flush=True)


if __name__ == "__main__":
    main()
