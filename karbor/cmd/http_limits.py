"""HTTP limits: how much a stranger may keep a server of waitress busy with.

A server that anybody can reach takes requests of people whom it does not know yet. So a body
without a token is refused after its header, a request has a time in which it must have arrived,
and when all connections are taken, the one that has been silent for longest makes room for a new
one: half-sent requests shut nobody out.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.utilities import Error

LOG = logging.getLogger(__name__)
LOOK_SECONDS = 1
SPARE = 64      # sockets that are no client's, and those that are being closed


@dataclass(frozen=True)
class HttpLimits:
    """`connections` at once, `body_bytes` of a request, and seconds in which it must be there."""

    connections: int
    body_bytes: int
    receive_seconds: float

    def options(self) -> Mapping[str, Any]:
        """For waitress. It refuses bodies of exactly its limit."""
        return {"max_request_body_size": self.body_bytes + 1,
                "connection_limit": self.connections + SPARE,
                "backlog": max(1024, self.connections),
                "channel_timeout": self.receive_seconds, "cleanup_interval": LOOK_SECONDS}


class _Refused(Error):      # type: ignore[misc]
    """Told in the shape of this API."""

    code = 401
    reason = "Unauthorized"

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        body = json.dumps({"error": {
            "code": self.code, "title": self.reason, "message": self.body}}).encode()
        return (f"{self.code} {self.reason}", [("Content-Type", "application/json"),
                                               ("WWW-Authenticate", "Keystone")], body)


class _Request(HTTPRequestParser):      # type: ignore[misc]
    """Nothing that has a body is for people without a token."""

    error: Error | None = None

    def received(self, data: bytes) -> int:
        known = self.headers_finished
        consumed = int(super().received(data))
        if self.headers_finished and not known and self.error is None and (
                self.content_length or self.chunked) and not self.headers.get("X_AUTH_TOKEN"):
            self.error = _Refused("The request you have made requires authentication.")
            self.expect_continue = False    # it shall not be sent
            self.completed = True
        return consumed


class _Connection(HTTPChannel):     # type: ignore[misc]
    parser_class = _Request
    silent_since: float     # when it last became free, or began to send a request

    def __init__(self, server: Any, *arguments: Any, **options: Any) -> None:
        self.silent_since = time.time()
        super().__init__(server, *arguments, **options)
        server.make_room(self)

    def received(self, data: bytes) -> bool:
        if self.request is None:
            self.silent_since = time.time()
        return bool(super().received(data))

    @property
    def idle(self) -> bool:
        """Nothing of it is being answered, or waits to be."""
        return not self.requests and not self.total_outbufs_len and not self.will_close


def limited(server: Any, limits: HttpLimits) -> None:
    """Put the limits before a server of waitress that has not begun."""
    usual = server.maintenance

    def maintenance(now: float) -> None:
        usual(now)      # closes what is silent
        for active_channel in list(server.active_channels.values()):
            if active_channel.request is not None and active_channel.idle and (
                    now - active_channel.silent_since > limits.receive_seconds):
                active_channel.will_close = True       # what drips in is no activity

    def make_room(fresh: _Connection) -> None:
        others = [
            active_channel
            for active_channel in list(server.active_channels.values())
            if active_channel is not fresh
        ]
        if len(others) < limits.connections:
            return
        if idle := [other for other in others if other.idle]:
            LOG.warning("all %s connections are taken: the one that has been silent for longest is "
                        "closed", limits.connections)
            min(idle, key=lambda one: float(one.silent_since)).will_close = True

    server.channel_class = _Connection
    server.maintenance = maintenance
    server.make_room = make_room
