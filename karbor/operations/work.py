"""What a stage is given to work with: the plugin contract's Work."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from karbor.domain.operation import Verb, mark_of
from karbor.domain.resource import Resource, ResourceGraph
from karbor.domain.step import Again, Outcome, Progress, Step, StepState
from karbor.engine.runner import StepContext
from karbor.operations.run import Run
from karbor.plugin.bank import Section
from karbor.plugin.cloud import Cloud
from karbor.plugin.vault_location import VaultLocation

CREDENTIAL_ENDS = "credential_ends"
"""In the handle of a step that has asked a service for work: when the token ends that the service
does it with, in seconds since the epoch."""


class StepWork:
    """One entry of one step. `steps_by_stage` maps (resource key, stage name) → step number."""

    def __init__(self, run: Run, step: Step, step_context: StepContext,
                 steps_by_stage: Mapping[tuple[str, str], int], operation_id: str = "") -> None:
        self._run = run
        self._operation_id = operation_id or run.operation.id
        self._step = step
        self._step_context = step_context
        self._steps_by_stage = steps_by_stage
        self.credential_ends: float | None = None   # of what this entry has asked a service with

    @property
    def resource(self) -> Resource:
        return self._run.graph[self._step.resource]

    @property
    def graph(self) -> ResourceGraph:
        return self._run.graph

    @property
    def cloud(self) -> Cloud:
        return self._run.cloud

    @property
    def bank(self) -> Section:
        return self._run.checkpoints.section(self.checkpoint_id, self.resource)

    @property
    def vault(self) -> VaultLocation:
        return self._run.setting.provider.vault(self._run.operation.project_id)

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self._run.parameters(self.resource)

    @property
    def mark(self) -> str:
        """`karbor:OPERATION:` and a digest of resource and stage: 56 characters, since a Neutron
        tag and a Nova tag have at most 60."""
        what = hashlib.blake2s(f"{self._step.resource} {self._step.stage}".encode(),
                               digest_size=6).hexdigest()
        return f"{mark_of(self._operation_id)}:{what}"

    @property
    def handle(self) -> Mapping[str, Any]:
        return self._step.handle

    @property
    def entered_before(self) -> bool:
        return self._step.state is StepState.ENTERED or self._step.state is StepState.UNDOING

    @property
    def checkpoint_id(self) -> str:
        return self._run.operation.checkpoint_id

    @property
    def operation_id(self) -> str:
        return self._operation_id

    def undoing(self, operation_id: str, stage: str, handle: Mapping[str, Any]) -> StepWork:
        """The same entry, to undo a stage of another operation with the handle that it had."""
        step = replace(self._step, stage=stage, handle=handle, state=StepState.UNDOING)
        return StepWork(self._run, step, self._step_context, self._steps_by_stage, operation_id)

    def saved(self, stage: str, resource: Resource | None = None) -> Mapping[str, Any]:
        key = (resource or self.resource).key
        number = self._steps_by_stage.get((key, stage))
        return self._step_context.steps[number].saved if number is not None else {}

    def kept(self, stage: str, resource: Resource | None = None) -> Mapping[str, Any]:
        if self._run.operation.verb is Verb.PROTECT:
            return self.saved(stage, resource)      # it is being kept right now
        return self._run.kept(stage, resource or self.resource)

    def ensure_credential(self, size: int | None) -> None:
        seconds = self._run.expected(self._step, size)
        self.credential_ends = self.cloud.ensure_credential(seconds)

    def report(self, progress: Progress) -> None:
        self._step_context.report(progress)

    def noted(self, outcome: Outcome) -> Outcome:
        """The outcome, whose handle says when the token ends that a service works with."""
        ends = self.credential_ends or self.handle.get(CREDENTIAL_ENDS)
        if ends is None or not isinstance(outcome, Again):
            return outcome
        handle = self.handle if outcome.handle is None else outcome.handle
        return replace(outcome, handle={**handle, CREDENTIAL_ENDS: ends})

    @property
    def stopping(self) -> bool:
        return self._step_context.stopping()
