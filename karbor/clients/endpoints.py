"""Endpoints: where a service answers, resolved once per project and service.

Looking an address up in a large catalog costs milliseconds, and discovery a request; both would
be paid for every single request if left to the client libraries.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

from karbor.clients.service import Service
from karbor.config import ConfigOpts
from karbor.credentials.authority import Login
from karbor.domain.errors import CloudError, ServiceAbsent


class Endpoints:
    """The addresses of one login's cloud. In this order: the operator's `endpoint_override`, the
    one in clouds.yaml, the catalog by type, interface and region."""

    def __init__(self, conf: ConfigOpts, login: Login) -> None:
        self._conf = conf
        self._login = login
        self._endpoint_settings = login.credential.endpoint_settings
        self._catalog: list[Mapping[str, Any]] | None = None
        self._found: dict[str, str] = {}
        self._lock = threading.Lock()

    def of(self, service: Service) -> str:
        """Return the address, with its version. Raises ServiceAbsent when the catalog has no
        such service (or none in the region of the login), CloudError when it has one that cannot
        be used as configured; which types, interfaces or regions there are stands in the
        message."""
        with self._lock:
            if service.name not in self._found:
                raw = self._override(service) or self._from_catalog(service)
                address = service.address(raw).replace(
                    "%(project_id)s", self._login.caller.project_id).replace(
                    "$(project_id)s", self._login.caller.project_id)
                self._login.session.transport.name(address, service.name)
                self._found[service.name] = address
            return self._found[service.name]

    def has(self, service: Service) -> bool:
        """Return whether there is such a service, be it one that cannot be used as configured:
        whoever asks that one is told why, and must not take it for a cloud without. Raises
        CloudError when there is neither an override nor any catalog to look into."""
        with self._lock:
            if service.name not in self._found and not self._override(service):
                self._entries()
        try:
            self.of(service)
        except ServiceAbsent:
            return False
        except CloudError:
            return True
        return True

    def _override(self, service: Service) -> str | None:
        given = self._conf[service.name].endpoint_override
        if given:
            return str(given)
        return next((self._endpoint_settings.endpoints[one] for one in service.types
                     if one in self._endpoint_settings.endpoints), None)

    def _from_catalog(self, service: Service) -> str:
        section = self._conf[service.name]
        types = (section.service_type,) if section.service_type else service.types
        interface = section.interface or self._endpoint_settings.interface
        region = section.region_name or self._endpoint_settings.region_name
        offered = [one for wanted in types for one in self._entries() if one.get("type") == wanted]
        if not offered:
            raise ServiceAbsent(
                f"this cloud has no {service.name}", service=service.name,
                remedy=f"its catalog has none of the types {', '.join(types)}; an address can be "
                       f"configured as [{service.name}] endpoint_override")
        for address in _addresses(offered, interface, region):
            return address
        there = sorted(
            {
                f"{endpoint.get('interface')} in "
                f"{endpoint.get('region_id') or endpoint.get('region')}"
                for entry in offered
                for endpoint in entry.get("endpoints", ())
            }
        )
        elsewhere = (region is not None and not section.region_name
                     and not any(_in_region(endpoint, region) for entry in offered
                                 for endpoint in entry.get("endpoints", ())))
        raise (ServiceAbsent if elsewhere else CloudError)(
            f"{service.name} has no {interface} address in the region {region or '(any)'}",
            service=service.name, remedy="the catalog has: " + (", ".join(there) or "no address"))

    def _entries(self) -> list[Mapping[str, Any]]:
        if self._catalog is None:
            access = self._login.access
            entries = access.service_catalog.catalog if access.has_service_catalog() else ()
            if not entries:
                raise CloudError("the token came without a catalog of services",
                                 remedy="configure endpoint_override for each service")
            self._catalog = list(entries)
        return self._catalog


def _addresses(entries: list[Mapping[str, Any]], interface: str, region: str | None
               ) -> Iterator[str]:
    for entry in entries:
        for endpoint in entry.get("endpoints", ()):
            if endpoint.get("interface") == interface and _in_region(endpoint, region):
                yield str(endpoint["url"])


def _in_region(endpoint: Mapping[str, Any], region: str | None) -> bool:
    return region is None or region in (endpoint.get("region_id"), endpoint.get("region"))
