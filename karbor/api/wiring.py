"""Wiring: everything that the resources of the API need, put together in `karbor.cmd`.

Each resource says in a Protocol `Needs` which of these it uses; mypy holds both together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from karbor.api.event_stream import Places
from karbor.api.v1.checkpoints import CheckpointDesk
from karbor.api.v1.copies import CopyDesk
from karbor.api.v1.operation_shelf import OperationShelf
from karbor.api.v1.plans import PlanStore, ProviderSchemas
from karbor.api.v1.protectables import Discovery
from karbor.api.v1.providers import ProviderShelf
from karbor.api.v1.quotas import Counter, QuotaStore
from karbor.api.v1.restores import RestoreDesk
from karbor.api.v1.scheduled_operations import SchedulesShelf
from karbor.api.v1.services import ServiceStore
from karbor.api.v1.triggers import TriggerShelf
from karbor.api.v1.verifications import VerificationDesk
from karbor.domain.service import ServiceProcess


class ScheduleShelf(TriggerShelf, SchedulesShelf, Protocol):
    """Both sides of a schedule."""


@dataclass(frozen=True)
class Wiring:
    """`ping` raises a StoreError when the database does not answer; `counters` says for each kind
    of `karbor.domain.quota` how many a project has; `most_resources` how many a plan may name."""

    ping: Callable[[], None]
    plans: PlanStore
    provider_schemas: ProviderSchemas
    provider_shelf: ProviderShelf
    discovery: Discovery
    checkpoint_desk: CheckpointDesk
    copy_desk: CopyDesk
    restore_desk: RestoreDesk
    verification_desk: VerificationDesk
    schedules: ScheduleShelf
    operation_shelf: OperationShelf
    quotas: QuotaStore
    counters: Mapping[str, Counter]
    services: ServiceStore
    service_down_time: Callable[[], float]
    service_processes: Callable[[], Sequence[ServiceProcess]]
    most_resources: Callable[[], int]
    streams: Places = field(default_factory=lambda: Places(4))
    clock: Callable[[], float] = time.time
