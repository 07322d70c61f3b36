"""MemoryJournal: operations and their steps in memory, with the behaviour of the database's.

For tests of drivers and verbs: the contract of `karbor.engine.journal`, and what
`karbor.store.operations` offers. Everything goes through JSON as it would in a database, so what
a database could not keep fails here as well.
"""

from __future__ import annotations

import builtins
import json
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from karbor.domain.errors import AmbiguousName, Conflict, Fenced, NotFound
from karbor.domain.operation import Operation, OperationState, Verb, Wanted
from karbor.domain.operation_conflicts import check_conflicts
from karbor.domain.step import Step, StepState
from karbor.engine.concurrency_limits import UNDER_WAY, ConcurrencyLimits, OccupiedSlot, admitted
from karbor.engine.driver import apply
from karbor.engine.journal import NO_LIMITS, Settlement

_MAY_BE_ENTERED = {StepState.WAITING, StepState.ENTERED, StepState.RUNNING, StepState.UNDOING}


class MemoryJournal:
    """May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._operations: dict[str, Operation] = {}
        self._steps: dict[str, dict[int, Step]] = {}
        self._fences: dict[str, int] = {}
        self._events: dict[str, builtins.list[tuple[float, str]]] = {}

    # ------------------------------------------------------------------ as store.operations
    def add(self, operation: Operation) -> None:
        with self._lock:
            if not operation.state.over:
                check_conflicts(self.live(operation.project_id), reads=operation.reads,
                                changes=operation.changes)
            if operation.id in self._operations:
                raise Conflict(f"there is an operation {operation.id} already")
            self._operations[operation.id] = replace(
                operation, caller=_json(operation.caller), credential=_json(operation.credential),
                request=_json(operation.request), plan=_json(operation.plan),
                result=_json(operation.result))
            self._steps[operation.id] = {}
            self._fences[operation.id] = 0
            self._events[operation.id] = []

    def list(self, project_id: str, *, limit: int | None = None, verb: Verb | None = None,
             state: OperationState | None = None) -> list[Operation]:
        with self._lock:
            operations = [
                operation
                for operation in self._operations.values()
                if operation.project_id == project_id
                and verb in (None, operation.verb)
                and state in (None, operation.state)
            ]
        return sorted(
            operations, key=lambda operation: (operation.created_at, operation.id), reverse=True
        )[:limit]

    def live(self, project_id: str, checkpoint_id: str | None = None
             ) -> builtins.list[Operation]:
        return [
            operation
            for operation in reversed(self.list(project_id))
            if not operation.state.over
            and (checkpoint_id is None or checkpoint_id in operation.reads | operation.changes)
        ]

    def show(self, project_id: str, id_or_prefix: str) -> Operation:
        operations = [
            operation
            for operation in self.list(project_id)
            if operation.id.startswith(id_or_prefix)
        ]
        operations = [
            operation for operation in operations if operation.id == id_or_prefix
        ] or operations
        if not operations or not id_or_prefix:
            raise NotFound(f"no operation {id_or_prefix} in this project")
        if len(operations) > 1:
            raise AmbiguousName(f"several operations begin with {id_or_prefix}",
                                remedy="give more of the id")
        return operations[0]

    def want(self, project_id: str, operation_id: str, wanted: Wanted) -> None:
        with self._lock:
            operation = self.operation(operation_id)
            if operation.project_id != project_id:
                raise NotFound(f"no operation {operation_id} in this project")
            if operation.state.over:
                raise Conflict(f"operation {operation_id} is over: {operation.state}")
            self._operations[operation_id] = replace(operation, wanted=wanted)

    def events(self, project_id: str, operation_id: str) -> builtins.list[tuple[float, str]]:
        """(when, what) of those that drivers have written."""
        with self._lock:
            self.show(project_id, operation_id)
            return list(self._events[operation_id])

    # ------------------------------------------------------------------ as engine.journal
    def operation(self, operation_id: str) -> Operation:
        with self._lock:
            if operation_id not in self._operations:
                raise NotFound(f"no operation {operation_id}")
            return self._operations[operation_id]

    def steps(self, operation_id: str) -> builtins.list[Step]:
        with self._lock:
            return [step for _, step in sorted(self._steps.get(operation_id, {}).items())]

    def claim(self, operation_id: str) -> int:
        with self._lock:
            self.operation(operation_id)
            self._fences[operation_id] += 1
            return self._fences[operation_id]

    def wanted(self, operation_id: str) -> Wanted:
        return self.operation(operation_id).wanted

    def planned(self, operation_id: str, fence: int, plan: Mapping[str, Any],
                steps: Sequence[Step], checkpoint_id: str) -> None:
        with self._held(operation_id, fence) as operation:
            if operation.state is not OperationState.PLANNING:
                raise Conflict(f"operation {operation_id} is {operation.state}: "
                               "it is planned only once")
            self._operations[operation_id] = replace(
                operation, plan=_json(plan), checkpoint_id=checkpoint_id,
                state=OperationState.RUNNING)
            self._steps[operation_id] = {
                step.number: replace(step, handle=_json(step.handle), saved=_json(step.saved))
                for step in steps}

    def enter(self, operation_id: str, fence: int, numbers: Iterable[int], now: float,
              places: ConcurrencyLimits = NO_LIMITS) -> set[int]:
        with self._held(operation_id, fence) as operation:
            steps = dict(self._steps[operation_id])
            numbers = list(numbers)
            if places.limits:
                free = admitted([steps[one] for one in numbers if one in steps],
                                self._taken(operation), operation.project_id, places)
                numbers = [one for one in numbers if one in free or one not in steps]
            for number in numbers:
                step = self._step(operation_id, number)
                if step.state not in _MAY_BE_ENTERED:
                    raise Conflict(f"step {number} of operation {operation_id} is {step.state}: "
                                   "it cannot be entered any more")
                undoing = step.state is StepState.UNDOING
                steps[number] = replace(
                    step, state=StepState.UNDOING if undoing else StepState.ENTERED,
                    progress=None if step.state is StepState.WAITING else step.progress,
                    entries=step.entries + 1,
                    entered_at=now if step.entered_at is None else step.entered_at)
            self._steps[operation_id] = steps
            return set(numbers)

    def _taken(self, operation: Operation) -> Iterator[OccupiedSlot]:
        """Under way in all operations of the same provider."""
        provider = operation.request.get("provider_id", "")
        for other in self._operations.values():
            if (other.state in (OperationState.RUNNING, OperationState.UNDOING)
                    and other.request.get("provider_id", "") == provider):
                counted = Counter(step.limit for step in self._steps[other.id].values()
                                  if step.limit and step.state in UNDER_WAY)
                for limit, count in counted.items():
                    yield OccupiedSlot(limit, other.id, other.project_id, count)

    def settle(self, operation_id: str, fence: int, settlements: Sequence[Settlement]) -> None:
        with self._held(operation_id, fence):
            steps = dict(self._steps[operation_id])
            for settlement in settlements:
                self._step(operation_id, settlement.number)
                kept = apply(steps[settlement.number], settlement)
                steps[settlement.number] = replace(kept, handle=_json(kept.handle),
                                                   saved=_json(kept.saved), wait=_json(kept.wait),
                                                   remade=_json(kept.remade),
                                                   error=kept.error and _json(kept.error))
            self._steps[operation_id] = steps
            self._events[operation_id] += [
                event for settlement in settlements for event in settlement.events
            ]

    def move(self, operation_id: str, fence: int, state: OperationState, *, now: float,
             error: Mapping[str, Any] | None = None,
             result: Mapping[str, Any] | None = None) -> None:
        with self._held(operation_id, fence) as operation:
            if not operation.state.may_become(state):
                raise Conflict(f"operation {operation_id} is {operation.state}: "
                               f"it cannot become {state}")
            self._operations[operation_id] = replace(
                operation, state=state,
                error=operation.error if error is None else _json(error),
                result=operation.result if result is None else _json(result),
                finished_at=now if state.over else operation.finished_at)

    @contextmanager
    def _held(self, operation_id: str, fence: int) -> Iterator[Operation]:
        with self._lock:
            operation = self.operation(operation_id)
            if fence < 1 or fence != self._fences[operation_id]:
                raise Fenced(f"another process drives operation {operation_id} now")
            yield operation

    def _step(self, operation_id: str, number: int) -> Step:
        try:
            return self._steps[operation_id][number]
        except KeyError:
            raise NotFound(f"operation {operation_id} has no step {number}") from None


def _json(value: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(json.dumps(dict(value)))
    return kept
