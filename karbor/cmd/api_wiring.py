"""API wiring: the service as the resources of the REST API want it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from karbor.api.dependencies import Dependencies
from karbor.api.event_stream import StreamLimiter
from karbor.api.v1.providers import ProviderFacts
from karbor.application.checkpoints import CheckpointRequests, Wake
from karbor.application.copies import CheckpointCopies
from karbor.application.schedules import Schedules
from karbor.application.service_context import ServiceContext
from karbor.application.service_processes import ServiceProcesses
from karbor.domain.errors import KarborError, NotFound, PluginFault
from karbor.domain.listing import Listing, Page
from karbor.domain.operation import Operation, Verb
from karbor.domain.quota import CHECKPOINTS, PLANS
from karbor.domain.step import Step
from karbor.providers.catalog import ProviderCatalog, ProviderInfo
from karbor.store.connect import ping
from karbor.store.operation_pages import Which
from karbor.store.operations import Event
from karbor.store.services import Services

STREAMS = 4     # streams of events that are open at once, where the server of HTTP is not ours

LOG = logging.getLogger(__name__)

_KINDS: Mapping[str, str] = {"options": Verb.PROTECT, "restore": Verb.RESTORE,
                             "verify": Verb.VERIFY, "saved_info": "saved_info"}


def wire(
    service: ServiceContext, wake_up: Wake, streams: StreamLimiter | None = None
) -> Dependencies:
    requests = CheckpointRequests(service, wake_up)
    shelf = ProviderReader(service)
    return Dependencies(
        ping=lambda: ping(service.database),
        plans=service.plans,
        provider_schemas=shelf,
        provider_reader=shelf,
        discovery=requests,
        checkpoint_service=requests,
        copy_service=CheckpointCopies(service, requests),
        restore_service=requests,
        verification_service=requests,
        schedules=Schedules(service, requests, wake_up),
        operation_reader=OperationReader(service),
        quotas=service.quotas,
        counters={PLANS: service.plans.count, CHECKPOINTS: service.checkpoints.count},
        services=Services(service.database),
        service_processes=ServiceProcesses(service.conf, service.database).all,
        service_down_time=lambda: float(service.conf.service_down_time),
        most_resources=lambda: int(service.conf.osapi_max_plan_resources),
        streams=streams or StreamLimiter(STREAMS),
    )


class ProviderReader:
    """Those that are enabled, with what their protections say of parameters."""

    def __init__(self, service: ServiceContext) -> None:
        self._service = service

    def all(self) -> Sequence[ProviderFacts]:
        providers = self._service.providers
        listed = sorted(
            (info for info in providers.list() if info.enabled), key=lambda info: info.id
        )
        return [ProviderFacts(info.id, info.name, info.description, _schemas(providers, info))
                for info in listed]

    def options(self, provider_id: str) -> Mapping[str, Mapping[str, Any]]:
        """Resource type → JSON Schema of what a protect takes. Raises NotFound."""
        for provider_facts in self.all():
            if provider_facts.id == provider_id:
                return provider_facts.schemas["options"]
        raise NotFound(f"Provider {provider_id} could not be found.")


def _schemas(providers: ProviderCatalog, listed: ProviderInfo
             ) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """A provider that cannot be opened is listed without options, and a protection whose schema is
    broken has none: neither takes the others away."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {kind: {} for kind in _KINDS}
    try:
        protections = providers.open(listed).protections
    except KarborError as error:
        LOG.warning("provider %s has no options: %s", listed.name, error)
        return found
    for kind, verb in _KINDS.items():
        for type, protection in protections.items():
            try:
                found[kind][type] = protection.options_schema(verb)
            except PluginFault as error:
                LOG.warning("provider %s: %s", listed.name, error)
    return found


class OperationReader:
    """Operations with their steps and events, for whoever may see them."""

    def __init__(self, service: ServiceContext) -> None:
        self._service = service

    def list(self, listing: Listing, which: Which) -> Page[Operation]:
        return self._service.operations.list(listing, which)

    def show(self, project_id: str | None, operation_id: str, verbs: Collection[Verb] = ()
             ) -> Operation:
        return self._service.operations.show(project_id, operation_id, verbs)

    def steps(self, operation: Operation) -> Sequence[Step]:
        return self._service.records.steps(operation.project_id, operation.id)

    def steps_of(self, operations: Sequence[Operation]) -> Mapping[str, Sequence[Step]]:
        return self._service.records.steps_of([operation.id for operation in operations])

    def events(self, operation: Operation) -> Sequence[Event]:
        return self._service.records.events(operation.project_id, operation.id)
