"""A double at the HTTP boundary: an adapter below requests, for faults that no real cloud shows on
demand; and a Keystone behind it."""

from __future__ import annotations

import io
import itertools
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

KEYSTONE = "http://keystone.test:5000/v3"


@dataclass
class Sent:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    timeout: Any

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    status: int = 200
    json: Any = None
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Wire(BaseAdapter):
    """Every request reaches `answer`; what was sent is kept."""

    def __init__(self, answer: Callable[[Sent], Reply]) -> None:
        super().__init__()
        self.answer = answer
        self.sent: list[Sent] = []

    def of(self, method: str, path: str) -> list[Sent]:
        return [one for one in self.sent if one.method == method and one.path == path]

    def send(self, request: requests.PreparedRequest, stream: bool = False, timeout: Any = None,
             **_ignored: Any) -> requests.Response:
        parts = urlsplit(request.url or "")
        body = request.body or b""
        if not isinstance(body, bytes | str):
            body = b"".join(body)
        sent = Sent(request.method or "", parts.path, parse_qs(parts.query),
                    {k.lower(): str(v) for k, v in request.headers.items()},
                    body.encode() if isinstance(body, str) else body, timeout)
        self.sent.append(sent)
        reply = self.answer(sent)
        payload = reply.body if reply.json is None else json.dumps(reply.json).encode()
        headers = {"Content-Length": str(len(payload)), **reply.headers}
        if reply.json is not None:
            headers["Content-Type"] = "application/json"
        response = requests.Response()
        response.status_code = reply.status
        response.headers.update(headers)
        response.url = request.url or ""
        response.request = request
        response.raw = HTTPResponse(io.BytesIO(payload), headers=headers, status=reply.status,
                                    preload_content=False)
        return response

    def close(self) -> None:
        pass


class Keystone:
    """Gives tokens, and tells of them. `clock` is its own; `life` in seconds."""

    def __init__(self, clock: Callable[[], float], life: float = 3600.0) -> None:
        self.clock = clock
        self.life = life
        self.passwords = {"demo": "secret-of-demo", "karbor": "secret-of-karbor"}
        self.roles = {"demo": ["member"], "karbor": ["service"]}
        self.scoped = True
        self.validation: Reply | None = None        # answer this to every validation
        self.login: Reply | None = None             # answer this to every login
        self.bodies: dict[str, dict[str, Any]] = {}
        self.catalog: list[dict[str, Any]] = []
        self.logins = 0
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def answer(self, sent: Sent) -> Reply | None:
        if sent.path in ("/v3", "/v3/"):
            return Reply(json={"version": {"id": "v3.14", "status": "stable", "links": [
                {"rel": "self", "href": KEYSTONE}]}})
        if sent.path != "/v3/auth/tokens":
            return None
        return self._login(sent) if sent.method == "POST" else self._validate(sent)

    def _login(self, sent: Sent) -> Reply:
        with self._lock:
            self.logins += 1
        if self.login is not None:
            return self.login
        auth = sent.json()["auth"]
        user = auth["identity"]["password"]["user"]
        name = user["name"]
        if user["password"] != self.passwords.get(name):
            return Reply(401, json={"error": {"message": "The request you have made requires "
                                              "authentication.", "code": 401}})
        token = f"token-{name}-{next(self._numbers)}"
        now = self.clock()
        body: dict[str, Any] = {
            "methods": ["password"], "user": {"id": f"id-{name}", "name": name, "domain": {
                "id": "default", "name": "Default"}},
            "issued_at": _iso(now), "expires_at": _iso(now + self.life), "audit_ids": ["a"]}
        if self.scoped:
            project = "service" if name == "karbor" else name
            body |= {"project": {"id": f"project-{project}", "name": project, "domain": {
                "id": "default", "name": "Default"}}, "catalog": self.catalog,
                "roles": [{"id": one, "name": one} for one in self.roles[name]]}
        self.bodies[token] = {"token": body}
        return Reply(201, json={"token": body}, headers={"X-Subject-Token": token})

    def _validate(self, sent: Sent) -> Reply:
        if self.validation is not None:
            return self.validation
        body = self.bodies.get(sent.headers["x-subject-token"])
        if body is None or "allow_expired" not in sent.query:
            return Reply(404, json={"error": {"message": "Failed to validate token"}})
        return Reply(200, json=body)


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Clock:
    """Time that passes when told to."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
