"""Service: what the API, the schedules and the workers of one process have in common."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from karbor import config
from karbor.application.admission import Admission
from karbor.application.checkpoint_sync import CheckpointSync
from karbor.application.clouds import Clouds
from karbor.application.login_project_cache import LoginProjectCache
from karbor.application.requests import RequestContext
from karbor.domain.caller import Caller
from karbor.domain.operation import Operation
from karbor.operations.execution_context import ExecutionContext, Provider
from karbor.plugin import registry
from karbor.plugin.protectable import Protectable
from karbor.providers.catalog import ProviderCatalog
from karbor.store.application_credentials import ApplicationCredentials
from karbor.store.checkpoints import CheckpointRecords
from karbor.store.operation_pages import OperationPages
from karbor.store.operations import Operations
from karbor.store.plans import Plans
from karbor.store.quotas import Quotas

if TYPE_CHECKING:
    from karbor.clients.cloud import OpenStackCloud
    from karbor.clients.connect import Connector
    from karbor.credentials.authority import Authority
    from karbor.credentials.endpoint_settings import EndpointSettings
    from karbor.plugin.delegation import Delegation


@dataclass(frozen=True)
class Requester:
    """Who sent a request: the token, and what Keystone said of it when it was validated
    (`token_body`: {"token": {…}}). Both appear in no repr, and are not to be logged."""

    caller: Caller
    token: str = field(repr=False)
    token_body: Mapping[str, Any] = field(repr=False)


class ServiceContext:
    """`database` is open and up to date. Everything that speaks to a cloud is made at its first
    use. Safe for threads."""

    def __init__(self, conf: config.ConfigOpts, database: Any) -> None:
        self.conf = conf
        self.database = database
        self.quotas = Quotas(database, {"plans": conf.quota_plans,
                                        "checkpoints": conf.quota_checkpoints})
        self.plans = Plans(database, self.quotas)
        self.checkpoints = CheckpointRecords(database, self.quotas)
        self.records = Operations(database)
        self.operations = OperationPages(database)
        self.registrations = ApplicationCredentials(database)
        self.clouds = Clouds(conf, None, LoginProjectCache(config.state_path(conf) / "logins.json"),
                             database, unattended=True)
        self.providers = ProviderCatalog(conf, lambda: self.authority)
        self.bank_records = CheckpointSync(self.checkpoints)

    # ------------------------------------------------------------------ the cloud
    @property
    def connector(self) -> Connector:
        return self.clouds.connector

    @property
    def authority(self) -> Authority:
        """The one of this process."""
        return self.clouds.authority

    def service_token_ends(self) -> float | None:
        """See `Authority.service_token_ends`; asks nobody."""
        # else it would be made for the question alone
        return self.authority.service_token_ends if self.clouds.connected else None

    @property
    def keystone(self) -> str:
        """The address of the cloud that the service works in. Raises ServiceUserUnfit,
        KeystoneUnreachable."""
        return str(self.authority.service().auth_url or "")

    @cached_property
    def endpoint_settings(self) -> EndpointSettings:
        """Where in the cloud the service works, as its operator says."""
        from karbor.credentials.endpoint_settings import EndpointSettings  # noqa: PLC0415

        section = self.conf.service_user
        cert = section.certfile
        return EndpointSettings(
            region_name=self.conf.region_name, interface=self.conf.interface,
            verify=False if section.insecure else section.cafile or True,
            cert=(cert, section.keyfile) if section.keyfile else cert)

    @contextmanager
    def admitted(self, who: Requester) -> Iterator[OpenStackCloud]:
        """The cloud as the requester sees it, for the length of a request. Raises
        ServiceUserUnfit, KeystoneUnreachable."""
        cloud = self.connector.admit(who.token, who.token_body, self.endpoint_settings)
        try:
            yield cloud
        finally:
            cloud.close()

    @contextmanager
    def context(self, who: Requester) -> Iterator[RequestContext]:
        """The requester with what they can pass on to an operation; nobody looks at the cloud for
        them before it is planned."""
        with self.admitted(who) as cloud:
            yield RequestContext(
                cloud.caller, self.connector.delegation(cloud, self.registrations.of))

    @contextmanager
    def schedule_delegation(self, who: Requester, life: float) -> Iterator[Delegation]:
        """What the requester can leave behind for what is done without them, for `life` seconds."""
        with self.admitted(who) as cloud:
            yield self.connector.schedule_delegation(cloud, self.registrations.of, life)

    # ------------------------------------------------------------------ operations
    @cached_property
    def protectables(self) -> Mapping[str, Protectable]:
        return registry.protectables()

    def admission(self, provider: Provider) -> Admission:
        """For drafting and accepting: it connects to nothing."""
        return Admission(ExecutionContext(provider, self.protectables, _unconnected, time.time,
                                          slowest_rate=self.conf.credentials.slowest_rate,
                                          providers=self.providers.of_id), self.records)

    def close(self) -> None:
        self.providers.close()
        self.clouds.close()
        self.database.dispose()


def _unconnected(operation: Operation) -> Any:
    raise RuntimeError(f"operation {operation.id} is accepted here, and driven elsewhere")
