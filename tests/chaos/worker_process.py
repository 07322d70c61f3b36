"""Workers, each in a process of its own, forked from one that has imported Karbor already.

Reads lines of JSON: {"start": CONFIG, "log", "environ"} answers {"pid"} when the worker is up (or
has failed: its log says why); {"wait": PID} answers {"status"} (as waitpid tells it) when it has
ended. A worker ends at SIGTERM, and reads its configuration again at SIGHUP.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import traceback
from pathlib import Path

from karbor import config
from karbor.application.clouds import Clouds
from karbor.application.login_project_cache import LoginProjectCache
from karbor.cmd.database import open_database
from karbor.providers.catalog import ProviderCatalog
from karbor.worker.worker import Worker
from tests.chaos.zygote import warm

SIGNALS = {signal.SIGTERM, signal.SIGHUP}


def work(file: Path, up: int) -> None:
    """How a service runs a worker."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)       # for all threads that are to come
    conf = config.load([file])
    database = open_database(conf)
    clouds = Clouds(conf, None, LoginProjectCache(config.state_path(conf) / "logins.json"),
                    database, unattended=True)
    providers = ProviderCatalog(conf, lambda: clouds.authority)
    with Worker(conf, providers, clouds, database) as worker:
        os.write(up, b"x")
        while signal.sigwait(SIGNALS) is signal.SIGHUP:
            worker.reload()
    providers.close()
    clouds.close()
    database.dispose()


def child(wanted: dict[str, object], up: int) -> None:
    """Never returns."""
    code = 70
    try:
        os.setsid()
        log = os.open(str(wanted["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for number in (1, 2):
            os.dup2(log, number)
        os.environ.clear()
        os.environ.update(wanted["environ"])        # type: ignore[arg-type]
        logging.basicConfig(level=logging.INFO, stream=sys.stderr)
        work(Path(str(wanted["start"])), up)
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
        os.read(hear, 1)
        os.close(hear)
        print(json.dumps({"pid": pid}), flush=True)


if __name__ == "__main__":
    main()
