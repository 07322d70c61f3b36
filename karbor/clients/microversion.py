"""Microversions: what Karbor is written for, lowered to what a cloud offers."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import requests

from karbor.clients.service import Service


class Microversions:
    """Remembers which version each address understands. A cloud as new as Karbor expects is never
    asked: only its refusal (406) leads to one question."""

    def __init__(self) -> None:
        self._lowered: dict[str, str] = {}
        self._lock = threading.Lock()

    def of(self, service: Service, address: str) -> str:
        return self._lowered.get(address, service.microversion)

    def lower(self, service: Service, address: str,
              get: Callable[[str], requests.Response]) -> str:
        """Return the version to use from now on, after a refusal; the same one when nothing better
        is known."""
        with self._lock:
            if address not in self._lowered:
                best = _offered(get(_root(address)))
                if best and _parts(best) < _parts(service.microversion):
                    self._lowered[address] = best
            return self.of(service, address)


def _root(address: str) -> str:
    """Return the address at which an API describes itself: http://h:8776/v3/PROJECT →
    http://h:8776/v3/."""
    path = urlsplit(address).path
    found = re.search(r".*?/v\d+(\.\d+)?(?=/|$)", path)
    return address.removesuffix(path) + (found.group() if found else path) + "/"


def _offered(answer: requests.Response) -> str:
    """Return the highest version in {"version": {…}} or {"versions": […]}."""
    try:
        body: Any = answer.json()
        described = body.get("versions") or [body["version"]]
        versions = [str(one["version"]) for one in described if one.get("version")]
        return max(versions, key=_parts, default="")
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(one) for one in version.split("."))
