"""Dependencies: everything that the resources of the API use, put together in `karbor.cmd`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from karbor.api.event_stream import StreamLimiter
from karbor.application.checkpoints import CheckpointRequests
from karbor.application.copies import CheckpointCopies
from karbor.application.schedules import Schedules
from karbor.domain.service import ServiceProcess
from karbor.providers.schemas import EnabledProviders
from karbor.store.operation_pages import OperationPages
from karbor.store.operations import Operations
from karbor.store.plans import Plans
from karbor.store.quotas import Quotas
from karbor.store.services import Services

Counter = Callable[[str], int]
"""Project id → how many of one kind it has."""


@dataclass(frozen=True)
class Dependencies:
    """`ping` raises a StoreError when the database does not answer; `counters` says for each kind
    of `karbor.domain.quota` how many a project has; `most_resources` how many a plan may name."""

    ping: Callable[[], None]
    plans: Plans
    providers: EnabledProviders
    checkpoints: CheckpointRequests
    copies: CheckpointCopies
    schedules: Schedules
    operations: OperationPages      # for whoever may see them, by pages
    records: Operations             # their steps and events
    quotas: Quotas
    counters: Mapping[str, Counter]
    services: Services
    service_down_time: Callable[[], float]
    service_processes: Callable[[], Sequence[ServiceProcess]]
    most_resources: Callable[[], int]
    streams: StreamLimiter = field(default_factory=lambda: StreamLimiter(4))
    clock: Callable[[], float] = time.time
