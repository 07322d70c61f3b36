"""The API as a WSGI server calls it, beside a bare application behind the same middleware."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from karbor_testing.openstack import Double

from karbor import config
from karbor.api.authentication import keystone
from karbor.application.service_context import ServiceContext
from karbor.cmd.database import open_database
from karbor.cmd.serve import application
from karbor.domain.checkpoint_record import CheckpointRecord, RecordStatus
from karbor.domain.identifiers import time_ordered_uuid
from karbor.domain.resource import Resource, ResourceGraph
from karbor.providers import builtin

CONFIGURATION = """\
[DEFAULT]
state_path = {place}
quota_plans = -1
[service_user]
auth_type = password
{account}
"""
IMAGE = "OS::Glance::Image"
Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


@dataclass
class Client:
    """Calls WSGI applications in this process: no sockets, whose cost is the server's."""

    token: str
    project: str

    def ask(self, app: Wsgi, method: str, path: str, body: Any = None) -> Any:
        raw = b"" if body is None else json.dumps(body).encode()
        place, _, query = f"/v1/{self.project}{path}".partition("?")
        status: list[str] = []
        answer = b"".join(app({
            "REQUEST_METHOD": method, "PATH_INFO": place, "QUERY_STRING": query,
            "SERVER_NAME": "karbor", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_X_AUTH_TOKEN": self.token, "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(raw)), "wsgi.input": io.BytesIO(raw), "wsgi.url_scheme":
            "http", "wsgi.errors": io.StringIO(), "wsgi.version": (1, 0), "SCRIPT_NAME": "",
            "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False},
            lambda line, _headers, _error=None: status.append(line)))
        if not status[0].startswith("200"):
            raise RuntimeError(f"{method} {path}: {status[0]} {answer[:300].decode()}")
        return json.loads(answer) if answer else None


@dataclass
class Served:
    """`bare` only says {} to whoever has a token."""

    karbor: Wsgi
    bare: Wsgi
    client: Client
    service: ServiceContext


@contextmanager
def served(place: Path) -> Iterator[Served]:
    """On a database of its own, behind a Keystone that keeps nobody waiting."""
    with Double() as double:
        auth = double.cloud("demo")["auth"]
        domain = {"id": "default"}
        login = requests.post(f"{double.auth_url}/auth/tokens", timeout=30, json={"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": auth["username"], "password": auth["password"], "domain": domain}}},
            "scope": {"project": {"name": auth["project_name"], "domain": domain}}}})
        login.raise_for_status()
        client = Client(login.headers["X-Subject-Token"], login.json()["token"]["project"]["id"])
        account = "".join(f"{key} = {value}\n"
                          for key, value in double.cloud("karbor")["auth"].items())
        file = place / "karbor.conf"
        file.write_text(CONFIGURATION.format(place=place, account=account))
        conf = config.load([file])
        service = ServiceContext(conf, open_database(conf))
        try:
            yield Served(application(conf, service), keystone(conf)(_nothing), client, service)
        finally:
            service.close()


def _nothing(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "application/json")])
    return [b"{}"]


def plan(served_: Served, resources: int) -> dict[str, Any]:
    """A new plan of so many images."""
    made: dict[str, Any] = served_.client.ask(served_.karbor, "POST", "/plans", {"plan": {
        "name": f"of {resources}", "provider_id": builtin.ID, "parameters": {}, "resources": [
            {"id": f"image-{number}", "type": IMAGE, "name": f"image {number}"}
            for number in range(resources)]}})["plan"]
    return made


def fill(served_: Served, checkpoints: int) -> None:
    """So many checkpoints that are available, each known to the database."""
    begun = time.time() - checkpoints
    graph = ResourceGraph.build([Resource(IMAGE, "i", "image")], lambda _level: {}).to_dict()
    served_.service.checkpoints.keep(CheckpointRecord(
        time_ordered_uuid(begun + number), served_.client.project, builtin.ID, f"c{number}",
        RecordStatus.AVAILABLE, begun + number, graph=graph)
        for number in range(checkpoints))
