"""Connect: from a credential to a cloud."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from karbor import config
from karbor.clients.cloud import OpenStackCloud, Shared
from karbor.credentials.authority import Authority
from karbor.credentials.delegation import Delegator, Lookup
from karbor.credentials.endpoint_settings import EndpointSettings
from karbor.credentials.schedule_delegation import ScheduleDelegator


class Connector:
    """One per process: opens clouds that share what they learn.

    `log_in` at the acceptance of an operation, `resume` with what the operation kept, in any
    process. Close each cloud when its operation is over.
    """

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self._shared = Shared()

    def log_in(self, cloud: str | None) -> OpenStackCloud:
        """Log in as clouds.yaml says. Raises UnknownName, LoginFailed, KeystoneUnreachable,
        ServiceUserUnfit, CredentialError; nothing has been touched then."""
        return OpenStackCloud(self.authority, self.authority.represent(cloud), self._shared)

    def admit(
        self, token: str, body: Mapping[str, Any], endpoint_settings: EndpointSettings
    ) -> OpenStackCloud:
        """Return the cloud as it is for whoever sent a request with this (validated) token; see
        `Authority.admit`."""
        return OpenStackCloud(self.authority, self.authority.admit(token, body, endpoint_settings),
                              self._shared)

    def resume(self, credential: Mapping[str, Any], *, live: OpenStackCloud | None = None,
               changed: Callable[[Mapping[str, Any], str], None] = lambda _credential, _why: None,
               ) -> OpenStackCloud:
        """Return the cloud as it is for the caller of an accepted operation, as
        `Operation.credential` says. `changed` hears when the operation changes to another
        credential, and why; `live` is a login of the same caller, if there is one here. Raises the
        same as `log_in`, and TokenRejected."""
        login = self.authority.resume(
            credential, live=live.login if live else None,
            changed=lambda after, why: changed(after.to_dict(), why))
        return OpenStackCloud(self.authority, login, self._shared)

    def delegation(self, cloud: OpenStackCloud, registered: Lookup) -> Delegator:
        """Return what the caller of a live login can pass on to an operation."""
        return Delegator(self.authority, cloud.login, registered)

    def schedule_delegation(self, cloud: OpenStackCloud, registered: Lookup, life: float
                            ) -> ScheduleDelegator:
        """Return what the caller of a live login can pass on to a schedule, for `life` seconds."""
        return ScheduleDelegator(self.authority, cloud.login, registered, life)


def connect(cloud: str | None = None, conf: config.ConfigOpts | None = None) -> OpenStackCloud:
    """Log in with the usual configuration, or with this one: the short way, for scripts and
    tests."""
    return Connector(Authority(conf if conf is not None else config.load())).log_in(cloud)
