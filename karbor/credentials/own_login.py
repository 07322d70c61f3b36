"""Own login: the user's clouds.yaml entry (or OS_* variables), as everybody in OpenStack has it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import openstack.config
from keystoneauth1 import exceptions as ksa
from keystoneauth1.identity import generic, v3
from keystoneauth1.identity.base import BaseIdentityPlugin
from openstack.config.cloud_region import CloudRegion
from openstack.exceptions import ConfigException

from karbor.credentials.endpoint_settings import EndpointSettings
from karbor.credentials.refusals import login_refused
from karbor.credentials.renewing_login import RenewingLogin
from karbor.domain.errors import LoginFailed, UnknownName


@dataclass(frozen=True)
class OwnLogin:
    """How a user logs in, read but not yet tried. `renews` is False when the login itself is a
    token, which ends."""

    cloud: str
    auth: RenewingLogin
    endpoint_settings: EndpointSettings
    renews: bool


def read_own_login(cloud: str | None, clock: Callable[[], float] = time.time) -> OwnLogin:
    """Return the entry of this name; None: OS_CLOUD, the OS_* variables, or the only entry there
    is.

    Raises UnknownName, and LoginFailed when the entry lacks something. Asks nobody.
    """
    try:
        with warnings.catch_warnings():
            # It warns of its own metrics (InfluxDB), which nobody asked for.
            warnings.simplefilter("ignore", PendingDeprecationWarning)
            config = openstack.config.OpenStackConfig()
            region = config.get_one(cloud=cloud or None)
    except ConfigException as error:
        if cloud and cloud not in config.get_cloud_names():
            known = ", ".join(sorted(set(config.get_cloud_names()) - {"defaults"})) or "no clouds"
            raise UnknownName(f"no cloud is called {cloud}",
                              remedy=f"clouds.yaml has: {known}") from error
        raise LoginFailed(f"the cloud {cloud or 'of the environment'} cannot be used: "
                          f"{_line(error)}") from error
    except ksa.ClientException as error:
        raise LoginFailed(f"the login of {_named(cloud)} is incomplete: {_line(error)}",
                          remedy="name a cloud of clouds.yaml with --os-cloud or OS_CLOUD"
                          if not cloud else "complete the entry in clouds.yaml") from error
    name = cloud or region.name
    inner = region.get_auth()
    if not isinstance(inner, BaseIdentityPlugin):
        raise LoginFailed(f"the auth_type {region.config.get('auth_type')} of {_named(name)} logs "
                          "nobody in", remedy="use password or an application credential")
    auth = RenewingLogin(inner, clock=clock, explain=lambda error: login_refused(
        error, who=_named(name), auth_url=inner.auth_url,
        remedy="check user name, password, project and domains in clouds.yaml"))
    return OwnLogin(
        name, auth, _endpoint_settings(region), not isinstance(inner, generic.Token | v3.Token)
    )


def _endpoint_settings(region: CloudRegion) -> EndpointSettings:
    verify, cert = region.get_requests_verify_args()
    endpoints = {}
    for key, value in region.config.items():
        if key.endswith("_endpoint_override") and value:
            endpoints[key.removesuffix("_endpoint_override").replace("_", "-")] = str(value)
    return EndpointSettings(
        region.region_name or None,
        _interface(region),
        True if verify is None else verify,
        cert,
        endpoints,
    )


def _interface(region: CloudRegion) -> str:
    wanted = region.get_interface()
    name = wanted[0] if isinstance(wanted, list) and wanted else wanted
    return str(name or "public").removesuffix("URL")


def _named(cloud: str | None) -> str:
    return f"cloud {cloud}" if cloud else "the environment (OS_*)"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
