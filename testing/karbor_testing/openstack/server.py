"""Server: HTTP/1.1 with kept connections in front of the services; numbers, records and faults."""

from __future__ import annotations

import collections
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from karbor_testing.openstack.cloud import Cloud
from karbor_testing.openstack.exchange import Answer, Request
from karbor_testing.openstack.faults import Fault, FaultPlan, mutates, signature
from karbor_testing.openstack.service import Service

CONTROL = "_double"


class Hangup(Exception):
    """The connection is to be closed without an answer."""


class Server(ThreadingHTTPServer):
    """One lock around every request: they happen one after another, in the order of `log`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], cloud: Cloud, services: Iterable[Service],
                 control: Service) -> None:
        super().__init__(address, Handler)
        self.cloud = cloud
        self.services = {service.name: service for service in services}
        self.control = control
        self.plan = FaultPlan()
        self.log: list[dict[str, Any]] = []
        self.lock = threading.RLock()
        self.bodies: collections.deque[tuple[str, bytes]] = collections.deque(maxlen=100)
        self.generation = 0         # of clients: one more when one was killed
        host, port = self.server_address[:2]
        cloud.root = f"http://{host!s}:{port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that are killed leave broken connections behind; anything else is told."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)   # type: ignore[arg-type]

    def carry_out(self, request: Request, name: str, whole_path: str, generation: int
                  ) -> tuple[Answer, bool]:
        """The answer, and whether only half of it may be sent. Raises Hangup."""
        if name == CONTROL:
            with self.lock:
                return self.control.answer(request), False
        with self.lock:
            if generation < self.generation:
                raise Hangup    # sent by a client that is dead, and not met in time
            due = self.plan.due(request.method, whole_path)
        for fault in due:
            if fault.act == "delay":
                time.sleep(fault.seconds)
            if fault.act == "kill-overtaken":
                self._let_overtake(fault, (whole_path, request.body))
                generation = self.generation
        with self.lock:
            if generation < self.generation:
                raise Hangup
            entry = {"number": len(self.log) + 1, "at": time.time(), "method": request.method,
                     "path": whole_path, "signature": signature(request.method, whole_path),
                     "mutates": mutates(request.method, whole_path), "status": 0,
                     "faults": [one.act for one in due]}
            self.log.append(entry)
            self.bodies.append((whole_path, request.body))
            self._before(due)
            answer = self._answer(request, name, due)
            entry["status"] = answer.status
            entry["project"] = request.project_id
            self._after(due)
            return answer, any(one.act == "truncate" for one in due)

    def _let_overtake(self, fault: Fault, asked: tuple[str, bytes]) -> None:
        with self.lock:
            self._kill(fault.pid)
            self.bodies.clear()
        deadline = time.monotonic() + fault.seconds
        while asked not in self.bodies and time.monotonic() < deadline:
            time.sleep(0.01)

    def _answer(self, request: Request, name: str, due: list[Fault]) -> Answer:
        for fault in due:
            if fault.act == "answer":
                return Answer(fault.status, {"error": {"code": fault.status, "title": "Fault",
                                                       "message": fault.message}})
        service = self.services.get(name)
        if service is None:
            return Answer(404, {"error": {"code": 404, "title": "Not Found",
                                          "message": f"no service is called {name}"}})
        request.root = f"{self.cloud.root}/{name}"
        try:
            return service.answer(request)
        except Exception:       # noqa: BLE001 (a request that the double does not understand)
            why = traceback.format_exc()
            print(why, file=sys.stderr)
            return Answer(500, {"error": {"code": 500, "title": "Internal Server Error",
                                          "message": why}})

    def _before(self, due: list[Fault]) -> None:
        for fault in due:
            if fault.act == "kill-before":
                self._kill(fault.pid)
            if fault.act == "expire":
                for token in self.cloud.kinds["keystone.token"].values():
                    token["expires"] = min(token["expires"], self.cloud.now() - 1)
        if any(one.act in {"close-before", "kill-before"} for one in due):
            raise Hangup

    def _after(self, due: list[Fault]) -> None:
        for fault in due:
            if fault.act == "kill-after":
                self._kill(fault.pid)
        if any(one.act in {"close-after", "kill-after"} for one in due):
            raise Hangup

    def _kill(self, pid: int) -> None:
        """Kill the client, and wait until it is dead: what it still had under way never counts."""
        self.generation += 1
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + 10
        while time.monotonic() < until and _runs(pid):
            time.sleep(0.001)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    timeout = 600
    server: Server

    def setup(self) -> None:
        super().setup()
        self.generation = self.server.generation

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what was asked stands in the server's log."""

    def _do(self) -> None:
        parts = urlsplit(self.path)
        body, partial = self._body()
        name, _, rest = unquote(parts.path).lstrip("/").partition("/")
        request = Request(self.command, f"/{rest}", parse_qs(parts.query, keep_blank_values=True),
                          {key.lower(): value for key, value in self.headers.items()}, body, "",
                          partial=partial)
        try:
            answer, truncated = self.server.carry_out(request, name, self.path, self.generation)
        except Hangup:
            self.close_connection = True
            return
        self._send(answer, truncated)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _do  # noqa: N815

    def _send(self, answer: Answer, truncated: bool) -> None:
        body = answer.encoded()
        self.send_response(answer.status)
        kind = "application/octet-stream" if isinstance(answer.body, bytes) else "application/json"
        headers = {"Content-Type": kind,
                   "X-Openstack-Request-Id": f"req-{self.server.cloud.new_id()}",
                   **answer.headers}
        if answer.status != 204:
            headers.setdefault("Content-Length", str(len(body)))
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD" and answer.status != 204:
            self.wfile.write(body[:len(body) // 2] if truncated else body)
        if truncated:
            self.close_connection = True

    def _body(self) -> tuple[bytes, bool]:
        """The body, and whether the connection broke before its end."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._chunks()
        length = int(self.headers.get("Content-Length") or 0)
        try:
            body = self.rfile.read(length) if length else b""
        except OSError:
            return b"", True
        return body, len(body) < length

    def _chunks(self) -> tuple[bytes, bool]:
        whole = b""
        try:
            while True:
                line = self.rfile.readline(1 << 16)
                if not line:
                    return whole, True
                size = int(line.split(b";")[0], 16)
                piece = self.rfile.read(size)
                whole += piece
                if len(piece) < size:
                    return whole, True
                self.rfile.readline(1 << 16)
                if size == 0:
                    return whole, False
        except (OSError, ValueError):
            return whole, True
