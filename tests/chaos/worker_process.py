"""A worker in a process of its own: `worker_process.py CONFIG`. It ends at SIGTERM.

A configuration is read again at SIGHUP. Its standard output says `up` when it works.
"""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path

from karbor import config
from karbor.clients import looking
from karbor.cmd.clouds import Clouds
from karbor.cmd.database import open_database
from karbor.cmd.providers import Providers
from karbor.cmd.remembered import RememberedLogins
from karbor.cmd.worker import Worker
from karbor.durable import engine

looking.SHORTEST = 0.05
engine.LOOK = 0.05
SIGNALS = {signal.SIGTERM, signal.SIGHUP}


def main() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)       # for all threads that are to come
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    conf = config.load([Path(sys.argv[1])])
    database = open_database(conf)
    clouds = Clouds(conf, None, RememberedLogins(config.state_path(conf) / "logins.json"),
                    database, unattended=True)
    providers = Providers(conf, lambda: clouds.authority)
    with Worker(conf, providers, clouds, database) as worker:
        print("up", flush=True)
        while signal.sigwait(SIGNALS) is signal.SIGHUP:
            worker.reload()
    providers.close()
    clouds.close()
    database.dispose()


if __name__ == "__main__":
    main()
