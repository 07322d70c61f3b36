"""Claims: of several who write an object of Swift if it is absent, one alone goes on.

Swift's `If-None-Match: *` does not do that: an object server looks whether there is an object when
a request begins and stores it when the body has come, so that several which arrive together all
succeed, and the last one overwrites the others (measured: three times out of four among eight).
Ceph's RGW (16.2) does not look at all.

So whoever wants to write first puts an object of a name of its own below `claims/NAME+/` and then
lists that place. Who is alone there goes on: whoever comes later will find that claim. Who is not
alone takes the claim back and tries again in a while, in which the other one has written. This
needs a store that lists what it has confirmed, as a Swift in good order does; where it lags, what
is left is a look before the writing, `If-None-Match` where the store knows it, and a look at who
wrote last.
"""

from __future__ import annotations

import random
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from karbor.domain.errors import CloudError, CloudNotFound, CloudUnavailable, ObjectExists

if TYPE_CHECKING:
    from karbor.clients.swift_container import SwiftContainer

LIFE = 30.0
"""Seconds after which a claim counts no more: its owner has died. What is written under a claim
is small, and sent at once."""

PATIENCE = 60.0
"""Seconds for which others are waited for."""

_FRACTION = re.compile(r"\.(\d{6})\d*")


class Claims:
    """Of one container. Safe for threads."""

    def __init__(self, container: SwiftContainer, *, clock: Callable[[], float] = time.monotonic,
                 wait: Callable[[float], None] = time.sleep) -> None:
        self._container = container
        self._clock = clock
        self._wait = wait

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Be alone with this name until the context is left. Raises ObjectExists when another one
        has written it meanwhile, and CloudUnavailable when others are in the way for too long."""
        endpoint_settings = f"claims/{name}+/"
        until = self._clock() + PATIENCE
        pause = 0.05
        while True:
            mine = endpoint_settings + uuid.uuid4().hex
            self._put(mine)
            try:
                if self._alone(endpoint_settings, mine):
                    yield
                    return
            finally:
                self._remove(mine)
            if self._container.head(name) is not None:
                raise ObjectExists(f"{self._container.where} has an object {name} already")
            if self._clock() > until:
                raise CloudUnavailable(f"others are writing {name} to {self._container.where}",
                                       service="swift", request=f"PUT {endpoint_settings}")
            self._wait(pause * (0.5 + random.random()))  # noqa: S311  only to get out of step
            pause = min(2 * pause, 2.0)

    def _put(self, claim: str) -> None:
        api, path = self._container.api, self._container.path(claim)
        api.patiently(lambda: api.send("PUT", path, data=b"", headers={
            "Content-Type": "text/plain", "X-Delete-After": str(int(10 * LIFE))}))

    def _alone(self, endpoint_settings: str, mine: str) -> bool:
        """Return whether no other claim is listed that counts: up to the empty page, since a
        shorter one than was asked for says nothing."""
        after = ""
        while True:
            listed, answer = self._container.listed(endpoint_settings, after, 1000)
            if not listed:
                return True
            now = parsedate_to_datetime(answer.headers["Date"])
            if [one for one in listed
                    if one["name"] != mine and (now - _moment(one)).total_seconds() < LIFE]:
                return False
            after = str(listed[-1]["name"])

    def _remove(self, claim: str) -> None:
        """Remove a claim. What cannot be removed now counts no more after its life, and goes by
        itself."""
        api, path = self._container.api, self._container.path(claim)
        try:
            api.patiently(lambda: api.send("DELETE", path))
        except CloudNotFound:
            return
        except CloudError as error:
            if not error.transient:
                raise


def _moment(listed: dict[str, Any]) -> datetime:
    """Return when Swift got an object, by its own clock, in seconds since the epoch. It tells it
    without a zone, in UTC."""
    told = _FRACTION.sub(r".\1", str(listed["last_modified"]))
    found = datetime.fromisoformat(told)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
