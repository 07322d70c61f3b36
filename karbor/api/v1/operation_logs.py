"""Operation logs of the API: what was done, how it stands, and why it failed."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from karbor.api.call import Call
from karbor.api.dependencies import Dependencies
from karbor.api.event_stream import Message
from karbor.api.lists import Collection, Link
from karbor.api.route_declaration import QueryParameter, Resource, route
from karbor.api.v1 import operation_results
from karbor.api.v1.operation_results import admitted, by_state
from karbor.domain.errors import BadInput
from karbor.domain.listing import OperationFilter
from karbor.domain.operation import Operation, OperationState, Verb
from karbor.domain.resource import ResourceGraph
from karbor.domain.step import Step, StepState
from karbor.domain.times import iso_timestamp
from karbor.operations.restore import not_restored
from karbor.store.operations import Operations

_S = OperationState
_CHECKPOINT: Mapping[Verb, tuple[str, str, str]] = {     # under way, done, failed
    Verb.PROTECT: ("protecting", "available", "error"),
    Verb.DELETE: ("deleting", "deleted", "error-deleting")}


class ResourceProgress(msgspec.Struct):
    """How far an operation is with one resource. `done` of `total` are of `unit`, where that is
    known; `steps` are how many it takes and how many of them are over. `reason` says what failed,
    or what it waits for."""

    type: str
    id: str
    name: str
    status: str
    steps_done: int
    steps_total: int
    done: int
    total: int
    unit: str
    doing: str
    reason: str


class OperationLogView(msgspec.Struct):
    """An operation. `error_info` says what failed and why; `extra_info` says on which credential it
    runs, until when that lasts, and for how long it waits in the queue; of a restore, what it could
    not give back (`not_restored`); of one that is over, what it made and could not remove
    (`left`)."""

    id: str
    operation_type: str
    checkpoint_id: str
    plan_id: str | None
    provider_id: str | None
    restore_id: str | None
    scheduled_operation_id: str | None
    status: str
    started_at: str
    ended_at: str | None
    error_info: str | None
    extra_info: dict[str, Any]
    resources: list[ResourceProgress] | UnsetType = UNSET


class OperationLogBody(msgspec.Struct):
    operation_log: OperationLogView


class OperationLogsBody(msgspec.Struct):
    operation_logs: list[OperationLogView]
    operation_logs_links: list[Link] | UnsetType = UNSET


class EventView(msgspec.Struct):
    number: int
    at: str
    text: str


class EventsBody(msgspec.Struct):
    """`over`: nothing more will follow. Ask again with `after` = the last number."""

    events: list[EventView]
    over: bool


LOGS = Collection("operation_logs", ("id", "status", "created_at"), {
    "checkpoint_id": "Only operations on this checkpoint.",
    "plan_id": "Only operations of this plan.",
    "restore_id": "Only the operation of this restore.",
    "status": "Only operations of this status.",
    "operation_type": "Only operations of this type: protect, restore, verify, delete, copy.",
    "provider_id": "Only operations by this provider.",
    "scheduled_operation_id": "Only operations of this scheduled operation."})
AFTER = QueryParameter("after", "Only events behind the one of this number.",
                       {"type": "integer", "minimum": 0})


EVENTS_OF_A_LOOK = 1000
"""So many a stream reads at once."""


class OperationLogs(Resource):
    tag = "operation_logs"

    @route("GET", "/operation_logs", rule="operation_log:list", answer=OperationLogsBody,
           collection=LOGS, refuses=(404,))
    def list(self, call: Call[None]) -> OperationLogsBody:
        """List operations, the newest first."""
        asked = call.listing()
        wanted = asked.filters
        restore = wanted.get("restore_id", "")
        verbs = _verbs(wanted.get("operation_type"), restore)
        page = self._needs.operations.list(by_state(asked), OperationFilter(
            verbs, states_for(wanted.get("status")), (restore,) if restore else (),
            wanted.get("checkpoint_id", ""), wanted.get("plan_id", ""),
            wanted.get("provider_id", ""), wanted.get("scheduled_operation_id", "")))
        return OperationLogsBody(
            [_view(operation) for operation in page],
            call.next_page(asked, [operation.id for operation in page], cut=page.cut),
        )

    @route("GET", "/operation_logs/{operation_log_id}", rule="operation_log:get",
           answer=OperationLogBody, refuses=(404,))
    def show(self, call: Call[None]) -> OperationLogBody:
        """Show an operation, with how far it is with each resource."""
        operation = self._admitted(call)
        view = _view(operation)
        view.resources = progress(
            operation, self._needs.records.steps(operation.project_id, operation.id))
        return OperationLogBody(view)

    @route("POST", "/operation_logs/{operation_log_id}/remove_left",
           rule="operation_log:remove_left", answer=OperationLogBody, refuses=(404,))
    def remove_left(self, call: Call[None]) -> OperationLogBody:
        """Remove what an operation that is over made and could not remove."""
        operation = admitted(call, self._needs.operations, "OperationLog",
                             call.path["operation_log_id"])
        return OperationLogBody(_view(self._needs.checkpoints.remove_left(call.context, operation)))

    @route("GET", "/operation_logs/{operation_log_id}/events", rule="operation_log:events",
           answer=EventsBody, query=(AFTER,), refuses=(404,), streams=True)
    def events(self, call: Call[None]) -> EventsBody | Iterator[bytes]:
        """List what happened during an operation, or follow it."""
        operation = self._admitted(call)
        after = _number(call.last_event or call.query.get("after") or "0")
        if call.last_event is not None:
            return self._needs.streams.stream(Following(self._needs, operation, after).look)
        following = told(self._needs.records, operation, after, call.longest + 1)
        return EventsBody(following[:call.longest],
                          operation.state.over and len(following) <= call.longest)

    def _admitted(self, call: Call[None]) -> Operation:
        return admitted(call, self._needs.operations, "OperationLog",
                        call.path["operation_log_id"])


class Following:
    """What one client has seen of an operation, and what it has not seen yet."""

    def __init__(self, needs: Dependencies, operation: Operation, after: int) -> None:
        self._needs = needs
        self._operation = operation
        self._after = after
        self._seen: Sequence[ResourceProgress] = []

    def look(self) -> tuple[builtins.list[Message], bool]:
        """Events, with their numbers; after them, where that has changed, how far it is with each
        resource; at the end what came of it. Raises StoreError."""
        records = self._needs.records
        now = self._needs.operations.show(self._operation.project_id, self._operation.id)
        events = told(records, now, self._after, EVENTS_OF_A_LOOK)
        news = [Message("event", event_view, event_view.number) for event_view in events]
        self._after += len(news)
        if len(events) == EVENTS_OF_A_LOOK:     # the rest, and what came of it, at the next look
            return news, False
        resources = progress(now, records.steps(now.project_id, now.id))
        if resources != self._seen:
            self._seen = resources
            news.append(Message("progress", {"resources": resources}))
        if now.state.over:
            news.append(Message("end", OperationLogBody(_view(now))))
        return news, now.state.over


def told(records: Operations, operation: Operation, after: int, limit: int
         ) -> builtins.list[EventView]:
    """Return at most `limit` of the operation's events behind the first `after`, with their
    numbers."""
    return [EventView(number, iso_timestamp(event.at), event.text)
            for number, event in enumerate(
                records.events(operation.project_id, operation.id, after=after, limit=limit),
                start=after + 1)]


def status(operation: Operation) -> str:
    """That of the checkpoint for what makes or removes one, else how it went."""
    words = _CHECKPOINT.get(operation.verb)
    if words is None:
        return operation_results.status(operation)
    if not operation.state.over:
        return words[0]
    return words[1] if operation.state is _S.DONE else words[2]


def states_for(status: str | None) -> builtins.list[tuple[Verb, OperationState]] | None:
    """OperationFilter verbs and states a status stands for; None: it was not asked for."""
    if status is None:
        return None
    found = [(verb, state) for verb, words in _CHECKPOINT.items() for state in OperationState
             if status == (words[0] if not state.over else
                           words[1] if state is _S.DONE else words[2])]
    return found + [(verb, state) for verb in Verb if verb not in _CHECKPOINT
                    for state in operation_results.STATES.get(status, ())]


def progress(operation: Operation, steps: builtins.list[Step] | Any
             ) -> builtins.list[ResourceProgress]:
    """A line per resource, in the order of the graph."""
    if not operation.plan:
        return []
    lines = []
    for resource in ResourceGraph.from_dict(operation.plan["graph"]):
        mine = [step for step in steps if step.resource == resource.key]
        moving = [step.progress for step in mine
                  if step.progress and step.state is not StepState.WAITING]
        wrong = next((step.error for step in mine if step.error), None)
        waits = next((step.progress.text for step in mine
                      if step.state is StepState.WAITING and step.progress), "")
        over = [step for step in mine if step.state in (StepState.DONE, StepState.UNDONE)]
        last = moving[-1] if moving else None
        lines.append(ResourceProgress(
            resource.type, resource.id, resource.name,
            "error" if wrong else "available" if len(over) == len(mine) else "started",
            len(over), len(mine), last.done if last else 0, last.total if last else 0,
            last.unit if last else "",
            next((step.stage for step in mine if step not in over), ""),
            str((wrong or {}).get("message", waits))))
    return lines


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise BadInput(f"after is the number of an event, not {text!r}")
    return int(text)


def _verbs(operation_type: str | None, restore: str) -> builtins.list[Verb]:
    if operation_type:
        known = {verb.value: verb for verb in Verb}
        if operation_type not in known:
            raise BadInput(f"there is no operation type {operation_type!r}",
                           remedy="types: " + ", ".join(known))
        return [known[operation_type]]
    return [Verb.RESTORE] if restore else []


def _view(operation: Operation) -> OperationLogView:
    origin = operation.request.get("origin", {})
    extra: dict[str, Any] = {"state": operation.state.value,
                             "credential": operation.credential.get("rung", ""),
                             "credential_until": iso_timestamp(operation.credential.get("until")),
                             "user_id": operation.caller.get("user_id", "")}
    if lacking := list(not_restored(operation.result)):
        extra["not_restored"] = lacking
    if left := operation.result.get("left"):
        extra["left"] = [{name: thing.get(name, "") for name in ("resource", "stage", "why")}
                         for thing in left]
    return OperationLogView(
        operation.id,
        operation.verb.value,
        operation.checkpoint_id,
        operation.request.get("plan_id"),
        operation.request.get("provider_id"),
        operation.id if operation.verb is Verb.RESTORE else None,
        origin.get("scheduled_operation_id"),
        status(operation),
        iso_timestamp(operation.created_at),
        iso_timestamp(operation.finished_at),
        operation_results.reason(operation) or None,
        extra,
    )

