"""What is asked once for many: the answers that the threads of one operation share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from karbor.plugin.cloud import Cloud

T = TypeVar("T")

FRESH = 30.0
"""Seconds for which an answer serves others: long enough that all servers of an operation share a
list, short enough that a protect does not describe the past."""


now = time.monotonic
"""By which clock answers are told from older ones."""


class ListCache:
    """Answers by name. Threads that want the same one wait for one request. Safe for threads."""

    def __init__(self, clock: Callable[[], float] = now) -> None:
        self.now = clock
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._answers: dict[str, tuple[float, Any]] = {}

    def ask(self, name: str, ask: Callable[[], T], *, since: float | None = None) -> T:
        """Return the answer of `ask`, FRESH seconds old at most; or asked for `since` that
        moment of `now`. Whoever waits for somebody else's question shares its answer; what `ask`
        raises is no answer."""
        with self._guard:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            known = self._answers.get(name)
            if known is None or known[0] < (self.now() - FRESH if since is None else since):
                known = (self.now(), ask())
                self._remember(name, known)
            answer: T = known[1]
            return answer

    def _remember(self, name: str, known: tuple[float, Any]) -> None:
        """Remember an answer, and forget what serves nobody any more: a list of thousands is
        megabytes."""
        with self._guard:
            self._answers[name] = known
            stale = known[0] - 2 * FRESH
            for other in [one for one, (asked, _) in self._answers.items() if asked < stale]:
                del self._answers[other]


_of: WeakKeyDictionary[Cloud, ListCache] = WeakKeyDictionary()
_guard = threading.Lock()


def list_cache(cloud: Cloud) -> ListCache:
    """Return the answers of this Cloud; they end with it (an operation has one)."""
    with _guard:
        found = _of.get(cloud)
        if found is None:
            found = _of[cloud] = ListCache()
        return found


def name_of_list(service: str, path: str, version: str | None = None, **params: str) -> str:
    """Return the name by which lists are shared: the same request, the same name."""
    query = "&".join(f"{key}={value}" for key, value in sorted(params.items()))
    return f"{service} {version or ''} {path}?{query}"
