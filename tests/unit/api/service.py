"""The service behind the API, with a cloud in memory instead of one that answers over HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from karbor.application.requests import RequestContext
from karbor.application.service_context import Requester, ServiceContext
from karbor.domain.caller import Caller
from karbor.domain.errors import ServiceAbsent
from tests.unit.api.people import MINE

SERVER = "44444444-4444-4444-8444-444444444444"
VOLUME = "55555555-5555-4555-8555-555555555555"
NETWORK = "66666666-6666-4666-8666-666666666666"
LISTS: Mapping[tuple[str, str], list[dict[str, Any]]] = {
    ("nova", "/servers/detail"): [{
        "id": SERVER, "name": "web", "status": "ACTIVE", "image": {"id": "base"}, "tags": ["gold"],
        "os-extended-volumes:volumes_attached": [{"id": VOLUME}], "addresses": {}}],
    ("cinder", "/volumes/detail"): [{
        "id": VOLUME, "name": "v1", "status": "in-use", "size": 1, "availability_zone": "az1"}],
    ("neutron", "/networks"): [{"id": NETWORK, "name": "inner"}],
    ("neutron", "/ports"): [{"id": "p", "device_id": SERVER}],
    ("glance", "/images"): [{"id": "base", "name": "debian", "status": "active"}]}


@dataclass
class ListedApi:
    service: str

    def list(self, path: str, key: str, **_query: Any) -> list[dict[str, Any]]:
        return LISTS.get((self.service, path), [])


@dataclass(eq=False)     # a cloud is itself only, and a key of what has been asked of it
class ListedCloud:
    """Of one project: that with the id MINE has a server with a volume, others have nothing."""

    caller: Caller

    @property
    def user_id(self) -> str:
        return self.caller.user_id

    @property
    def project_id(self) -> str:
        return self.caller.project_id

    @property
    def project_name(self) -> str:
        return self.caller.project_name

    def has(self, service: str) -> bool:
        return service not in ("trove", "manila", "kubernetes")

    def api(self, service: str) -> ListedApi:
        if not self.has(service):
            raise ServiceAbsent(f"this cloud has no {service}")
        return ListedApi(service if self.project_id == MINE else "")


class Delegating:
    def choose(self, needed: float) -> Mapping[str, Any]:
        return {"rung": "user + service token", "until": None, "needed": needed}

    def grant(self, credential: Mapping[str, Any]) -> Mapping[str, Any]:
        return credential

    def wants(self, _credential: Mapping[str, Any]) -> str:
        return ""


class ListedService(ServiceContext):
    @contextmanager
    def admitted(self, who: Requester) -> Iterator[Any]:
        yield ListedCloud(who.caller)

    @contextmanager
    def context(self, who: Requester) -> Iterator[RequestContext]:
        yield RequestContext(who.caller, Delegating())

    @property
    def keystone(self) -> str:
        return "http://keystone/v3"
