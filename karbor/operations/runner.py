"""OperationRunner: the engine's Runner for all verbs."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from karbor.domain.errors import KarborError
from karbor.domain.operation import Operation, Verb
from karbor.domain.step import Done, Outcome, Step
from karbor.engine.runner import Anew, Planned, StepContext
from karbor.operations import stage_retry, staging
from karbor.operations.copy import Copy
from karbor.operations.delete import Delete
from karbor.operations.execution_context import ExecutionContext
from karbor.operations.protect import Protect
from karbor.operations.restore import Restore
from karbor.operations.run import Lookup, Run
from karbor.operations.step_graph import BARRIER, RELEASE
from karbor.operations.verb import VerbRules
from karbor.operations.verify import Verify
from karbor.operations.work import StepWork
from karbor.plugin.checked import name_of, outcome_of
from karbor.plugin.protection import DAY, Stage, Task

_VERBS: Mapping[Verb, VerbRules] = {
    Verb.PROTECT: Protect(), Verb.RESTORE: Restore(), Verb.VERIFY: Verify(),
    Verb.DELETE: Delete(), Verb.COPY: Copy()}


class OperationRunner:
    """Runs one operation; make one for each."""

    def __init__(self, setting: ExecutionContext, lookup: Lookup | None = None) -> None:
        """`lookup`: what was looked up for the operation's draft, for the first time that it is
        planned."""
        self._setting = setting
        self._lookup = lookup
        self._lock = threading.Lock()
        self._run: Run | None = None
        self._index: dict[tuple[str, str], int] = {}
        self._stages: dict[tuple[str, str], Stage | Task] = {}

    # ------------------------------------------------------------------ whole operations
    def plan(self, operation: Operation) -> Planned:
        lookup, self._lookup = self._lookup, None
        return _VERBS[operation.verb].plan(Run(operation, self._setting, lookup))

    def fail_fast(self, operation: Operation) -> bool:
        return _VERBS[operation.verb].fail_fast

    def ended(self, operation: Operation) -> KarborError | None:
        return self._setting.ended(operation)

    def finish(self, operation: Operation, steps: Sequence[Step]) -> Mapping[str, Any]:
        return _VERBS[operation.verb].finish(self._of(operation), steps)

    def abandon(self, operation: Operation, steps: Sequence[Step], error: Mapping[str, Any]
                ) -> Mapping[str, Any]:
        return _VERBS[operation.verb].abandon(self._of(operation), steps, error)

    # ------------------------------------------------------------------ single steps
    def run(self, operation: Operation, step: Step, step_context: StepContext) -> Outcome:
        if step.stage == BARRIER:
            return Done()
        work = self._work(operation, step, step_context)
        stage = self._stage(operation, step)
        enter = (partial(staging.perform, stage, work) if isinstance(stage, Stage)
                 else partial(stage.run, work))
        return work.noted(outcome_of(enter, self._plugin(operation, step), step.stage))

    def undo(self, operation: Operation, step: Step, step_context: StepContext) -> Outcome:
        work = self._work(operation, step, step_context)
        stage = self._stage(operation, step)
        enter = (partial(staging.undo, stage, work) if isinstance(stage, Stage)
                 else partial(stage.undo, work))
        return outcome_of(enter, self._plugin(operation, step), step.stage.removeprefix(RELEASE))

    def undoable(self, operation: Operation, step: Step) -> bool:
        if step.stage == BARRIER or step.releases is not None:
            return False
        stage = self._stage(operation, step)
        if isinstance(stage, Stage) and stage.temporary:
            return True
        return not _VERBS[operation.verb].keeps(self._of(operation))

    def allowed(self, operation: Operation, step: Step, kind: str) -> float:
        if kind:
            return self._setting.waits.get(kind, DAY)
        if step.stage == BARRIER or step.stage.startswith(RELEASE):
            return DAY
        stage = self._stage(operation, step)
        if not isinstance(stage, Stage):
            return DAY
        return self._setting.waits.get(stage.waits, stage.deadline)

    def anew(self, operation: Operation, step: Step, error: KarborError) -> Anew | None:
        if step.stage == BARRIER or step.releases is not None:
            return None
        anew = stage_retry.judge(step, error, self._setting)
        rests_on = self._stage(operation, step).rests_on
        if anew is None or not rests_on:
            return anew
        return replace(anew, rests_on=self._index[step.resource, rests_on])

    def label(self, operation: Operation, step: Step) -> str:
        name = step.stage.replace("_", " ")
        if step.stage.startswith(RELEASE):
            name = "removal of " + name.removeprefix(RELEASE)
        graph = self._of(operation).graph
        return f"{graph[step.resource]}: {name}" if step.resource in graph else name

    def explain(self, operation: Operation, step: Step, error: KarborError) -> KarborError:
        if step.resource and not error.resource:
            error.resource = str(self._of(operation).graph[step.resource])
        return error

    # ------------------------------------------------------------------ what they share
    def _of(self, operation: Operation) -> Run:
        with self._lock:
            if self._run is None or self._run.operation.plan != operation.plan:
                self._run = Run(operation, self._setting)
            return self._run

    def _plugin(self, operation: Operation, step: Step) -> str:
        resource = self._of(operation).graph[step.resource]
        protection = self._setting.provider.protections.get(resource.type)
        return name_of(protection) if protection else "plugin that is not installed any more"

    def _work(self, operation: Operation, step: Step, step_context: StepContext) -> StepWork:
        if not self._index:
            self._index = {(one.resource, one.stage): number
                           for number, one in step_context.steps.items()}
        return StepWork(self._of(operation), step, step_context, self._index)

    def _stage(self, operation: Operation, step: Step) -> Stage | Task:
        wanted = (step.resource, step.stage)
        if wanted not in self._stages:
            run = self._of(operation)
            resource = run.graph[step.resource]
            for stages in _VERBS[operation.verb].stages(run, resource).values():
                for stage in stages:
                    self._stages[step.resource, stage.name] = stage
        if wanted not in self._stages:
            raise KarborError(
                f"no installed plugin has the stage {step.stage} for {step.resource}",
                remedy="resume with the plugins that the operation was begun with")
        return self._stages[wanted]
