"""Telling: what becomes known of an operation when it begins and ends, for machines that listen.

What is told is a list of fields chosen here, none of which holds a credential. Within a version
fields are added, and none is taken away or gets another meaning.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from karbor.domain.checkpoint import Evidence
from karbor.domain.checkpoint_record import UNHIDDEN, CheckpointRecord, RecordStatus, after
from karbor.domain.errors import KarborError, why
from karbor.domain.operation import Operation, OperationState, Verb
from karbor.engine.journal import Journal
from karbor.operations import estimate

LOG = logging.getLogger(__name__)

VERSION = "1.0"

OPERATION_START = "karbor.operation.start"
OPERATION_END = "karbor.operation.end"          # it did what was asked
OPERATION_ERROR = "karbor.operation.error"      # it failed or was cancelled; the state says which
CHECKPOINT_AVAILABLE = "karbor.checkpoint.available"
CHECKPOINT_ERROR = "karbor.checkpoint.error"
CHECKPOINT_DELETED = "karbor.checkpoint.deleted"

ERRORS = frozenset({OPERATION_ERROR, CHECKPOINT_ERROR})

_RANKS = {one.value: one.rank for one in Evidence}

Event = tuple[str, Mapping[str, Any]]
Remembered = Callable[[str, str], CheckpointRecord | None]
"""(project, checkpoint) → what is remembered of it; raises KarborError when that cannot be told."""


class Notifier(Protocol):
    """Hears of operations while they are driven. Called from several threads."""

    def tell(self, event: str, payload: Mapping[str, Any]) -> None:
        """Raises nothing and waits for nothing: whoever listens, or does not, is no concern of an
        operation."""


class Notifiers:
    """Several that are told one after the other; without any: nobody."""

    def __init__(self, *notifiers: Notifier) -> None:
        self._notifiers = notifiers

    def tell(self, event: str, payload: Mapping[str, Any]) -> None:
        for notifier in self._notifiers:
            notifier.tell(event, payload)


NOBODY = Notifiers()


def run_notifying(operation_id: str, drive: Callable[[], OperationState | None], journal: Journal,
                  notifier: Notifier, remembered: Remembered = lambda _project, _checkpoint: None
                  ) -> OperationState | None:
    """Drive an operation (see `Driver.drive`), and tell its beginning and its end, each by the
    process that saw it: one that is resumed begins only once. Raises what `drive` raises.

    A process that dies in the moment between an event and its telling does not tell it; the journal
    remains the truth."""
    before = journal.operation(operation_id)
    if before.state is OperationState.QUEUED:
        notifier.tell(OPERATION_START, operation_payload(before))
    state = drive()
    if state is not None and not before.state.over:
        try:
            operation = journal.operation(operation_id)
        except KarborError as error:    # it is over all the same
            LOG.warning("the end of operation %s is not told: %s", operation_id, error)
            return state
        for event, payload in endings(operation, remembered):
            notifier.tell(event, payload)
    return state


def endings(operation: Operation, remembered: Remembered) -> Iterator[Event]:
    """What there is to tell of one that is over: of itself, and of what it did to a checkpoint."""
    done = operation.state is OperationState.DONE
    yield OPERATION_END if done else OPERATION_ERROR, operation_payload(operation)
    if operation.checkpoint_id and operation.verb in (Verb.PROTECT, Verb.DELETE):
        status = after(operation.verb, operation.state, str(operation.result.get(UNHIDDEN, "")))
        event = {RecordStatus.AVAILABLE: CHECKPOINT_AVAILABLE,
                 RecordStatus.DELETED: CHECKPOINT_DELETED}.get(status, CHECKPOINT_ERROR)
        yield event, _checkpoint_payload(operation, status, _recalled(operation, remembered))


def operation_payload(operation: Operation) -> dict[str, Any]:
    error = operation.error or {}
    plan_id, plan_name = _plan(operation.request)
    return {
        "version": VERSION, "operation_id": operation.id, "verb": operation.verb.value,
        "state": operation.state.value, "project_id": operation.project_id,
        "user_id": str(operation.caller.get("user_id", "")),
        "provider_id": str(operation.request.get("provider_id", "")),
        "checkpoint_id": operation.checkpoint_id,
        "name": str(operation.request.get("name", "")),
        "plan_id": plan_id, "plan_name": plan_name,
        "scheduled_operation_id": _schedule(operation.request.get("origin")),
        "resource_bytes": estimate.moved(operation),
        "evidence": evidence(operation),
        "notes": list(operation.result.get("notes", ())),
        "created_at": _time(operation.created_at), "finished_at": _time(operation.finished_at),
        "error": str(error.get("error", "")), "reason": why({**error, "resource": ""}),
        "resource": str(error.get("resource", "")),
    }


def evidence(operation: Operation) -> str:
    """The weakest proof of what it has read back; empty when it has proved nothing."""
    if operation.state is not OperationState.DONE:
        return ""
    found = operation.result.get("evidence")
    if operation.verb is not Verb.VERIFY:
        return str(found or "")
    lines = [one["evidence"] for one in operation.result.get("verified", ()) if one.get("evidence")]
    return min(lines, key=lambda one: _RANKS.get(one, -1), default="")


def _checkpoint_payload(operation: Operation, status: RecordStatus,
                        known: CheckpointRecord | None) -> dict[str, Any]:
    error = operation.error or {}
    plan_id, plan_name = _plan(operation.request)
    origin = operation.request.get("origin")
    created_at = operation.created_at if operation.verb is Verb.PROTECT else None
    if known is not None:
        plan_id = plan_id or known.plan_id
        plan_name = plan_name or str((known.origin.get("plan") or {}).get("name", ""))
        origin, created_at = origin or known.origin, known.created_at
    return {
        "version": VERSION, "checkpoint_id": operation.checkpoint_id, "status": status.value,
        "project_id": operation.project_id,
        "user_id": str(operation.caller.get("user_id", "")),
        "provider_id": str(operation.request.get("provider_id", "")),
        "operation_id": operation.id, "name": str(operation.request.get("name", "")),
        "plan_id": plan_id, "plan_name": plan_name,
        "scheduled_operation_id": _schedule(origin),
        "evidence": evidence(operation),
        "notes": list(operation.result.get("notes", ())),
        "created_at": _time(created_at), "finished_at": _time(operation.finished_at),
        "reason": str(error.get("message", "")), "resource": str(error.get("resource", "")),
    }


def _recalled(operation: Operation, remembered: Remembered) -> CheckpointRecord | None:
    try:
        return remembered(operation.project_id, operation.checkpoint_id)
    except KarborError as error:
        LOG.debug("nothing is remembered of checkpoint %s: %s", operation.checkpoint_id, error)
        return None


def _plan(request: Mapping[str, Any]) -> tuple[str, str]:
    plan_id = str(request.get("plan_id", ""))
    return plan_id, str(request.get("name", "")) if plan_id else ""


def _schedule(origin: object) -> str:
    return str(origin.get("scheduled_operation_id", "")) if isinstance(origin, Mapping) else ""


def _time(seconds: float | None) -> str | None:
    """In UTC, as ISO 8601 writes it."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
