"""Driven: what a process has brought to its end, in numbers, for its operator."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from karbor.operations.events import OPERATION_END, OPERATION_ERROR

UNPROVED = "none"
"""In place of an evidence, of what read nothing back."""


class OperationCounters:
    """A Notifier (see `karbor.operations.events`) that only counts. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended: dict[tuple[str, str], tuple[int, float]] = {}
        self._bytes: dict[tuple[str, str], int] = {}

    def tell(self, event: str, payload: Mapping[str, Any]) -> None:
        if event not in (OPERATION_END, OPERATION_ERROR):
            return
        verb, state = payload["verb"], payload["state"]
        with self._lock:
            count, seconds = self._ended.get((verb, state), (0, 0.0))
            self._ended[verb, state] = count + 1, seconds + _took(payload)
            if event == OPERATION_END:
                what = verb, payload["evidence"] or UNPROVED
                self._bytes[what] = self._bytes.get(what, 0) + payload["resource_bytes"]

    @property
    def ended(self) -> Mapping[tuple[str, str], tuple[int, float]]:
        """Return by verb and state how many operations ended, and how many seconds they took
        together."""
        with self._lock:
            return dict(self._ended)

    @property
    def bytes(self) -> Mapping[tuple[str, str], int]:
        """Return by verb and evidence the whole size in bytes of what operations that succeeded
        were about."""
        with self._lock:
            return dict(self._bytes)


def _took(payload: Mapping[str, Any]) -> float:
    if payload["finished_at"] is None:
        return 0.0
    begun, ended = (datetime.fromisoformat(payload[name]) for name in ("created_at", "finished_at"))
    return max(0.0, (ended - begun).total_seconds())
