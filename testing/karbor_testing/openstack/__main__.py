"""`python -m karbor_testing.openstack`: prints one line of JSON with its address, then serves."""

from __future__ import annotations

import argparse
import json
import sys
import threading

from karbor_testing.openstack.cloud import Cloud
from karbor_testing.openstack.control import Control
from karbor_testing.openstack.keystone import Identity, populate
from karbor_testing.openstack.server import Server
from karbor_testing.openstack.services import SERVICES


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m karbor_testing.openstack")
    arguments.add_argument("--host", default="127.0.0.1")
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--seed", type=int, default=1, help="of the ids that are given out")
    arguments.add_argument("--while-stdin", action="store_true",
                           help="end when standard input does: with whoever started it")
    given = arguments.parse_args()

    cloud = Cloud(given.seed)
    identity = Identity(cloud)
    control = Control(cloud)
    server = Server((given.host, given.port), cloud,
                    [identity, *(one(cloud) for one in SERVICES)], control)
    control.attach(server)
    populate(cloud, server.services.values())
    print(json.dumps({"url": cloud.root}), flush=True)
    if given.while_stdin:
        threading.Thread(target=_follow, args=(server,), daemon=True).start()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(130)


def _follow(server: Server) -> None:
    sys.stdin.buffer.read()
    server.shutdown()


if __name__ == "__main__":
    main()
