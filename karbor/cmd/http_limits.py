"""HTTP limits: how much a stranger may keep a server of waitress busy with.

A server that anybody can reach takes requests of people whom it does not know yet. So a body
without a token is refused after its header, a request has a time in which it must have arrived,
and when all connections are taken, the one that has been silent for longest makes room for a new
one: half-sent requests shut nobody out. Nor do bodies with tokens that are made up, which only
Keystone knows: all bodies together have a bound, and when it is reached, the one that has been
arriving for longest makes room.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.utilities import Error

LOG = logging.getLogger(__name__)
LOOK_SECONDS = 1
SPARE = 64      # sockets that are no client's, and those that are being closed


@dataclass(frozen=True)
class HttpLimits:
    """`connections` at once, `body_bytes` of a request, seconds in which it must be there, and
    `bodies_bytes` of all requests that arrive or are answered, together."""

    connections: int
    body_bytes: int
    receive_seconds: float
    bodies_bytes: int = 64 * 1024 * 1024

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


class _Crowded(Error):      # type: ignore[misc]
    """The same, where only bodies that have arrived are left, and are being answered."""

    code = 503
    reason = "Service Unavailable"

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        body = json.dumps({"serviceUnavailable": {
            "code": self.code, "message": self.body}}).encode()
        return (f"{self.code} {self.reason}", [("Content-Type", "application/json"),
                                               ("Retry-After", "1")], body)


class _Request(HTTPRequestParser):      # type: ignore[misc]
    """Nothing that has a body is for people without a token. `weight` is how many bytes of a body
    it may bring: what it announces, or (in chunks) as many as any may."""

    error: Error | None = None
    weight = 0

    def __init__(self, adj: Any, connection: _Connection) -> None:
        super().__init__(adj)
        self._connection = connection

    def received(self, data: bytes) -> int:
        known = self.headers_finished
        consumed = int(super().received(data))
        if self.headers_finished and not known and self.error is None and (
                self.content_length or self.chunked) and not self.headers.get("X_AUTH_TOKEN"):
            self._refuse(_Refused("The request you have made requires authentication."))
        elif self.headers_finished and not known and not self.completed:
            self.weight = self.content_length or self.adj.max_request_body_size
            if not self._connection.server.make_place(self._connection, self.weight):
                self.weight = 0
                self._refuse(_Crowded("Too many bodies of requests are being worked on; try again "
                                      "in a moment."))
        return consumed

    def _refuse(self, error: Error) -> None:
        self.error = error
        self.expect_continue = False    # it shall not be sent
        self.completed = True


class _Connection(HTTPChannel):     # type: ignore[misc]
    silent_since: float     # when it last became free, or began to send a request

    def __init__(self, server: Any, *arguments: Any, **options: Any) -> None:
        self.silent_since = time.time()
        self.parser_class = partial(_Request, connection=self)
        super().__init__(server, *arguments, **options)
        server.make_room(self)

    def received(self, data: bytes) -> bool:
        if self.request is None:
            self.silent_since = time.time()
        return bool(super().received(data))

    @property
    def weight(self) -> int:
        """Bytes of the bodies that arrive here, or are being answered."""
        if self.will_close:
            return 0
        arriving = self.request
        return sum(one.weight for one in [*self.requests, *([arriving] if arriving else [])])

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

    def make_place(fresh: _Connection, weight: int) -> bool:
        """Whether a body of so many bytes has a place, after others that arrive made it."""
        others = [channel for channel in list(server.active_channels.values())
                  if channel is not fresh]
        room = int(limits.bodies_bytes - weight - sum(channel.weight for channel in others))
        dropped = []
        for channel in sorted((one for one in others if one.idle and one.weight),
                              key=lambda one: float(one.silent_since)):
            if room >= 0:
                break
            room += channel.weight
            dropped.append(channel)
        if room < 0:        # nothing is dropped for what has no place even then
            return False
        if dropped:
            LOG.warning("%s bytes of bodies are arriving or being answered: the %s that have been "
                        "arriving for longest are dropped", limits.bodies_bytes, len(dropped))
        for channel in dropped:
            channel.will_close = True
        return True

    server.channel_class = _Connection
    server.maintenance = maintenance
    server.make_room = make_room
    server.make_place = make_place
