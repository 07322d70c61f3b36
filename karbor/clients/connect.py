"""Connect: from a credential to a cloud."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from karbor import config
from karbor.clients.cloud import OpenStackCloud, Shared
from karbor.credentials.authority import Authority


class Connector:
    """One per process: opens clouds that share what they learn.

    `log_in` at the acceptance of an operation, `resume` with what the operation kept, in any
    process. Close each cloud when its operation is over.
    """

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self._shared = Shared()

    def log_in(self, cloud: str | None) -> OpenStackCloud:
        """As clouds.yaml says. Raises UnknownName, LoginFailed, KeystoneUnreachable,
        ServiceUserUnfit, CredentialError; nothing has been touched then."""
        return OpenStackCloud(self.authority, self.authority.represent(cloud), self._shared)

    def resume(self, credential: Mapping[str, Any]) -> OpenStackCloud:
        """As `Operation.credential` says. Raises the same, and TokenRejected."""
        return OpenStackCloud(self.authority, self.authority.resume(credential), self._shared)


def connect(cloud: str | None = None, conf: config.ConfigOpts | None = None) -> OpenStackCloud:
    """The short way, for scripts and tests: log in with the usual configuration."""
    return Connector(Authority(conf if conf is not None else config.load())).log_in(cloud)
