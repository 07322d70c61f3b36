"""A cloud in a process of its own, so that its CPU time is not counted: it gives tokens and a
catalog, answers every request, and remembers which service tokens it saw.

    python -m dev.benchmarks.credentials.stand_in --life 3600 --endpoints 40

prints its address, and ends when its standard input does.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

ALONE, BOTH = "/alone/", "/service-token/"
"""Requests below the first must bear the user's token only; below the second a service token too.
"""

TYPES = ("identity", "image", "block-storage", "compute", "placement", "network", "object-store",
         "key-manager", "shared-file-system", "dns", "load-balancer", "orchestration", "baremetal",
         "metric")
INTERFACES = ("public", "internal", "admin")


def catalog(url: str, endpoints: int) -> list[dict[str, Any]]:
    """So many endpoints: region by region, each with every type in every interface."""
    entries: dict[str, dict[str, Any]] = {
        one: {"id": one, "type": one, "name": one, "endpoints": []} for one in TYPES}
    for index in range(endpoints):
        number, rest = divmod(index, len(INTERFACES) * len(TYPES))
        region, interface, kind = (
            f"Region{number + 1}", INTERFACES[rest // len(TYPES)], TYPES[rest % len(TYPES)])
        entries[kind]["endpoints"].append({
            "id": f"{region}-{interface}-{kind}", "interface": interface, "region": region,
            "region_id": region, "url": f"{url}{BOTH}{region}/{interface}/{kind}/v3"})
    return [one for one in entries.values() if one["endpoints"]]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    life: ClassVar[float]
    catalog: ClassVar[list[dict[str, Any]]]
    numbers: ClassVar[Iterator[int]] = itertools.count(1)
    seen: ClassVar[dict[str, set[str]]] = defaultdict(set)

    def do_GET(self) -> None:
        service_token = self.headers.get("X-Service-Token")
        if self.path in ("/v3", "/v3/"):
            self._answer(200, {"version": {"id": "v3.14", "status": "stable", "links": [
                {"rel": "self", "href": f"http://{self.headers['Host']}/v3"}]}})
        elif self.path.startswith("/seen/"):
            self._answer(200, {"service_tokens": len(self.seen[self.path.split("/")[2]])})
        elif not self.headers.get("X-Auth-Token") or (
                bool(service_token) is not self.path.startswith(BOTH)):
            self._answer(400, {"error": "not the tokens that this path must have"})
        else:
            if service_token:
                self.seen[self.path.split("/")[2]].add(service_token)
            self._answer(200, {"things": []})

    def do_POST(self) -> None:
        auth = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["auth"]
        name = auth["identity"]["password"]["user"]["name"]
        now = datetime.now(UTC)
        domain = {"id": "default", "name": "Default"}
        role = "service" if name == "karbor" else "member"
        self._answer(201, {"token": {
            "methods": ["password"], "user": {"id": name, "name": name, "domain": domain},
            "project": {"id": f"of-{name}", "name": f"of-{name}", "domain": domain},
            "roles": [{"id": role, "name": role}], "catalog": self.catalog,
            "issued_at": _iso(now), "expires_at": _iso(now + timedelta(seconds=self.life)),
        }}, {"X-Subject-Token": f"{name}-{next(self.numbers)}-" + 180 * "x"})

    def _answer(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        payload = json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 1024       # hundreds of users connect at the same moment


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@contextmanager
def stand_in(*, life: float = 3600.0, endpoints: int = 40) -> Iterator[str]:
    """Start one; its address."""
    with subprocess.Popen(
            [sys.executable, "-m", __name__, "--life", str(life), "--endpoints", str(endpoints)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=Path(__file__).resolve().parents[3]) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        # Leaving closes its standard input, at which it ends, and waits for that.


def main() -> None:
    parser = argparse.ArgumentParser(description="a cloud that only gives tokens and answers")
    parser.add_argument("--life", type=float, default=3600.0, help="of its tokens, in seconds")
    parser.add_argument("--endpoints", type=int, default=40, help="in its catalog")
    options = parser.parse_args()
    server = Server(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_port}"
    Handler.life, Handler.catalog = options.life, catalog(url, options.endpoints)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(url, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
