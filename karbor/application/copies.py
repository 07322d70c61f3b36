"""Copies: what a program asks for of checkpoints that are to be in another bank too."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from karbor.application.checkpoints import CheckpointRequests
from karbor.application.requests import CopyRequest
from karbor.application.service_context import Requester, ServiceContext
from karbor.domain.checkpoint_record import CheckpointRecord, RecordStatus
from karbor.domain.errors import BadInput, Conflict
from karbor.domain.identifiers import time_ordered_uuid
from karbor.domain.operation import Operation, Wanted
from karbor.domain.plan import Plan
from karbor.operations.copy import COPIED_FROM, origin_of
from karbor.operations.execution_context import Provider
from karbor.operations.parameters import Parameters


@dataclass(frozen=True)
class Accepted:
    """Copies that were accepted, as (original, copy, operation)."""

    target_provider_id: str
    pairs: Sequence[tuple[str, str, str]]


class CheckpointCopies:
    """One per process, for all its threads."""

    def __init__(self, service: ServiceContext, requests: CheckpointRequests) -> None:
        self._service = service
        self._requests = requests

    def copy_plan(self, who: Requester, provider_id: str, plan: Plan, target_id: str | None,
                  parameters: Parameters) -> Accepted:
        """Its available checkpoints which the target has no copy of, and none is being made. Raises
        as `copy_one`, and BadInput when the plan has none at all."""
        if plan.provider_id != provider_id:
            raise BadInput(f"Invalid plan: plan {plan.id} belongs to another provider "
                           f"({plan.provider_id})")
        source, target = self._source(who, provider_id), self._target(provider_id, target_id)
        made = self._service.checkpoints.of_plan(who.caller.project_id, plan.id)
        originals = [record for record in made if record.provider_id == source.id
                     and record.status is RecordStatus.AVAILABLE]
        if not originals:
            raise BadInput(f"plan {plan.id} has no available checkpoint in the bank of provider "
                           f"{source.name}", remedy="protect it first")
        copied = {record.origin[COPIED_FROM]["checkpoint_id"] for record in made
                  if COPIED_FROM in record.origin and record.provider_id == target.id
                  and record.status in (RecordStatus.AVAILABLE, RecordStatus.COPYING)}
        return self._accept(
            who,
            source,
            target,
            [original for original in originals if original.id not in copied],
            parameters,
        )

    def copy_one(self, who: Requester, provider_id: str, checkpoint_id: str,
                 target_id: str | None, parameters: Parameters) -> Accepted:
        """Raises NotFound, Conflict, Obstacles, BadInput, OverQuota, BankError,
        NoLastingCredential, CredentialError; nothing is left behind then."""
        source, target = self._source(who, provider_id), self._target(provider_id, target_id)
        original = self._requests.available(who, provider_id, checkpoint_id)
        return self._accept(who, source, target, [original], parameters)

    def _source(self, who: Requester, provider_id: str) -> Provider:
        source = self._requests.provider(provider_id)
        self._service.bank_records.refresh(source, who.caller.project_id)
        self._service.checkpoints.settle()
        return source

    def _target(self, provider_id: str, target_id: str | None) -> Provider:
        """Karbor 1.x had no word for it: without one it is the only other provider."""
        if target_id is not None:
            return self._requests.provider(target_id)
        others = [info for info in self._service.providers.list()
                  if info.enabled and info.id != provider_id]
        if len(others) != 1:
            named = ", ".join(f"{other.name} ({other.id})" for other in others) or "there is none"
            raise BadInput("where to copy to is not said", remedy="name it as target_provider_id: "
                           + named)
        return self._service.providers.open(others[0])

    def _accept(self, who: Requester, source: Provider, target: Provider,
                originals: Sequence[CheckpointRecord], parameters: Parameters) -> Accepted:
        """All are judged before the first is accepted."""
        if not originals:
            return Accepted(target.id, [])
        admission = self._service.admission(source)
        with self._service.context(who) as context:
            drafts = [(record, admission.copy(context, CopyRequest(
                record.id, target, parameters, time_ordered_uuid(time.time()))).operation)
                      for record in originals]
            # For all of them there is room, or for none: a part is not what was asked for.
            self._service.checkpoints.add(*(_record(original, draft, source, target)
                                            for original, draft in drafts))
            accepted: list[Operation] = []
            try:
                for _, draft in drafts:
                    accepted.append(self._requests.enter(context, target, draft))
            except BaseException:
                self._take_back(accepted, [draft for _, draft in drafts[len(accepted):]])
                raise
        return Accepted(target.id, [(original.id, draft.checkpoint_id, draft.id)
                                    for original, draft in drafts])

    def _take_back(self, accepted: Sequence[Operation], others: Sequence[Operation]) -> None:
        """Of copies that were asked for together, and of which one was refused."""
        for other in others:
            self._service.checkpoints.drop(other.project_id, other.checkpoint_id)
        for other in accepted:
            with suppress(Conflict):        # it is over already
                self._service.records.want(other.project_id, other.id, Wanted.CANCEL)


def _record(original: CheckpointRecord, draft: Operation, source: Provider, target: Provider
            ) -> CheckpointRecord:
    return CheckpointRecord(
        draft.checkpoint_id, original.project_id, target.id, original.name, RecordStatus.COPYING,
        time.time(), plan_id=original.plan_id, origin=origin_of(original, source),
        operation_id=draft.id)
