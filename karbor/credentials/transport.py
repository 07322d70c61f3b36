"""Transport: the connections of one operation, what went over them, and what must not.

It is a requests.Session of our own below keystoneauth's: keystoneauth would mount its keep-alive
adapter only on a session it made itself, with room for ten connections, and would close it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from keystoneauth1.session import TCPKeepAliveAdapter
from requests.adapters import BaseAdapter

from karbor.credentials.request_counters import (
    OF_THIS_PROCESS,
    UNNAMED,
    RequestCounters,
    outcome_of,
)
from karbor.credentials.request_guard import refuse_disarming

Counted = Mapping[tuple[str, str], int]


class Transport(requests.Session):
    """Connections with a pool of `size`, shared by all threads of an operation.

    `adapter` replaces the network: a test double stands here. Every request that leaves is counted
    by service and method, and in the `counters` with its outcome; requests that a service token
    would make dangerous do not leave (see `guard`).
    """

    def __init__(self, size: int, adapter: BaseAdapter | None = None,
                 counters: RequestCounters = OF_THIS_PROCESS) -> None:
        super().__init__()
        self.adapter = adapter
        self._counters = counters
        for scheme in ("http://", "https://"):
            self.mount(scheme, adapter or TCPKeepAliveAdapter(
                pool_connections=16, pool_maxsize=size))
        self._lock = threading.Lock()
        self._counted: Counter[tuple[str, str]] = Counter()
        self._names: list[tuple[str, str, str]] = []

    def name(self, url: str, service: str) -> None:
        """Count requests to this address and below it under this name."""
        parts = urlsplit(url)
        known = (parts.netloc, parts.path.rstrip("/"), service)
        with self._lock:
            if known not in self._names:
                # The longest path first, so that http://h/volume is not taken for http://h.
                self._names = sorted([*self._names, known], key=lambda one: -len(one[1]))

    @property
    def counted(self) -> Counted:
        """Return how many requests have left so far, by (service, method)."""
        with self._lock:
            return dict(self._counted)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        refuse_disarming(request)
        name, method = self._service(request.url or ""), request.method or ""
        with self._lock:
            self._counted[name or urlsplit(request.url or "").netloc, method] += 1
        began, outcome = time.monotonic(), ""
        try:
            response = super().send(request, **options)
            outcome = str(response.status_code)
        except BaseException as error:
            outcome = outcome_of(error)
            raise
        finally:
            self._counters.add(name or UNNAMED, method, outcome, time.monotonic() - began)
        return response

    def _service(self, url: str) -> str:
        """Return the name under which an address is counted; empty when it has none."""
        parts = urlsplit(url)
        for netloc, path, service in self._names:
            if parts.netloc == netloc and (parts.path == path
                                           or parts.path.startswith(path + "/")):
                return service
        return ""


TransportMaker = Callable[[], Transport]
