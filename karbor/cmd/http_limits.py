"""HTTP limits: how much a stranger may keep a server of waitress busy with.

A server that anybody can reach takes requests of people whom it does not know yet. So a body
without a token is refused after its header, a request has a time in which it must have arrived,
and when all connections are taken, the one that has been silent for longest makes room for a new
one: half-sent requests shut nobody out. Nor do bodies with tokens that are made up, which only
Keystone knows: what has arrived of all bodies together has a bound, and when it is reached, the one
of which least came in the last seconds makes room. What is only announced counts for nothing.
"""

from __future__ import annotations

import json
import logging
import time
from collections import deque
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
PROGRESS_SECONDS = 5.0
"""A body is worth what came of it in so many seconds: a burst of long ago protects none."""

WARNING_SECONDS = 1.0   # between two warnings of one kind


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
    """Nothing that has a body is for people without a token."""

    error: Error | None = None

    def __init__(self, adj: Any, connection: _Connection) -> None:
        super().__init__(adj)
        self._connection = connection
        self._came: deque[tuple[float, int]] = deque()      # when, and bytes until then

    def received(self, data: bytes) -> int:
        known = self.headers_finished
        consumed = int(super().received(data))
        if self.error is not None or not self.headers_finished:
            return consumed
        if not known:
            if (self.content_length or self.chunked) and not self.headers.get("X_AUTH_TOKEN"):
                self._refuse(_Refused("The request you have made requires authentication."))
            return consumed
        self._note()
        if not self._connection.server.make_place(self._connection):
            self._refuse(_Crowded("Too many bodies of requests are being worked on; try again in "
                                  "a moment."))
        return consumed

    @property
    def weight(self) -> int:
        """Bytes of its body that have arrived."""
        return 0 if self.error is not None else int(self.body_bytes_received)

    @property
    def progress(self) -> int:
        """Bytes of its body that arrived in the last PROGRESS_SECONDS."""
        since = time.monotonic() - PROGRESS_SECONDS
        before = 0
        for at, until_then in self._came:
            if at > since:
                break
            before = until_then
        return int(self.body_bytes_received) - before

    def _note(self) -> None:
        """Remember how much has come, a few times in PROGRESS_SECONDS."""
        now = time.monotonic()
        while len(self._came) > 1 and self._came[1][0] <= now - PROGRESS_SECONDS:
            self._came.popleft()
        if not self._came or now - self._came[-1][0] >= PROGRESS_SECONDS / 10:
            self._came.append((now, int(self.body_bytes_received)))
        else:
            self._came[-1] = (self._came[-1][0], int(self.body_bytes_received))

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
        """Bytes of the bodies that have arrived here, of those that are being answered too."""
        if self.will_close:
            return 0
        arriving = self.request
        return sum(one.weight for one in [*self.requests, *([arriving] if arriving else [])])

    @property
    def progress(self) -> int:
        """Bytes of the body that is arriving here which came in the last seconds."""
        return self.request.progress if self.request is not None else 0

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

    warned_at = 0.0

    def make_place(fresh: _Connection) -> bool:
        """Return whether what has arrived on a connection has a place, after others made it."""
        nonlocal warned_at
        channels = list(server.active_channels.values())
        excess = sum(channel.weight for channel in channels) - limits.bodies_bytes
        if excess <= 0:
            return True
        dropped = []
        for channel in sorted((one for one in channels if one.idle and one.weight),
                              key=lambda one: (one.progress, float(one.silent_since))):
            if excess <= 0:
                break
            if channel is fresh:        # of it least came: nobody else has to go for it
                return False
            excess -= channel.weight
            dropped.append(channel)
        if excess > 0:      # nothing is dropped for what has no place even then
            return False
        for channel in dropped:
            channel.will_close = True
        if time.monotonic() - warned_at >= WARNING_SECONDS:
            warned_at = time.monotonic()
            LOG.warning("more than %s bytes of bodies have arrived or are being answered: the %s "
                        "of which least came in the last seconds are dropped",
                        limits.bodies_bytes, len(dropped))
        return True

    server.channel_class = _Connection
    server.maintenance = maintenance
    server.make_room = make_room
    server.make_place = make_place
