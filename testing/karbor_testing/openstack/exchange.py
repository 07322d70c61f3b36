"""Exchange: a request, its answer, and the ways of refusing it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Request:
    """One HTTP request, its body already read. Names of headers are in lower case."""

    method: str
    path: str                               # below the service's root, e.g. /v3/volumes/detail
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    root: str                               # the service's own address, e.g. http://…/volume
    token: Mapping[str, Any] = field(default_factory=dict)
    partial: bool = False                   # the connection broke before the body was complete

    def json(self) -> dict[str, Any]:
        """The body as a JSON object. Raises Refusal(400)."""
        try:
            body = json.loads(self.body or b"{}")
        except ValueError as error:
            raise Refusal(400, f"Malformed request body: {error}") from error
        if not isinstance(body, dict):
            raise Refusal(400, "Malformed request body: not an object")
        return body

    def member(self, name: str) -> dict[str, Any]:
        """The object that the body holds under `name`. Raises Refusal(400)."""
        found = self.json().get(name)
        if not isinstance(found, dict):
            raise Refusal(400, f"Invalid input: '{name}' is a required property")
        return found

    def one(self, name: str, default: str = "") -> str:
        """The last value of a query parameter."""
        return self.query.get(name, [default])[-1]

    @property
    def project_id(self) -> str:
        return str(self.token.get("project_id", ""))

    @property
    def user_id(self) -> str:
        return str(self.token.get("user_id", ""))

    @property
    def admin(self) -> bool:
        return "admin" in self.token.get("roles", ())


@dataclass
class Answer:
    """What goes back: JSON (dict or list), bytes, or nothing."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        if self.body is None:
            return b""
        if isinstance(self.body, bytes):
            return self.body
        return json.dumps(self.body).encode()


class Refusal(Exception):
    """An answer other than success. `kind` is the service's own name for the error, if it has."""

    def __init__(self, status: int, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
