"""Run: one operation in this process, with what its steps have in common."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from karbor.checkpoints.repository import CheckpointRepository
from karbor.domain.checkpoint import Checkpoint
from karbor.domain.operation import Operation, Verb
from karbor.domain.resource import Resource, ResourceGraph
from karbor.domain.step import Step
from karbor.operations import estimate
from karbor.operations.execution_context import ExecutionContext, Provider
from karbor.operations.parameters import parameters_of
from karbor.plugin.cloud import Cloud
from karbor.plugin.protection import Protection

LOOKUP_LIFE_SECONDS = 60.0      # then the cloud may have become another


@dataclass(frozen=True)
class Lookup:
    """What was looked up for a draft `at` a time (seconds since the epoch), and needs no second
    look when the operation is planned at once: the graph, in whose way nothing stood."""

    graph: ResourceGraph
    at: float


class Run:
    """Made once per process and operation. Safe for several threads."""

    def __init__(self, operation: Operation, setting: ExecutionContext,
                 lookup: Lookup | None = None) -> None:
        """`lookup`: what this process has looked up for the operation's draft."""
        fresh = lookup is not None and 0 <= setting.clock() - lookup.at <= LOOKUP_LIFE_SECONDS
        self.lookup = lookup if fresh else None
        self.operation = operation
        self.setting = setting
        self._lock = threading.Lock()
        self._cloud: Cloud | None = None
        self._checkpoint: Checkpoint | None = None

    @property
    def cloud(self) -> Cloud:
        """Connected at the first use: reading from a bank alone needs no cloud."""
        with self._lock:
            if self._cloud is None:
                self._cloud = self.setting.connect(self.operation)
            return self._cloud

    @cached_property
    def graph(self) -> ResourceGraph:
        return ResourceGraph.from_dict(self.operation.plan["graph"])

    @cached_property
    def checkpoints(self) -> CheckpointRepository:
        return CheckpointRepository(self.setting.provider.bank, self.operation.project_id)

    @cached_property
    def source(self) -> Provider:
        """The provider whose bank has the checkpoint that is read: another one for a copy."""
        if self.operation.verb is Verb.COPY:
            return self.setting.providers(self.operation.request["source_provider_id"])
        return self.setting.provider

    @cached_property
    def originals(self) -> CheckpointRepository:
        """Those of the source."""
        return CheckpointRepository(self.source.bank, self.operation.project_id)

    @property
    def original_id(self) -> str:
        operation = self.operation
        if operation.verb is Verb.COPY:
            return str(operation.request["source_id"])
        return operation.checkpoint_id

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint that the operation reads, as its bank tells it (read once): the one it
        works on, or the original of a copy."""
        with self._lock:
            if self._checkpoint is None:
                self._checkpoint = self.originals.show(self.original_id)
            return self._checkpoint

    def protection(self, resource: Resource) -> Protection:
        return self.setting.provider.protections[resource.type]

    def parameters(self, resource: Resource) -> dict[str, Any]:
        return parameters_of(self.operation, resource)

    def expected(self, step: Step, size: int | None) -> float:
        """Seconds that a service takes at most for moving `size` bytes (None: unknown), by what was
        expected of the operation."""
        limit = self.setting.limits.get(step.limit)
        return estimate.part(self.operation, size, self.setting.slowest_rate,
                             side_by_side=limit.project if limit else 1)

    def kept(self, stage: str, resource: Resource) -> Mapping[str, Any]:
        found = self.checkpoint.kept.get(resource.key)
        return found.saved.get(stage, {}) if found else {}
