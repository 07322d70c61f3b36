"""Wiring: everything that the resources of the API need, put together in `karbor.cmd`.

Each resource says in a Protocol `Needs` which of these it uses; mypy holds both together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from karbor.api.event_stream import StreamLimiter
from karbor.api.v1.checkpoints import CheckpointService
from karbor.api.v1.copies import CopyService
from karbor.api.v1.operation_reader import OperationReader
from karbor.api.v1.plans import PlanStore, ProviderSchemas
from karbor.api.v1.protectables import Discovery
from karbor.api.v1.providers import ProviderReader
from karbor.api.v1.quotas import Counter, QuotaStore
from karbor.api.v1.restores import RestoreService
from karbor.api.v1.scheduled_operations import ScheduledOperationService
from karbor.api.v1.services import ServiceStore
from karbor.api.v1.triggers import TriggerService
from karbor.api.v1.verifications import VerificationService
from karbor.domain.service import ServiceProcess


class ScheduleService(TriggerService, ScheduledOperationService, Protocol):
    """Both sides of a schedule."""


@dataclass(frozen=True)
class Dependencies:
    """`ping` raises a StoreError when the database does not answer; `counters` says for each kind
    of `karbor.domain.quota` how many a project has; `most_resources` how many a plan may name."""

    ping: Callable[[], None]
    plans: PlanStore
    provider_schemas: ProviderSchemas
    provider_reader: ProviderReader
    discovery: Discovery
    checkpoint_service: CheckpointService
    copy_service: CopyService
    restore_service: RestoreService
    verification_service: VerificationService
    schedules: ScheduleService
    operation_reader: OperationReader
    quotas: QuotaStore
    counters: Mapping[str, Counter]
    services: ServiceStore
    service_down_time: Callable[[], float]
    service_processes: Callable[[], Sequence[ServiceProcess]]
    most_resources: Callable[[], int]
    streams: StreamLimiter = field(default_factory=lambda: StreamLimiter(4))
    clock: Callable[[], float] = time.time
