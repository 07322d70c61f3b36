"""ClientFactory: ready clients by the name of a service, all on the operation's session."""

from __future__ import annotations

import threading
from typing import Any

import openstack.connection
from openstack.proxy import Proxy

from karbor.clients.endpoints import Endpoints
from karbor.clients.service import Service
from karbor.clients.services import KNOWN
from karbor.config import ConfigOpts
from karbor.credentials.authority import Login
from karbor.credentials.session import OperationSession
from karbor.domain.errors import CloudError


class ClientFactory:
    """Clients of openstacksdk by service name, and what native clients need.

    Each is made once and good until the credential's end: tokens are renewed below it. A native
    client is built like `cinderclient.client.Client("3", session=factory.session,
    endpoint_override=factory.endpoint("cinder"))`.
    """

    def __init__(self, conf: ConfigOpts, login: Login) -> None:
        self._login = login
        self._endpoints = Endpoints(conf, login)
        self._connection: openstack.connection.Connection | None = None
        self._proxies: dict[str, Any] = {}
        self._lock = threading.Lock()

    @property
    def session(self) -> OperationSession:
        """keystoneauth's session of the operation, with user and service token in it."""
        return self._login.session

    def known(self, service: str) -> Service:
        """Return Karbor's description of a service. Raises CloudError for a name that it has none
        of."""
        if service not in KNOWN:
            raise CloudError(f"Karbor knows no service called {service}",
                             remedy="services: " + ", ".join(KNOWN))
        return KNOWN[service]

    def endpoint(self, service: str) -> str:
        """Return the address of the service, with the version; the same for the whole operation.
        Raises CloudError."""
        return self._endpoints.of(self.known(service))

    def has(self, service: str) -> bool:
        return self._endpoints.has(self.known(service))

    def client(self, service: str) -> Any:
        """Return openstacksdk's proxy of the service. Raises CloudError when there is no such
        service (the SDK itself would hand out something that fails at its first use)."""
        known = self.known(service)
        endpoint = self.endpoint(service)
        with self._lock:    # the SDK makes one proxy per thread that comes at the same time
            if service not in self._proxies:
                if self._connection is None:
                    self._connection = openstack.connection.Connection(
                        session=self.session,
                        region_name=self._login.credential.endpoint_settings.region_name,
                        app_name="karbor")
                config = self._connection.config.config
                # With both the SDK asks nobody; with the address alone it fails for Glance, whose
                # versioned address describes nothing.
                config[f"{known.sdk}_endpoint_override"] = endpoint
                config[f"{known.sdk}_api_version"] = known.version_path[2]
                self._proxies[service] = getattr(self._connection, known.sdk)
            return self._proxies[service]

    def close(self) -> None:
        """Let go of the clients. The SDK keeps the last 256 proxies, with their sessions and
        tokens, in a cache of its own: that is emptied."""
        with self._lock:
            self._proxies.clear()
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
            clear = getattr(Proxy._extract_name, "cache_clear", None)
            if clear is not None:
                clear()
