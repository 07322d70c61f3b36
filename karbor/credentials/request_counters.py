"""Request counters: what all sessions of a process together have asked of the cloud, for its
operator."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Mapping

import requests

UNNAMED = "other"
"""In place of an address that nobody has given a name: it could hold an account's password."""

TIMEOUT, UNREACHABLE, BROKEN = "timeout", "unreachable", "broken"
"""Outcomes of requests that had no answer; the others are the answer's status."""


class RequestCounters:
    """Only counts: nothing of a request or of its answer is kept. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str, str]] = Counter()
        self._seconds: defaultdict[tuple[str, str], float] = defaultdict(float)

    def add(self, service: str, method: str, outcome: str, seconds: float) -> None:
        """Count a request. `seconds` until the answer had begun, or, where it is no stream, until
        it was there."""
        with self._lock:
            self._requests[service, method, outcome] += 1
            self._seconds[service, method] += seconds

    @property
    def requests(self) -> Mapping[tuple[str, str, str], int]:
        """Return how many requests were sent, by service, method and outcome."""
        with self._lock:
            return dict(self._requests)

    @property
    def seconds(self) -> Mapping[tuple[str, str], float]:
        """Return how many seconds requests took, by service and method."""
        with self._lock:
            return dict(self._seconds)


def outcome_of(error: BaseException) -> str:
    """Return the outcome of a request that was sent and has no answer: `timeout`, `unreachable` or
    `broken`."""
    if isinstance(error, requests.Timeout):
        return TIMEOUT
    return UNREACHABLE if isinstance(error, requests.ConnectionError) else BROKEN


OF_THIS_PROCESS = RequestCounters()
