"""Requests byte for byte, as no client library would send them."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from karbor.api.authentication import Wsgi
from tests.unit.api.people import ADMIN, Person


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes


def send(app: Wsgi, method: str, path: str, *, query: str = "", body: bytes = b"",
         content_type: str | None = "application/json", headers: Mapping[str, str] | None = None,
         person: Person = ADMIN) -> Answer:
    """`path`, `query` and header values are bytes in latin-1, as WSGI hands them over."""
    environ = {
        "REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": query,
        "SERVER_NAME": "karbor.example", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.1", "wsgi.url_scheme": "http", "wsgi.version": (1, 0),
        "wsgi.input": io.BytesIO(body), "wsgi.errors": sys.stderr,
        "CONTENT_LENGTH": str(len(body)), "HTTP_X_AUTH_TOKEN": person.token}
    if content_type is not None:
        environ["CONTENT_TYPE"] = content_type
    environ |= headers or {}
    said: list[str] = []
    body = b"".join(app(environ, lambda status, *_: said.append(status)))
    return Answer(int(said[0].split()[0]), body)
