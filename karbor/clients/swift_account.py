"""[swift_client]: whose account in Swift a bank uses, in Karbor 1.x's words or keystoneauth's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from oslo_config.types import Boolean

from karbor.clients.api import ServiceApi
from karbor.clients.cloud import OpenStackCloud
from karbor.clients.swift_container import SwiftContainer
from karbor.credentials.authority import Authority
from karbor.credentials.endpoint_settings import EndpointSettings
from karbor.credentials.operator_account import OperatorAccount, auth_options
from karbor.domain.errors import BadInput

SECTION = "swift_client"

_OLD = {"swift_auth_url": "auth_url", "swift_user": "username", "swift_key": "password",
        "swift_tenant_name": "project_name", "swift_user_domain_name": "user_domain_name",
        "swift_project_domain_name": "project_domain_name"}
_PLACE = frozenset({"swift_endpoint", "swift_catalog_info", "swift_ca_cert_file",
                    "swift_auth_insecure", "endpoint_override", "interface", "region_name",
                    "cafile", "insecure", "certfile", "keyfile"})
_WITHOUT_MEANING = frozenset({"swift_auth_version", "swift_retry_attempts", "swift_retry_backoff"})
"""Accepted, because files of Karbor 1.x have them: how often something is repeated stands in
[http], and Keystone's version is found out."""


class SwiftAccount:
    """Opens containers of the account that a section names; all of them share one login, made at
    the first use. Raises BadInput for options that make no sense."""

    def __init__(self, authority: Callable[[], Authority], options: Mapping[str, str]) -> None:
        self._authority = authority
        self._account = account_of(options)
        self._cloud: OpenStackCloud | None = None
        self._connecting = threading.Lock()

    def __call__(self, container: str) -> SwiftContainer:
        return SwiftContainer(self._api, container)

    def _api(self) -> ServiceApi:
        with self._connecting:
            if self._cloud is None:
                authority = self._authority()
                self._cloud = OpenStackCloud(authority, self._account.log_in(authority))
            return self._cloud.api("swift")

    def close(self) -> None:
        if self._cloud is not None:
            self._cloud.close()


def account_of(options: Mapping[str, str]) -> OperatorAccount:
    """Return the account that a provider's file names, else that of [service_user]. Raises
    BadInput, ServiceUserUnfit."""
    given = {name: value for name, value in options.items()
             if value and name not in _WITHOUT_MEANING}
    if (version := options.get("swift_auth_version", "3").strip()) not in ("2", "3", "2.0", "3.0"):
        raise BadInput(f"[{SECTION}] swift_auth_version {version}: only Keystone is supported")
    if "auth_section" in options:
        raise BadInput(f"[{SECTION}] auth_section: name the account here")
    endpoint_settings = _endpoint_settings({name: given.pop(name) for name in _PLACE & set(given)})
    auth = {_OLD.get(name, name): value for name, value in given.items()}
    if auth and "auth_type" not in auth:
        if not any(name in given for name in _OLD):
            raise BadInput(f"[{SECTION}] says no auth_type, so {sorted(auth)[0]} would not be used",
                           remedy="add auth_type = password, or another type of keystoneauth")
        auth = {"user_domain_name": "Default", "project_domain_name": "Default", **auth,
                "auth_type": "password"}
        # Karbor 1.x was configured with a version that Keystone no longer has.
        auth["auth_url"] = auth.get("auth_url", "").replace("/v2.0", "/v3")
    if auth and (unknown := sorted(set(auth) - auth_options(auth["auth_type"]) - {"auth_type"})):
        raise BadInput(f"[{SECTION}] has an unknown option {unknown[0]}",
                       remedy="options of keystoneauth, or: " + ", ".join(sorted(_OLD)))
    return OperatorAccount(SECTION, auth, endpoint_settings)


def _endpoint_settings(given: Mapping[str, str]) -> EndpointSettings:
    catalog = given.get("swift_catalog_info", "").split(":")
    interface = given.get("interface") or (catalog[2].removesuffix("URL") if len(catalog) > 2
                                           else "public")
    endpoint = given.get("endpoint_override") or given.get("swift_endpoint")
    insecure = given.get("insecure") or given.get("swift_auth_insecure") or "false"
    try:
        unverified = bool(Boolean()(insecure))
    except ValueError as error:
        raise BadInput(f"[{SECTION}] insecure is true or false, not {insecure}") from error
    authority = given.get("cafile") or given.get("swift_ca_cert_file")
    certificate, key = given.get("certfile"), given.get("keyfile")
    return EndpointSettings(
        region_name=given.get("region_name"), interface=interface,
        verify=False if unverified else authority or True,
        cert=(certificate, key) if certificate and key else certificate,
        endpoints={"object-store": endpoint} if endpoint else {})
