"""Lists that many resources of one operation need: asked for once, not once per resource."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, ref

from karbor.domain.errors import CloudForbidden, CloudNotFound
from karbor.plugin.cloud import Api, Cloud

Record = dict[str, Any]
T = TypeVar("T")

FRESH = 30.0
"""Seconds for which a list serves further resources: long enough that all servers of an operation
share it, short enough that a protect does not describe the past."""

_NEWEST_NOVA = (2, 100)     # the newest microversion whose answers are understood here
_OLDEST_NOVA = (2, 79)      # Train: embedded flavor, tags, delete_on_termination


class Listed:
    """What was listed through one Cloud. Threads that want the same list wait for one request."""

    def __init__(self, cloud: Cloud, clock: Callable[[], float] = time.monotonic) -> None:
        self._cloud = ref(cloud)        # held by nobody but its operation, so that both can end
        self._clock = clock
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._answers: dict[str, tuple[float, Any]] = {}

    def _api(self, service: str) -> Api:
        cloud = self._cloud()
        if cloud is None:
            raise RuntimeError("the Cloud of these lists is closed")
        return cloud.api(service)

    def once(self, name: str, ask: Callable[[], T], *, since: float | None = None) -> T:
        """The answer of `ask`, FRESH seconds old at most; or asked for `since` that moment of
        `now`. Whoever waits for somebody else's question shares its answer."""
        with self._guard:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            known = self._answers.get(name)
            if known is None or known[0] < (self.now() - FRESH if since is None else since):
                known = (self.now(), ask())
                self._answers[name] = known
            answer: T = known[1]
            return answer

    def now(self) -> float:
        return self._clock()

    def neutron(self, kind: str) -> list[Record]:
        """A collection of Neutron: networks, subnets, ports, routers, security-groups, …"""
        key = kind.replace("-", "_")
        found: list[Record] = self.once(
            f"neutron {kind}", lambda: self._api("neutron").list(f"/{kind}", key))
        return found

    def volumes(self) -> dict[str, Record]:
        """The project's volumes by id."""
        return {one["id"]: one for one in self.cinder("/volumes/detail", "volumes")}

    def cinder(self, path: str, key: str) -> list[Record]:
        found: list[Record] = self.once(
            f"cinder {path}", lambda: self._api("cinder").list(path, key))
        return found

    def nova(self, path: str, key: str) -> list[Record]:
        found: list[Record] = self.once(
            f"nova {path}", lambda: self._api("nova").list(path, key, version=self.nova_version()))
        return found

    def servers(self) -> dict[str, Record]:
        """The project's servers by id, each with its flavor, tags and the names of its volumes."""
        return {one["id"]: one for one in self.nova("/servers/detail", "servers")}

    def key_pairs(self) -> dict[str, Record]:
        """The caller's own key pairs by name (Nova keeps them per user, not per project)."""
        wrapped = self.nova("/os-keypairs", "keypairs")
        return {one["keypair"]["name"]: one["keypair"] for one in wrapped}

    def nova_version(self) -> str:
        """The newest microversion that both this cloud and this code understand."""
        def ask() -> str:
            told = self._api("nova").get("/")["version"].get("version") or "2.1"
            major, minor = (int(part) for part in told.split("."))
            chosen = max(min((major, minor), _NEWEST_NOVA), _OLDEST_NOVA)
            return f"{chosen[0]}.{chosen[1]}"
        version: str = self.once("nova version", ask)
        return version

    def limits(self) -> Record:
        """Nova's absolute limits and what is used of them."""
        found: Record = self.once("nova limits", lambda: self._api("nova").get("/limits"))
        absolute: Record = found["limits"]["absolute"]
        return absolute

    def network_quota(self, project_id: str) -> dict[str, tuple[int, int | None]]:
        """Per kind of Neutron: the limit (-1 for none) and how many are used (None: not told)."""
        def ask() -> dict[str, tuple[int, int | None]]:
            api = self._api("neutron")
            try:
                told = api.get(f"/quotas/{project_id}/details")["quota"]
                return {kind: (one["limit"], one["used"] + one.get("reserved", 0))
                        for kind, one in told.items()}
            except (CloudForbidden, CloudNotFound):
                told = api.get(f"/quotas/{project_id}")["quota"]
                return {kind: (limit, None) for kind, limit in told.items()
                        if isinstance(limit, int)}
        found: dict[str, tuple[int, int | None]] = self.once("neutron quota", ask)
        return found


_of: WeakKeyDictionary[Cloud, Listed] = WeakKeyDictionary()
_guard = threading.Lock()


def listed(cloud: Cloud) -> Listed:
    """The lists of this Cloud; they end with it (an operation has one)."""
    with _guard:
        found = _of.get(cloud)
        if found is None:
            found = _of[cloud] = Listed(cloud)
        return found
