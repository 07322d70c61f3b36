"""OpenStackCloud: the cloud as one caller sees it, for the length of an operation."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from karbor.clients import kubernetes
from karbor.clients.api import ServiceApi
from karbor.clients.factory import ClientFactory
from karbor.clients.kubernetes import ClusterSession
from karbor.clients.microversion import Microversions
from karbor.clients.service import Service
from karbor.clients.services import KNOWN, LOOKED
from karbor.clients.status_poller import StatusPoller
from karbor.clients.status_pollers import StatusPollers
from karbor.credentials.authority import Authority, Login
from karbor.credentials.credential import Credential
from karbor.domain.caller import Caller
from karbor.domain.errors import BadInput, KarborError
from karbor.plugin.cloud import Json


class Shared:
    """What the clouds of one process learn for each other: versions, and how things stand."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.microversions = Microversions()
        self.pollers = StatusPollers(clock)


class OpenStackCloud:
    """Implements `karbor.plugin.cloud.Cloud`; the contract stands there.

    Opened once per operation and closed at its end. `requests` counts what was sent, by
    (service, method).
    """

    def __init__(self, authority: Authority, login: Login, shared: Shared | None = None, *,
                 wait: Callable[[float], None] = time.sleep) -> None:
        self._conf = authority.conf
        self._adapter = authority.adapter
        self._login = login
        self._shared = shared or Shared()
        self._wait = wait
        self.factory = ClientFactory(authority.conf, login)
        self._cluster: ClusterSession | None = None
        self._apis: dict[str, ServiceApi] = {}
        self._asked: dict[str, Json] = {}
        self._lock = threading.Lock()
        endpoint_settings = login.credential.endpoint_settings
        self._whose = (login.auth_url, login.caller.user_id,
                       login.caller.project_id, endpoint_settings.region_name or "")

    @property
    def login(self) -> Login:
        return self._login

    @property
    def ended(self) -> KarborError | None:
        """The reason why nothing more should be begun with this cloud: its credential has come to
        its end. None while it has not."""
        return self._login.ended

    @property
    def caller(self) -> Caller:
        return self._login.caller

    @property
    def credential(self) -> Credential:
        return self._login.credential

    @property
    def user_id(self) -> str:
        return self._login.caller.user_id

    @property
    def project_id(self) -> str:
        return self._login.caller.project_id

    @property
    def project_name(self) -> str:
        return self._login.caller.project_name

    @property
    def requests(self) -> Mapping[tuple[str, str], int]:
        counted = Counter(self._login.session.transport.counted)
        if self._cluster is not None:
            counted.update(self._cluster.transport.counted)
        return dict(counted)

    def api(self, service: str) -> ServiceApi:
        with self._lock:
            if service not in self._apis:
                known, address, session = (
                    self._of_cluster() if service == kubernetes.NAME else
                    (self.factory.known(service), self.factory.endpoint(service),
                     self._login.session))
                self._apis[service] = ServiceApi(
                    known, address, session, self._conf,
                    self._shared.microversions, wait=self._wait,
                    answered=lambda ids, request: self._asked.update(
                        dict.fromkeys(ids, request)),
                    wrote=lambda ids, removed: self._shared.pollers.touched(
                        self._whose, ids, deleted=removed))
            return self._apis[service]

    def _of_cluster(self) -> tuple[Service, str, ClusterSession]:
        address = kubernetes.address(self._conf, self.project_id)
        if self._cluster is None:
            self._cluster = ClusterSession(self._conf, self._adapter)
            self._cluster.transport.name(address, kubernetes.NAME)
        return kubernetes.KUBERNETES, address, self._cluster

    def has(self, service: str) -> bool:
        if service == kubernetes.NAME:
            return kubernetes.serves(self._conf, self.project_id)
        return service in KNOWN and self.factory.has(service)

    def client(self, service: str) -> Any:
        return self.factory.client(service)

    def look(self, kind: str, id: str) -> Json | None:
        service, _ = _kind(kind)
        return self._poller(kind).look(id, self.api(service))

    def asked(self, id: str) -> Json:
        return self._asked.get(id, {})

    def ensure_credential(self, seconds: float) -> float | None:
        return self._login.ensure(seconds)

    def interval(self, kind: str) -> float:
        return self._poller(kind).interval

    def first_poll_delay(self, kind: str) -> float:
        return self._poller(kind).first_poll_delay()

    def _poller(self, kind: str) -> StatusPoller:
        _, looked = _kind(kind)
        return self._shared.pollers.of(self._whose, kind, looked, self.project_id)

    def close(self) -> None:
        """Give up the connections and everything that holds the credential."""
        self.factory.close()
        if self._cluster is not None:
            self._cluster.close()
        self._login.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


def _kind(kind: str) -> tuple[str, Any]:
    if kind not in LOOKED:
        raise BadInput(f"nothing is known of how to look at a {kind}",
                       remedy="kinds: " + ", ".join(sorted(LOOKED)))
    service, looked = LOOKED[kind]
    return service.name, looked
