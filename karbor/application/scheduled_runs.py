"""Admit the runs of scheduled operations, on the rights that their users have lent."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

from karbor.application.checkpoints import CheckpointRequests, protect_request_of
from karbor.application.requests import RequestContext
from karbor.application.service_context import ServiceContext
from karbor.application.trial_logins import TrialLogins
from karbor.domain.caller import Caller
from karbor.domain.checkpoint import CheckpointState
from karbor.domain.checkpoint_record import OPERATION_ENGINE, CheckpointRecord, RecordStatus
from karbor.domain.errors import NotFound, RightsPending
from karbor.domain.identifiers import time_ordered_uuid
from karbor.domain.occurrence import Occurrence
from karbor.domain.retention import Candidate
from karbor.domain.scheduled_operation import ENDING, ScheduledOperation

_STATES = {
    RecordStatus.PROTECTING: CheckpointState.PROTECTING,
    RecordStatus.COPYING: CheckpointState.PROTECTING,
    RecordStatus.AVAILABLE: CheckpointState.AVAILABLE, RecordStatus.ERROR: CheckpointState.ERROR,
    RecordStatus.ERROR_DELETING: CheckpointState.ERROR,
    RecordStatus.DELETING: CheckpointState.DELETING,
    RecordStatus.DELETED: CheckpointState.DELETING}


class ScheduledRuns:
    """Implements `karbor.schedule.scheduler.OperationStarter`."""

    def __init__(self, service: ServiceContext, requests: CheckpointRequests,
                 trials: TrialLogins | None = None) -> None:
        """`trials`: those of the thread, where several share them."""
        self._service = service
        self._requests = requests
        self._trials = trials or TrialLogins(service)

    def run(self, scheduled_operation: ScheduledOperation, occurrence: Occurrence) -> str:
        """Have the plan protected under the operation id that is reserved for the occurrence, and
        return that id; where the operation stands already, do nothing. Raise RightsPending, and
        what `CheckpointRequests.accept_protect` raises."""
        project_id, operation_id = scheduled_operation.project_id, occurrence.reserved_operation_id
        with suppress(NotFound):
            return self._service.records.show(project_id, operation_id).id
        context = request_context_of(scheduled_operation, self._trials)
        plan = self._service.plans.show(project_id, scheduled_operation.plan_id)
        provider = self._requests.provider(plan.provider_id)
        # The same id, whoever begins the occurrence.
        checkpoint_id = time_ordered_uuid(occurrence.due_at, occurrence.id)
        # Of somebody who died between the record and its operation.
        self._service.checkpoints.drop(project_id, checkpoint_id)
        self._requests.accept_protect(context, provider, protect_request_of(
            plan, {"created_by": OPERATION_ENGINE}, scheduled_operation.id,
            operation_id=operation_id, checkpoint_id=checkpoint_id))
        return operation_id


class ScheduledCheckpoints:
    """Implements `karbor.schedule.retention.RetentionCheckpoints`."""

    def __init__(self, service: ServiceContext, requests: CheckpointRequests,
                 trials: TrialLogins | None = None) -> None:
        """`trials`: those of the thread, where several share them."""
        self._service = service
        self._requests = requests
        self._trials = trials or TrialLogins(service)

    def checkpoints(self, scheduled_operation: ScheduledOperation) -> Sequence[Candidate]:
        """Return what its plan has made with its provider. Raise NotFound, BankError."""
        project_id, provider_id = scheduled_operation.project_id, scheduled_operation.provider_id
        self._service.bank_records.refresh(self._requests.provider(provider_id), project_id)
        self._service.checkpoints.settle()
        return [_candidate(record) for record in self._service.checkpoints.of_plan(
            project_id, scheduled_operation.plan_id) if record.provider_id == provider_id]

    def delete(self, scheduled_operation: ScheduledOperation, checkpoint_id: str) -> None:
        """Delete one that retention does not keep; one that is gone or going is left alone. Raise
        RightsPending, NotFound, BankError, CredentialError."""
        record = self._service.checkpoints.show(scheduled_operation.project_id, checkpoint_id)
        if record.status in (RecordStatus.DELETED, RecordStatus.DELETING):
            return
        if self._requests.forget_unmade(record):
            return
        provider = self._requests.provider(scheduled_operation.provider_id)
        with suppress(NotFound):        # it is gone from the bank: the next look tells its record
            self._requests.accept_delete(
                request_context_of(scheduled_operation, self._trials), provider, checkpoint_id)


def request_context_of(scheduled_operation: ScheduledOperation, trials: TrialLogins
                       ) -> RequestContext:
    """Return its user, who is not there, with what they left. Raise RightsPending."""
    from karbor.credentials.schedule_delegation import BorrowedTrust  # noqa: PLC0415 - not for whoever only reads

    if "rung" not in scheduled_operation.credential:
        raise RightsPending("the rights that it shall run on are just being made")
    if ENDING in scheduled_operation.credential:
        raise RightsPending("it is being deleted")
    return RequestContext(
        Caller.from_dict(scheduled_operation.caller),
        BorrowedTrust(scheduled_operation.credential, time.time,
                      lambda _credential: trials.attempt(scheduled_operation)),
    )


def _candidate(record: CheckpointRecord) -> Candidate:
    return Candidate(record.id, record.created_at, _STATES[record.status], record.created_by,
                     record.scheduled_operation_id, record.damaged)
