"""Requests that only decorate what a restore has made: names, descriptions, tags, marks.

When such a request is refused, the application is restored all the same. So it never fails its
step: it is reported in `not_restored`, which the operation's result, its log and the terminal
show. What a service cannot answer just now is sent again a few times first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from karbor.domain.errors import CloudError, CredentialError
from karbor.domain.step import Again, Progress
from karbor.plugin.protection import Work

LOG = logging.getLogger(__name__)

TRIES = 8
LONGEST_PAUSE_SECONDS = 60.0
_TRIED = "cosmetic_tries"


class Cosmetics:
    """The decorating requests of one entry of a Task.

    Every request must be idempotent: when one of them is `postponed`, the Task returns `again` and
    sends all of them anew. After TRIES entries, some three minutes, what still fails is reported.
    """

    def __init__(self, work: Work, reported: Iterable[Mapping[str, str]] = ()) -> None:
        self.not_restored: list[dict[str, str]] = [dict(one) for one in reported]
        self._resource = work.resource
        self._tries = int(work.handle.get(_TRIED, 0))
        self._postponed = ""

    @property
    def postponed(self) -> bool:
        return bool(self._postponed)

    def request(self, field: str, send: Callable[[], object], consequence: str = "") -> bool:
        """Send it. Returns whether it was done; when not, it is postponed, or reported as `field`
        with the service's reason and the `consequence`. Raises no error of a service."""
        try:
            send()
        except (CloudError, CredentialError) as error:
            passing = error.transient or isinstance(error, CredentialError)
            if passing and self._tries < TRIES:
                self._postponed = error.message
            else:
                self.report(field, "; ".join(filter(None, (consequence, error.message))))
            return False
        return True

    def report(self, field: str, why: str) -> None:
        one = {"field": field, "why": why}
        if one not in self.not_restored:
            self.not_restored.append(one)
            LOG.warning("%s is restored, but not %s: %s", self._resource, field, why)

    def again(self, handle: Mapping[str, Any]) -> Again:
        """Return the outcome of an entry in which something was postponed."""
        return Again(min(LONGEST_PAUSE_SECONDS, 2.0 ** self._tries),
                     {**handle, _TRIED: self._tries + 1},
                     Progress(text=f"restored; names and descriptions wait: {self._postponed}"))
