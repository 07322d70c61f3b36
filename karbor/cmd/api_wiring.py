"""API wiring: the service as the resources of the REST API want it."""

from __future__ import annotations

from karbor.api.dependencies import Dependencies
from karbor.api.event_stream import StreamLimiter
from karbor.application.checkpoints import CheckpointRequests, Wake
from karbor.application.copies import CheckpointCopies
from karbor.application.schedules import Schedules
from karbor.application.service_context import ServiceContext
from karbor.application.service_processes import ServiceProcesses
from karbor.domain.quota import CHECKPOINTS, PLANS
from karbor.providers.schemas import EnabledProviders
from karbor.store.connect import ping
from karbor.store.services import Services

STREAMS = 4     # streams of events that are open at once, where the server of HTTP is not ours


def wire(
    service: ServiceContext, wake_up: Wake, streams: StreamLimiter | None = None
) -> Dependencies:
    requests = CheckpointRequests(service, wake_up)
    return Dependencies(
        ping=lambda: ping(service.database),
        plans=service.plans,
        providers=EnabledProviders(service.providers),
        checkpoints=requests,
        copies=CheckpointCopies(service, requests),
        schedules=Schedules(service, requests, wake_up),
        operations=service.operations,
        records=service.records,
        quotas=service.quotas,
        counters={PLANS: service.plans.count, CHECKPOINTS: service.checkpoints.count},
        services=Services(service.database),
        service_processes=ServiceProcesses(service.conf, service.database).all,
        service_down_time=lambda: float(service.conf.service_down_time),
        most_resources=lambda: int(service.conf.osapi_max_plan_resources),
        streams=streams or StreamLimiter(STREAMS),
    )
