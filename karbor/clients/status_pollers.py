"""Status pollers: one per kind of thing and per caller's view of it, in one process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from karbor.clients.service import PolledKind
from karbor.clients.status_poller import StatusPoller

Whose = tuple[str, ...]
"""Who sees the same things: where the cloud is, user, project, region."""


class StatusPollers:
    """Operations of the same user and project share their looking."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pollers: dict[tuple[Whose, str], StatusPoller] = {}
        self._lock = threading.Lock()

    def of(self, whose: Whose, kind: str, looked: PolledKind, project_id: str) -> StatusPoller:
        with self._lock:
            key = (whose, kind)
            if key not in self._pollers:
                self._pollers[key] = StatusPoller(looked, project_id, self._clock)
            return self._pollers[key]

    def touched(self, whose: Whose, ids: Iterable[str], *, deleted: bool = False) -> None:
        """Note that a request named these things: what any poller knows of them counts no more. See
        `StatusPoller.touched`."""
        named = list(ids)
        with self._lock:
            pollers = [poller for (who, _), poller in self._pollers.items() if who == whose]
        for poller in pollers:
            poller.touched(named, deleted=deleted)
