"""Run: one operation in this process, with what its steps have in common."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from karbor.domain.checkpoint import Checkpoint
from karbor.domain.operation import Operation
from karbor.domain.resource import Resource, ResourceGraph
from karbor.operations.checkpoints import Checkpoints
from karbor.operations.parameters import parameters_of
from karbor.operations.setting import Setting
from karbor.plugin.cloud import Cloud
from karbor.plugin.protection import Protection


class Run:
    """Made once per process and operation. Safe for several threads."""

    def __init__(self, operation: Operation, setting: Setting) -> None:
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
    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.setting.provider.bank, self.operation.project_id)

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint the operation works on, as the bank tells it (read once)."""
        with self._lock:
            if self._checkpoint is None:
                self._checkpoint = self.checkpoints.show(self.operation.checkpoint_id)
            return self._checkpoint

    def protection(self, resource: Resource) -> Protection:
        return self.setting.provider.protections[resource.type]

    def parameters(self, resource: Resource) -> dict[str, Any]:
        return parameters_of(self.operation, resource)

    def kept(self, stage: str, resource: Resource) -> Mapping[str, Any]:
        found = self.checkpoint.kept.get(resource.key)
        return found.saved.get(stage, {}) if found else {}
