"""Drives the stages of one resource as the engine does, without journal: for tests of plugins."""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

from karbor.domain.errors import CloudUnavailable
from karbor.domain.resource import Resource, ResourceGraph
from karbor.domain.step import Done, Failed, Outcome
from karbor.operations import staging
from karbor.plugin import list_cache
from karbor.plugin.bank import Bank, Section
from karbor.plugin.cloud import Cloud
from karbor.plugin.protection import Stage, Stages, Task
from karbor.plugin.vault_location import VaultLocation

PATIENCE = 300.0        # seconds that one stage may take on a busy development cloud


class ByHand:
    """One operation on one resource: what stages save, and what of it is kept for later ones."""

    def __init__(self, cloud: Cloud, resource: Resource, bank: Bank, *,
                 graph: ResourceGraph | None = None, kept: Mapping[str, Any] | None = None,
                 parameters: Mapping[str, Any] | None = None) -> None:
        self.cloud = cloud
        self.resource = resource
        self.graph = graph or ResourceGraph.build([resource], lambda level: {})
        self.bank = Section(bank, f"resource-{resource.id}")
        self.vault = VaultLocation(Section(bank, "projects/by-hand"))
        self.parameters = parameters or {}
        self.kept_ones = dict(kept or {})
        self.saved_ones: dict[str, Any] = {}
        self.handles: dict[str, Any] = {}
        self.operation_id = str(uuid.uuid4())
        self.checkpoint_id = "by-hand"
        list_cache._of.pop(cloud, None)     # an operation has a Cloud, and so lists, of its own

    def run(self, stages: Stages) -> dict[str, Any]:
        """Every stage of every hook in its order; returns what they saved."""
        for some in stages.values():
            for stage in some:
                self.stage(stage)
        return self.saved_ones

    def stage(self, stage: Stage | Task) -> Mapping[str, Any]:
        outcome = self._until_over(stage, self._enter)
        assert isinstance(outcome, Done), outcome
        self.saved_ones[stage.name] = dict(outcome.saved)
        return outcome.saved

    def undo(self, stage: Stage | Task) -> None:
        outcome = self._until_over(stage, self._leave)
        assert isinstance(outcome, Done), outcome

    def entry(self, stage: Stage | Task, *, entered_before: bool = False) -> Outcome:
        """One entry only, as after a crash with `entered_before`."""
        return self._enter(stage, Entry(self, stage, entered_before))

    @staticmethod
    def _enter(stage: Stage | Task, work: Entry) -> Outcome:
        return staging.perform(stage, work) if isinstance(stage, Stage) else stage.run(work)

    @staticmethod
    def _leave(stage: Stage | Task, work: Entry) -> Outcome:
        return staging.undo(stage, work) if isinstance(stage, Stage) else stage.undo(work)

    def _until_over(self, stage: Stage | Task, call: Any) -> Outcome:
        end = time.monotonic() + PATIENCE
        after_failure = False
        while True:
            assert time.monotonic() < end, f"{stage.name} takes longer than {PATIENCE} s"
            try:
                outcome: Outcome = call(stage, Entry(self, stage, after_failure))
            except CloudUnavailable:
                after_failure = True
                threading.Event().wait(1.0)
                continue
            after_failure = False
            if isinstance(outcome, Failed):
                return outcome
            if outcome.handle is not None:
                self.handles[stage.name] = outcome.handle
            if isinstance(outcome, Done):
                return outcome
            threading.Event().wait(outcome.after)


class Entry:
    """The Work of one entry."""

    stopping = False

    def __init__(self, run: ByHand, stage: Stage | Task, entered_before: bool) -> None:
        self._run = run
        self.cloud, self.resource, self.graph = run.cloud, run.resource, run.graph
        self.bank, self.vault, self.parameters = run.bank, run.vault, run.parameters
        self.checkpoint_id, self.operation_id = run.checkpoint_id, run.operation_id
        self.entered_before = entered_before
        self.handle = run.handles.get(stage.name, {})
        what = hashlib.blake2s(f"{run.resource.key} {stage.name}".encode(), digest_size=6)
        self.mark = f"karbor:{run.operation_id}:{what.hexdigest()}"

    def saved(self, stage: str, resource: Resource | None = None) -> Mapping[str, Any]:
        return self._run.saved_ones.get(stage, {})

    def kept(self, stage: str, resource: Resource | None = None) -> Mapping[str, Any]:
        return self._run.kept_ones.get(stage, {})

    def ensure_credential(self, size: int | None) -> None:
        """A token of minutes is enough here."""

    def report(self, progress: Any) -> None:
        """Nobody watches."""
