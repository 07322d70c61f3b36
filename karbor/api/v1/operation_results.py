"""What restores, verifications and operation logs share: how they are found, and how an operation
stands, resource by resource."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from karbor.api.call import Call
from karbor.domain.errors import NotFound, why
from karbor.domain.listing import Listing, Sort
from karbor.domain.operation import Operation, OperationState, Verb
from karbor.domain.resource import ResourceGraph
from karbor.domain.step import Step, StepState
from karbor.store.operation_pages import OperationPages

IN_PROGRESS, SUCCESS, FAIL = "in_progress", "success", "fail"
STATES: Mapping[str, Sequence[OperationState]] = {
    IN_PROGRESS: tuple(
        operation_state for operation_state in OperationState if not operation_state.over
    ),
    SUCCESS: (OperationState.DONE,),
    FAIL: (OperationState.FAILED, OperationState.CANCELLED),
}


def by_state(asked: Listing) -> Listing:
    """Sort by the state of operations, which is what the records call their status."""
    return replace(asked, sort=tuple(
        Sort("state", sort.descending) if sort.key == "status" else sort for sort in asked.sort))


def admitted(call: Call[Any], operations: OperationPages, noun: str, id: str,
             verbs: Collection[Verb] = ()) -> Operation:
    """Return the operation, if the caller may see it; raise NotFound."""
    try:
        operation = call.find(lambda project: operations.show(project, id, verbs))
    except NotFound as error:
        raise NotFound(f"{noun} {id} could not be found.") from error
    call.admit(operation.project_id, noun, id)
    return operation


def status(operation: Operation) -> str:
    return next(name for name, states in STATES.items() if operation.state in states)


def reason(operation: Operation) -> str:
    """Why it failed, and what to do about it."""
    return why(operation.error or {})


def parameters(operation: Operation) -> dict[str, Any]:
    """As texts, as Karbor 1.x shows them."""
    return {key: {name: str(value) for name, value in (given or {}).items()}
            for key, given in operation.request.get("parameters", {}).items()}


def restored(operation: Operation, steps: Iterable[Step]) -> tuple[dict[str, str], dict[str, str]]:
    """`TYPE#NEW_ID` → status, and → reason, of what a restore makes. Where it failed as a whole,
    that is told under the key of the checkpoint."""
    states: dict[str, str] = {}
    reasons: dict[str, str] = {}
    if operation.plan:
        graph = ResourceGraph.from_dict(operation.plan["graph"])
        for step in steps:
            if not step.resource or step.resource not in graph:
                continue
            made = str(step.saved.get("id") or step.handle.get("id") or "")
            if not made:
                continue
            key = f"{graph[step.resource].type}#{made}"
            states[key] = _worst(states.get(key), _status(step))
            if step.error:
                reasons[key] = str(step.error.get("message", ""))
    if operation.error:
        reasons[f"checkpoint#{operation.checkpoint_id}"] = reason(operation)
    return states, reasons


def verified(operation: Operation, steps: Iterable[Step]
             ) -> tuple[dict[str, str], dict[str, str]]:
    """`TYPE#ID` → status, and → reason, of what a checkpoint keeps."""
    states: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for line in operation.result.get("verified", ()):
        key = f"{line['type']}#{line['id']}"
        states[key] = "error" if line.get("error") else "available"
        reasons[key] = str(line.get("error") or line.get("unproved") or "")
    if not states and operation.plan:
        graph = ResourceGraph.from_dict(operation.plan["graph"])
        for step in steps:
            if step.resource and step.resource in graph:
                resource = graph[step.resource]
                key = f"{resource.type}#{resource.id}"
                states[key] = _worst(states.get(key), _status(step, doing="verifying"))
    if operation.error:
        reasons[f"checkpoint#{operation.checkpoint_id}"] = reason(operation)
    return states, reasons


def _status(step: Step, doing: str = "restoring") -> str:
    if step.state is StepState.UNDONE:
        return "deleted"        # a restore that fails takes back what it made
    if step.error or step.state is StepState.LEFT:
        return "error"
    return "available" if step.state is StepState.DONE else doing


def _worst(one: str | None, other: str) -> str:
    rank = ("available", "restoring", "verifying", "deleted", "error")
    return max(one or "available", other, key=rank.index)
