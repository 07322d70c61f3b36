"""CloudProbe: the cloud as the doctor asks it, with exactly the tokens it wants to ask with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from karbor.clients.probe_requests import CHEAP, OTHERS
from karbor.clients.service import Service
from karbor.clients.services import KNOWN
from karbor.config import ConfigOpts
from karbor.credentials.keystone_probe import KeystoneProbe
from karbor.credentials.seal import Seal
from karbor.credentials.trust_probe import TrustProbe
from karbor.plugin.token_probe import Account, Address, Answer, Served, Speaker, Trial


class CloudProbe:
    """Implements `karbor.plugin.token_probe.TokenProbe`; the contract stands there."""

    def __init__(self, conf: ConfigOpts, cloud: str | None, seal: Seal) -> None:
        self._conf = conf
        self._keystone = KeystoneProbe(conf, cloud, seal)
        self._trusts = TrustProbe(self._keystone)
        self._endpoint_settings = self._keystone.own.endpoint_settings

    @property
    def auth_url(self) -> str:
        return self._keystone.auth_url

    @property
    def verified(self) -> bool:
        """Whether the certificates of services are verified."""
        return self._endpoint_settings.verify is not False

    def user(self) -> Account:
        return self._keystone.user()

    def service(self) -> Account:
        return self._keystone.service()

    def trustee_unfit(self) -> str:
        return self._trusts.unfit()

    # ------------------------------------------------------------------ where
    def addresses(self) -> list[Address]:
        return [Address(entry.get("type", ""), entry.get("name", ""),
                        endpoint.get("region_id") or endpoint.get("region") or "",
                        endpoint.get("interface", ""), str(endpoint["url"]),
                        self._used(entry.get("type", ""), endpoint))
                for entry in self._catalog() for endpoint in entry.get("endpoints", ())]

    def services(self) -> list[Served]:
        found: dict[str, Served] = {}
        for service in KNOWN.values():
            url = self._override(service)
            if url:
                served = self._known(service, service.types[0], url)
                found[served.url] = served
        taken = {one.name for one in found.values()}
        # A catalog has no order, and often the same service under its old name too.
        for address in sorted(self.addresses(), key=lambda one: _preference(one.type, self._conf)):
            if not address.used or address.type == "identity":
                continue
            known = _of_type(address.type, self._conf)
            if known is None:
                path = OTHERS.get(address.type)
                url = _filled(address.url.rstrip("/"), self._project)
                served = Served(
                    address.type,
                    address.name or address.type,
                    url,
                    url + (path or "/"),
                    sure=path is not None,
                )
            elif known.name in taken:
                continue
            else:
                served = self._known(known, address.type, address.url)
            found.setdefault(served.url, served)
        return sorted(found.values(), key=lambda one: one.type)

    def _known(self, service: Service, type: str, url: str) -> Served:
        address = _filled(service.address(url), self._project)
        return Served(type, service.name, address, address + CHEAP[service.name])

    @property
    def _project(self) -> str:
        return str(self._keystone.access.project_id)

    def _catalog(self) -> Sequence[Mapping[str, Any]]:
        access = self._keystone.access
        return list(access.service_catalog.catalog) if access.has_service_catalog() else []

    def _used(self, type: str, endpoint: Mapping[str, Any]) -> bool:
        known = _of_type(type, self._conf)
        section = self._conf[known.name] if known else None
        interface = (section and section.interface) or self._endpoint_settings.interface
        region = (section and section.region_name) or self._endpoint_settings.region_name
        return endpoint.get("interface") == interface and (
            region is None or region in (endpoint.get("region_id"), endpoint.get("region")))

    def _override(self, service: Service) -> str | None:
        given = self._conf[service.name].endpoint_override
        return (
            str(given)
            if given
            else next(
                (
                    self._endpoint_settings.endpoints[one]
                    for one in service.types
                    if one in self._endpoint_settings.endpoints
                ),
                None,
            )
        )

    # ------------------------------------------------------------------ asking
    def ask(self, url: str, speaker: Speaker, method: str = "GET", *, json: Any = None,
            data: bytes | None = None, version: str = "") -> Answer:
        headers = self._bearing(speaker)
        if version:
            headers["OpenStack-API-Version"] = version
        if data is not None:
            headers["Content-Type"] = "application/octet-stream"
        return self._keystone.asker.send(method, quote(url, safe="/%?:@!$&'()*+,;=~"), headers,
                                         json=json, data=data)

    def _bearing(self, speaker: Speaker) -> dict[str, str]:
        keystone = self._keystone
        headers = {}
        if speaker in (Speaker.USER, Speaker.USER_AND_SERVICE):
            headers["X-Auth-Token"] = keystone.user_token()
        elif speaker is not Speaker.NOBODY:
            headers["X-Auth-Token"] = keystone.probe_token_token()
        if speaker in (Speaker.USER_AND_SERVICE, Speaker.PROBE_AND_SERVICE):
            headers["X-Service-Token"] = keystone.service_token()
        elif speaker is Speaker.PROBE_AND_DOUBTFUL:
            headers["X-Service-Token"] = keystone.user_token()
        return headers

    # ------------------------------------------------------------------ Keystone
    def renew(self) -> None:
        self._keystone.renew()

    def validate(self, *, allow_expired: bool, fresh: bool = False) -> Answer:
        return self._keystone.validate(allow_expired=allow_expired, fresh=fresh)

    def take_probe_token(self) -> float:
        return self._keystone.take_probe_token()

    def make_probe_token(self, name: str, life: float) -> float:
        return self._keystone.make_probe_token(name, life)

    def drop_probe_token(self, name: str) -> Answer:
        return self._keystone.drop_probe_token(name)

    def lay_aside(self) -> tuple[str, float]:
        return self._keystone.lay_aside()

    def validate_sealed(self, sealed: str) -> Answer:
        return self._keystone.validate_sealed(sealed)

    def try_trust(self, roles: Sequence[str], expires_at: float, question: str) -> Trial:
        return self._trusts.try_one(roles, expires_at, question)

    def try_registered(self, id: str, sealed: str) -> Answer:
        return self._keystone.try_registered(id, sealed)

    def drop_trust(self, expires_at: float) -> Answer:
        return self._trusts.drop(expires_at)

    def close(self) -> None:
        """Give up the connections and the tokens."""
        self._keystone.close()


def _of_type(type: str, conf: ConfigOpts) -> Service | None:
    for service in KNOWN.values():
        own = conf[service.name].service_type
        if type == own or (not own and type in service.types):
            return service
    return None


def _preference(type: str, conf: ConfigOpts) -> int:
    """Return the place of a type among the names that its service has in catalogs; 0: the first."""
    known = _of_type(type, conf)
    return known.types.index(type) if known and type in known.types else 0


def _filled(url: str, project: str) -> str:
    return re.sub(r"[%$]\((project|tenant)_id\)s", project, url)


