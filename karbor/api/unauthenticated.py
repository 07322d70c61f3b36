"""What anybody may ask, without a token: versions, the OpenAPI document, health."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import falcon
import msgspec

from karbor.api.endpoints import Manners
from karbor.domain.errors import StoreError

LOG = logging.getLogger(__name__)

ROOT, V1, HEALTH, DOCUMENT = "/", "/v1", "/healthcheck", "/v1/openapi.json"
PUBLIC = frozenset({ROOT, V1, HEALTH, DOCUMENT})
UPDATED = "2026-11-26T00:00:00Z"


def version(base: str) -> dict[str, Any]:
    """What clients are told of v1."""
    return {"id": "v1.0", "status": "CURRENT", "updated": UPDATED, "links": [
        {"rel": "self", "href": f"{base}/v1/"},
        {"rel": "describedby", "type": "application/json", "href": f"{base}{DOCUMENT}"}]}


class Versions:
    """GET /: which versions there are. 300, as Karbor 1.x meant it."""

    def __init__(self, manners: Manners) -> None:
        self._manners = manners

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        response.status = 300
        _json(response, {"versions": [version(self._manners.base(request))]})


class Version:
    """GET /v1/: what this version is."""

    def __init__(self, manners: Manners) -> None:
        self._manners = manners

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        _json(response, {"version": version(self._manners.base(request))})


class Document:
    """GET /v1/openapi.json: every operation of the API, for machines."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._encoded = msgspec.json.encode(document)

    def on_get(self, _request: falcon.Request, response: falcon.Response) -> None:
        response.data = self._encoded
        response.content_type = falcon.MEDIA_JSON


class Health:
    """GET /healthcheck: whether a load balancer should send requests here. In JSON for whoever
    accepts that (as oslo.middleware's healthcheck answers), else a line of text."""

    def __init__(self, ping: Callable[[], None], disabled_by: str | None) -> None:
        self._ping = ping
        self._disabled_by = Path(disabled_by) if disabled_by else None

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        healthy, reason = self._state()
        response.status = 200 if healthy else 503
        if request.client_prefers((falcon.MEDIA_TEXT, falcon.MEDIA_JSON)) == falcon.MEDIA_JSON:
            _json(response, {"detailed": False, "reasons": [reason]})
        else:
            response.content_type = falcon.MEDIA_TEXT
            response.text = reason

    def _state(self) -> tuple[bool, str]:
        if self._disabled_by is not None and self._disabled_by.exists():
            return False, "DISABLED BY FILE"
        try:
            self._ping()
        except StoreError as error:
            LOG.error("the database does not answer: %s", error)
            return False, "DATABASE UNAVAILABLE"
        return True, "OK"


def _json(response: falcon.Response, value: Any) -> None:
    response.data = msgspec.json.encode(value)
    response.content_type = falcon.MEDIA_JSON
