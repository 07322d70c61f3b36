"""Checkpoint requests: what the REST API asks of Karbor, beyond what it reads from the database."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from karbor.application.clouds import UNDO_SECONDS
from karbor.application.requests import (
    DeleteRequest,
    ProtectRequest,
    RequestContext,
    RestoreOptions,
    RestoreRequest,
    VerifyRequest,
)
from karbor.application.restore_target import must_be_here
from karbor.application.service_context import Requester, ServiceContext
from karbor.domain.checkpoint import CheckpointState
from karbor.domain.checkpoint_record import MANUAL, CheckpointRecord, RecordStatus, may_be_reset
from karbor.domain.errors import BadInput, Conflict, Forbidden, NotFound
from karbor.domain.listing import CheckpointFilter, Listing, Page
from karbor.domain.operation import Operation
from karbor.domain.plan import Plan
from karbor.domain.resource import ResourceGraph
from karbor.operations.discovery import discover
from karbor.operations.execution_context import Provider
from karbor.operations.parameters import Parameters
from karbor.plugin.protectable import DiscoveryLists, composite_of

Wake = Callable[[], None]
"""Tell a worker of this process, if there is one, that something was accepted."""


class CheckpointRequests:
    """One per process, for all its threads. What a requester asks for is looked up in their own
    project."""

    def __init__(self, service: ServiceContext, wake_up: Wake) -> None:
        self._service = service
        self._wake_up = wake_up

    # ------------------------------------------------------------------ protectables
    def types(self) -> Mapping[str, Sequence[str]]:
        """Resource type → the types that may belong to it."""
        known = self._service.protectables
        return {type: [other for other, protectable in known.items() if type in protectable.parents]
                for type in known}

    def instances(self, who: Requester, type: str) -> ResourceGraph:
        """All of the type in the requester's project (`start` of the graph) with what belongs to
        them. Raises NotFound for an unknown type, and what the cloud answers."""
        with self._service.admitted(who) as cloud:
            listings = DiscoveryLists(cloud)
            protectables = self._service.protectables
            if type not in protectables:
                raise BadInput("Invalid input received: Invalid protectable type provided.")
            return discover(cloud, protectables, protectables[type].list(listings), listings)

    def holder(self, who: Requester, type: str, id: str) -> str:
        """The id of the resource of this type by which the thing of this id is protected, as a
        network is by its topology; "" when there is none. Raises what the cloud answers."""
        with self._service.admitted(who) as cloud:
            composite = composite_of(self._service.protectables.get(type))
            holder = composite and composite.holding(id, DiscoveryLists(cloud), by_name=False)
            return holder.id if holder else ""

    # ------------------------------------------------------------------ checkpoints
    def protect(self, who: Requester, provider_id: str, plan: Plan,
                extra_info: Mapping[str, Any] | None = None) -> CheckpointRecord:
        """Accept a run of the plan. Raises BadInput, NotFound, OverQuota, NoLastingCredential,
        CredentialError; nothing is left behind then."""
        if plan.provider_id != provider_id:
            raise BadInput(f"Invalid plan: plan {plan.id} belongs to another provider "
                           f"({plan.provider_id})")
        with self._service.context(who) as context:
            request = protect_request_of(plan, {**(extra_info or {}), "created_by": MANUAL})
            return self.accept_protect(context, self.provider(provider_id), request)

    def accept_protect(self, context: RequestContext, provider: Provider, request: ProtectRequest
                       ) -> CheckpointRecord:
        """The record stands before the operation, whose caller may ask for it at once."""
        admission = self._service.admission(provider)
        operation = admission.protect(context, request).operation
        record = CheckpointRecord(
            operation.checkpoint_id, context.caller.project_id, provider.id, request.name,
            RecordStatus.PROTECTING, time.time(), plan_id=request.plan_id,
            origin=dict(request.origin), operation_id=operation.id)
        self._service.checkpoints.add(record)
        try:
            admission.enter(operation, context.delegation, offered=True)
        except BaseException:
            self._service.checkpoints.drop(record.project_id, record.id)
            raise
        self._wake_up()
        return record

    def checkpoints(self, project_id: str | None, provider_id: str, listing: Listing,
                    span: CheckpointFilter) -> Page[CheckpointRecord]:
        """Raises NotFound, BadInput, BankError."""
        if project_id is not None:
            self._service.bank_records.refresh(self.provider(provider_id), project_id)
        self._service.checkpoints.settle()
        return self._service.checkpoints.list(listing, span)

    def checkpoint(self, project_id: str | None, provider_id: str, checkpoint_id: str
                   ) -> CheckpointRecord:
        """Also a deleted one. Raises NotFound, BankError."""
        self._service.checkpoints.settle()
        try:
            record = self._service.checkpoints.show(project_id, checkpoint_id)
        except NotFound:
            if project_id is None:
                raise
            # Made by a command, and not looked for yet.
            self._service.bank_records.refresh(self.provider(provider_id), project_id)
            record = self._service.checkpoints.show(project_id, checkpoint_id)
        if record.provider_id != provider_id:
            raise NotFound(f"Checkpoint {checkpoint_id} could not be found.")
        return record

    def delete(self, who: Requester, provider_id: str, checkpoint_id: str) -> None:
        """Raises NotFound, Conflict, BankError, CredentialError."""
        project_id = who.caller.project_id
        record = self.checkpoint(project_id, provider_id, checkpoint_id)
        if not record.status.deletable:
            raise Conflict(f"The checkpoint {checkpoint_id} can not be deleted: it is "
                           f"{record.status}.")
        if self.forget_unmade(record):
            return
        with self._service.context(who) as context:
            self.accept_delete(context, self.provider(provider_id), checkpoint_id)

    def forget_unmade(self, record: CheckpointRecord) -> bool:
        """Set a checkpoint that failed before it came to the bank to deleted: there is nothing else
        to remove. Return whether it was one."""
        if record.status is not RecordStatus.ERROR or record.graph is not None:
            return False
        self._service.checkpoints.set_status(record.project_id, record.id, RecordStatus.DELETED,
                                             record.reason, time.time())
        return True

    def accept_delete(self, context: RequestContext, provider: Provider, checkpoint_id: str
                      ) -> Operation:
        """Raises as `delete`."""
        admission = self._service.admission(provider)
        operation = admission.delete(context, DeleteRequest(checkpoint_id)).operation
        entered = admission.enter(operation, context.delegation, offered=True)
        self._service.checkpoints.work_on(context.caller.project_id, checkpoint_id, entered.id,
                                          RecordStatus.DELETING, time.time())
        self._wake_up()
        return entered

    def reset(self, who: Requester, provider_id: str, checkpoint_id: str, status: RecordStatus
              ) -> None:
        """Raises NotFound, BadInput, BankError."""
        project_id = who.caller.project_id
        record = self.checkpoint(project_id, provider_id, checkpoint_id)
        in_bank: CheckpointState | None = None
        if status is RecordStatus.AVAILABLE:
            admission = self._service.admission(self.provider(provider_id))
            try:
                in_bank = admission.checkpoint(project_id, checkpoint_id).state
            except NotFound:
                in_bank = None
        if why := may_be_reset(record, status, in_bank):
            raise BadInput(why)
        self._service.checkpoints.reset(
            project_id, checkpoint_id, status,
            "" if status is RecordStatus.AVAILABLE else f"reset by {who.caller.user_id}",
            time.time())

    # ------------------------------------------------------------------ restore, verify
    def restore(self, who: Requester, provider_id: str, checkpoint_id: str,
                parameters: Parameters, target: str | None) -> Operation:
        """Raises NotFound, Conflict, BadInput, BankError, NoLastingCredential, CredentialError."""
        if target:
            must_be_here(target, who.token_body, self._service.keystone)
        self.available(who, provider_id, checkpoint_id)
        provider = self.provider(provider_id)
        request = RestoreRequest(checkpoint_id, RestoreOptions(parameters=parameters), target)
        with self._service.context(who) as context:
            admission = self._service.admission(provider)
            operation = admission.restore(context, request).operation
            entered = admission.enter(operation, context.delegation, offered=True)
        self._wake_up()
        return entered

    def verify(self, who: Requester, provider_id: str, checkpoint_id: str, parameters: Parameters
               ) -> Operation:
        """Raises as `restore`."""
        self.available(who, provider_id, checkpoint_id)
        provider = self.provider(provider_id)
        request = VerifyRequest(checkpoint_id, parameters)
        with self._service.context(who) as context:
            admission = self._service.admission(provider)
            operation = admission.verify(context, request).operation
            entered = admission.enter(operation, context.delegation, offered=True)
        self._wake_up()
        return entered

    def available(self, who: Requester, provider_id: str, checkpoint_id: str) -> CheckpointRecord:
        """One that somebody has set to `error` is not to be used, whatever the bank says. Raises
        NotFound, Conflict."""
        record = self.checkpoint(who.caller.project_id, provider_id, checkpoint_id)
        if record.status is not RecordStatus.AVAILABLE:
            raise Conflict(f"checkpoint {checkpoint_id} is {record.status}"
                           + (f": {record.reason}" if record.reason else ""),
                           remedy="only an available checkpoint can be used")
        return record

    # ------------------------------------------------------------------ what they share
    def provider(self, provider_id: str) -> Provider:
        """One that is enabled, as its file says now. Raises NotFound, BankError."""
        for info in self._service.providers.list():
            if info.id == provider_id and info.enabled:
                return self._service.providers.open(info)
        raise NotFound(f"Provider {provider_id} could not be found.")

    def remove_left(self, who: Requester, operation: Operation) -> Operation:
        """Have workers remove what an operation that is over had to leave, on what the requester
        can pass on. Raises Conflict where nothing is left, Forbidden, CredentialError."""
        if who.caller.project_id != operation.project_id:
            raise Forbidden(
                f"operation {operation.id} belongs to the project {operation.project_id}: what is "
                "left of it can only be removed on rights in that",
                remedy="ask with a token for that project")
        if not operation.result.get("left"):
            raise Conflict(f"operation {operation.id} is {operation.state}, and nothing is left of "
                           "it")
        with self._service.context(who) as context:
            taken = self._service.clouds.trusts.taken_up(
                operation, context.delegation, UNDO_SECONDS, offered=True)
        self._wake_up()
        return taken

    def enter(self, context: RequestContext, provider: Provider, operation: Operation) -> Operation:
        """Write it down for the workers. Raises Conflict, CredentialError."""
        entered = self._service.admission(provider).enter(operation, context.delegation,
                                                            offered=True)
        self._wake_up()
        return entered


def protect_request_of(plan: Plan, extra_info: Mapping[str, Any], scheduled_operation_id: str = "",
                       *, operation_id: str = "", checkpoint_id: str = "") -> ProtectRequest:
    """What a run of the plan is asked for, and what its checkpoint will remember."""
    origin = {"created_by": extra_info.get("created_by", MANUAL),
              "extra_info": dict(extra_info),
              "plan": {"id": plan.id, "name": plan.name, "provider_id": plan.provider_id,
                       "resources": [dict(resource) for resource in plan.resources]}}
    if scheduled_operation_id:
        origin["scheduled_operation_id"] = scheduled_operation_id
    return ProtectRequest(
        name=plan.name, plan_id=plan.id, resources=plan.resources,
        selectors=[selector.to_dict() for selector in plan.selectors],
        parameters={key: dict(given or {}) for key, given in plan.parameters.items()},
        origin=origin, operation_id=operation_id, checkpoint_id=checkpoint_id)
