"""Admission: from what somebody asks to an operation that is worth starting.

A person at a terminal waits while everything that can be known beforehand is checked: names are
resolved, the checkpoint is found and in a fit state, nobody else works on it, obstacles are looked
for. A program or a schedule is answered at once, without a look at the cloud: what a look finds,
its operation finds while it is planned. What is refused here has touched nothing in either case.
What is accepted stands in the records, and any process may drive it.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from karbor.application.requests import (
    CopyRequest,
    DeleteRequest,
    ProtectRequest,
    RequestContext,
    RestoreRequest,
    VerifyRequest,
)
from karbor.checkpoints.repository import CheckpointRepository
from karbor.domain.checkpoint import Checkpoint, CheckpointState
from karbor.domain.errors import (
    BadInput,
    Conflict,
    KarborError,
    NoLastingCredential,
    NotFound,
    ObjectMissing,
    StoreError,
)
from karbor.domain.identifiers import time_ordered_uuid
from karbor.domain.operation import Operation, Verb
from karbor.domain.operation_conflicts import check_conflicts
from karbor.domain.resource import Resource, ResourceGraph
from karbor.operations import copy, estimate, protect, restore
from karbor.operations.cleanup import sweep
from karbor.operations.credential_lifetimes import outlasting
from karbor.operations.discovery import discover
from karbor.operations.execution_context import ExecutionContext
from karbor.operations.parameters import applicable, check, parameters_of, with_names
from karbor.operations.preliminary_checks import rights, room, vault_key
from karbor.operations.restore_mapping import check_mapping
from karbor.operations.run import Lookup
from karbor.operations.selection import select
from karbor.plugin.bank import Bank, Section
from karbor.plugin.delegation import Delegation
from karbor.plugin.protectable import DiscoveryLists
from karbor.plugin.protection import Stages

if TYPE_CHECKING:
    from karbor.store.operations import Operations

LOG = logging.getLogger(__name__)

LONGEST_NAME = 255
PROBE_BYTES = 64 * 1024
TRUSTS_TRIED = 5        # times that a trust is asked for whose second another one has


@dataclass(frozen=True)
class Draft:
    """An operation that would be accepted: nothing has been written down yet. `graph` is what it is
    about, empty where nobody has looked yet. `warnings` are what does not stand in its way, and
    whoever asks for it should know. `lookup` is what planning need not look up again."""

    operation: Operation
    graph: ResourceGraph
    preview: Sequence[tuple[Resource, str]] = ()
    warnings: Sequence[str] = ()
    lookup: Lookup | None = None

    def with_lengths(
        self, setting: ExecutionContext, stages: Callable[[Resource], Stages]
    ) -> Draft:
        """And with a line for each resource of which a single piece of a service's work is expected
        to take longer than any token of this caller lasts."""
        lengths = list(outlasting(self.operation, self.graph, setting, stages))
        return replace(self, preview=[*self.preview, *lengths]) if lengths else self

    @property
    def needed(self) -> float:
        """Seconds that it is expected to take."""
        return float(self.operation.credential.get("needed") or 0.0)


class Admission:
    """Where operations are drafted and accepted. Stateless; the caller comes with each call."""

    def __init__(self, setting: ExecutionContext, records: Operations) -> None:
        self._setting = setting
        self._records = records

    def accept(self, draft: Draft, delegation: Delegation) -> Operation:
        """`enter` it for this process to drive, and tidy up beside it."""
        operation = self.enter(draft.operation, delegation)
        self.tidy(operation)
        return operation

    def enter(self, operation: Operation, delegation: Delegation, *, offered: bool = False
              ) -> Operation:
        """Write it down as queued, with the credential that it will run on: what that wants of
        Keystone is made after the record stands and before it is driven. `offered`: workers drive
        it, and do so from then on; else whoever calls this does.

        Raises Conflict when somebody else has begun to work on the checkpoint since it was
        drafted, and CredentialError when the credential cannot be had."""
        operation = replace(operation, created_at=self._setting.clock())
        wanted = delegation.wants(operation.credential)
        self._records.add(operation, trust=wanted, offered=offered)
        if wanted:
            operation = self._granted(operation, delegation)
        return operation

    def _granted(self, operation: Operation, delegation: Delegation) -> Operation:
        credential = operation.credential
        try:
            for _ in range(TRUSTS_TRIED):
                try:
                    credential = delegation.grant(credential)
                    break
                except Conflict:
                    credential = delegation.choose(float(credential.get("needed") or 0.0))
                    self._records.represent(operation.id, credential,
                                            delegation.wants(credential))
            else:
                raise Conflict("Keystone has a trust like each one that was asked for",
                               remedy="try again")
        except NoLastingCredential:
            self._records.withdraw(operation.id)    # nothing was made, so nothing is kept of it
            raise
        except KarborError as error:
            # Something may have been made: what is recorded is what finds it again.
            self._records.refuse(operation.id, error.facts(), self._setting.clock())
            raise
        self._records.represent(operation.id, credential, delegation.wants(credential))
        return replace(operation, credential=credential)

    def tidy(self, operation: Operation) -> None:
        """What is done beside an operation at its beginning, and when it is resumed: what earlier
        deletions had to leave is removed. Raises nothing."""
        if operation.verb is Verb.DELETE:
            return      # it sweeps at its end, when more is free
        # What earlier deletions had to leave costs the project quota that may be needed now.
        swept = sweep(self._setting.provider, operation.project_id,
                      partial(self._setting.connect, operation))
        events = []
        if swept.gone:
            events.append(f"removed what earlier deletions had to leave: {', '.join(swept.gone)}")
        if swept.why:
            events.append(f"what earlier deletions had to leave is still there: {swept.why}")
            LOG.warning("%s", events[-1])
        try:
            for text in events:
                self._records.note(operation.id, self._setting.clock(), text)
        except StoreError as error:
            LOG.warning("not written down: %s: %s", "; ".join(events), error)

    # ------------------------------------------------------------------ the verbs
    def protect(self, context: RequestContext, request: ProtectRequest) -> Draft:
        """Raise BadInput and NoLastingCredential; with a look at the cloud also UnknownName,
        AmbiguousName, Obstacles, BankError, and what the cloud answers."""
        if context.cloud is None:
            return self._protect_plan(context, request)
        if not request.words:
            raise BadInput("nothing was named that should be protected",
                           remedy="see what there is with: karbor resources")
        provider, cloud = self._setting.provider, context.cloud
        looked_at = self._setting.clock()
        listings = DiscoveryLists(cloud)
        protectables = self._setting.protectables
        chosen = select(request.words, protectables, listings, lambda: restore.origins(
            self._records.list(context.caller.project_id, limit=restore.RESTORES_LOOKED_AT)))
        title = _title(request.name or ", ".join(each.name or each.id for each in chosen))
        graph = discover(cloud, protectables, chosen, listings)
        check(request.parameters, Verb.PROTECT, graph, provider.protections)
        protect.refuse(f"{title} cannot be protected as it stands", [
            *rights(context.caller, self._setting.reader_roles, "to make snapshots and backups"),
            *vault_key(provider, context.caller.project_id),
            *protect.obstacles(graph, provider, cloud)])
        self._probe_bank(context, provider.bank)
        operation = self._operation(
            context, Verb.PROTECT, time_ordered_uuid(self._setting.clock()),
            {"resources": [resource.to_dict() for resource in chosen], "name": title,
             "parameters": dict(request.parameters)}, estimate.size_of(graph))
        return Draft(
            operation, graph, protect.preview(graph, provider), room(provider, graph),
            Lookup(graph, looked_at),
        ).with_lengths(
            self._setting, lambda resource: provider.protections[resource.type].protect(resource))

    def _protect_plan(self, context: RequestContext, request: ProtectRequest) -> Draft:
        if not request.resources and not request.selectors:
            raise BadInput(f"plan {request.name} names no resources and no selectors")
        # What it came to when it was last protected: nobody has looked yet.
        earlier = self._records.list(context.caller.project_id, limit=estimate.LOOKED_AT)
        size = max((estimate.moved(operation) for operation in earlier
                    if operation.request.get("plan_id") == request.plan_id), default=0)
        operation = self._operation(
            context, Verb.PROTECT,
            request.checkpoint_id or time_ordered_uuid(self._setting.clock()), {
                "plan_id": request.plan_id,
                "name": request.name,
                "resources": [{"type": resource["type"], "id": resource["id"],
                               "name": resource.get("name") or ""}
                              for resource in request.resources],
                "selectors": [dict(selector) for selector in request.selectors],
                "parameters": {key: dict(given) for key, given in request.parameters.items()},
                "origin": dict(request.origin),
            }, size, operation_id=request.operation_id, earlier=earlier)
        return Draft(operation, ResourceGraph.build([], lambda _level: {}))

    def restore(self, context: RequestContext, request: RestoreRequest) -> Draft:
        """Raise NotFound, Conflict, BadInput, BankError and NoLastingCredential; with a look at the
        cloud also AmbiguousName, Obstacles, and what the cloud answers."""
        options, provider = request.options, self._setting.provider
        looked_at = self._setting.clock()
        checkpoint = self._readable(context, request.checkpoint)
        graph = checkpoint.graph
        if context.cloud is None:
            parameters = applicable(options.parameters, Verb.RESTORE, graph, provider.protections)
            if strange := sorted(set(options.parameters) - set(parameters)):
                raise BadInput(f"parameters for {', '.join(strange)}: the checkpoint holds nothing "
                               "of the kind", remedy="keys are TYPE or TYPE#ID of what it holds")
        else:
            check_mapping(options.mapping, checkpoint, provider.protections)
            parameters = with_names(options.parameters, options.names, graph, provider.protections)
        check(parameters, Verb.RESTORE, graph, provider.protections)
        asked = {"name": checkpoint.name, "map": dict(options.mapping),
                 "new_networks": options.new_networks, "keep": options.keep,
                 "parameters": parameters}
        if context.cloud is None:
            asked["target"] = request.target
        operation = self._operation(context, Verb.RESTORE, checkpoint.id, asked,
                                    estimate.size_of(graph))
        if context.cloud is None:
            return Draft(operation, graph)
        target = restore.make_target(checkpoint, context.cloud,
                                     partial(parameters_of, operation), options.mapping)
        protect.refuse(
            f"checkpoint {checkpoint.name or checkpoint.id} cannot be restored as it stands",
            [*rights(context.caller, self._setting.reader_roles, "to make anything"),
             *vault_key(provider, checkpoint.project_id),
             *restore.obstacles(checkpoint, provider, target)])
        return Draft(operation, graph, restore.preview(checkpoint, provider, target),
                     _warnings(checkpoint), Lookup(graph, looked_at)).with_lengths(
            self._setting, lambda resource: provider.protections[resource.type].restore(resource))

    def verify(self, context: RequestContext, request: VerifyRequest) -> Draft:
        """Raise NotFound, AmbiguousName, Conflict, BadInput, BankError and NoLastingCredential."""
        checkpoint = self._readable(context, request.checkpoint)
        asked: dict[str, Any] = {"name": checkpoint.name}
        if context.cloud is None:
            check(request.parameters, Verb.VERIFY, checkpoint.graph,
                  self._setting.provider.protections)
            asked["parameters"] = {key: dict(given) for key, given in request.parameters.items()}
        return Draft(self._operation(context, Verb.VERIFY, checkpoint.id, asked,
                                     estimate.size_of(checkpoint.graph)), checkpoint.graph)

    def delete(self, context: RequestContext, request: DeleteRequest) -> Draft:
        """Raise NotFound, AmbiguousName, Conflict, BankError and NoLastingCredential. A checkpoint
        that is being deleted may be deleted again: then an earlier deletion was not finished."""
        project_id = context.caller.project_id
        if context.cloud is None:
            checkpoint, size = self.checkpoint(project_id, request.checkpoint), 0
        else:
            checkpoint = self._find(context, request.checkpoint, whatever_state=True)
            self._check_conflicts(project_id, changes={checkpoint.id})
            if checkpoint.state is CheckpointState.PROTECTING and not self._known(
                    project_id, checkpoint.operation_id):
                # These records know nothing of who is making it: it may be another machine.
                raise Conflict(
                    f"checkpoint {checkpoint.name or checkpoint.id} is being made by operation "
                    f"{checkpoint.operation_id}, of which nothing is known here",
                    remedy="finish or cancel it where it was begun")
            size = estimate.size_of(checkpoint.graph)
        operation = self._operation(context, Verb.DELETE, checkpoint.id, {"name": checkpoint.name},
                                    size, operation_id=request.operation_id)
        return Draft(operation, checkpoint.graph)

    def copy(self, context: RequestContext, request: CopyRequest) -> Draft:
        """Raise NotFound, AmbiguousName, Conflict, Obstacles, BadInput, BankError and
        NoLastingCredential. What stands in the way of a copy is known without a look at the
        cloud."""
        provider, target = self._setting.provider, request.target
        original = self._readable(context, request.checkpoint)
        protect.refuse(f"checkpoint {original.name or original.id} cannot be copied",
                       copy.obstacles(original, provider, target))
        check(request.parameters, Verb.COPY, original.graph, target.protections)
        asked = copy.request_of(original, provider, target)
        if request.parameters:
            asked["parameters"] = {key: dict(given) for key, given in request.parameters.items()}
        preview: Sequence[tuple[Resource, str]] = ()
        if context.cloud is None:
            size = estimate.size_of(original.graph)
        else:
            self._probe_bank(context, target.bank)
            preview, size = copy.preview(original, provider)
        operation = self._operation(
            context, Verb.COPY, request.copy_id or time_ordered_uuid(self._setting.clock()), asked,
            size)
        return Draft(operation, original.graph, preview, _warnings(original))

    # ------------------------------------------------------------------ what they share
    def checkpoint(self, project_id: str, checkpoint_id: str) -> Checkpoint:
        """Return the checkpoint of this provider by its whole id. Raise NotFound, BankError."""
        provider = self._setting.provider
        try:
            checkpoint = CheckpointRepository(provider.bank, project_id).show(checkpoint_id)
        except ObjectMissing as error:
            raise NotFound(f"this project has no checkpoint {checkpoint_id}") from error
        if checkpoint.provider_id not in ("", provider.id):
            raise NotFound(f"provider {provider.name} has no checkpoint {checkpoint_id}")
        return checkpoint

    def _readable(self, context: RequestContext, name_or_id: str) -> Checkpoint:
        """Return one that is available; with a look, that nobody is changing either."""
        if context.cloud is None:
            return restore.restorable(self.checkpoint(context.caller.project_id, name_or_id))
        checkpoint = restore.restorable(self._find(context, name_or_id))
        self._check_conflicts(context.caller.project_id, reads={checkpoint.id})
        return checkpoint

    def _find(self, context: RequestContext, name_or_id: str, *, whatever_state: bool = False
              ) -> Checkpoint:
        """One of this provider: what another one keeps only its own protections understand, also
        where both have the same bank."""
        provider = self._setting.provider
        checkpoint = CheckpointRepository(provider.bank, context.caller.project_id).find(
            name_or_id, whatever_state=whatever_state)
        if checkpoint.provider_id not in ("", provider.id):
            raise Conflict(
                f"checkpoint {checkpoint.name or checkpoint.id} was made by another provider than "
                f"{provider.name}", remedy=f"name that one: --provider {checkpoint.provider_id}")
        return checkpoint

    def _operation(self, context: RequestContext, verb: Verb, checkpoint_id: str,
                   request: Mapping[str, Any], size: int, *, operation_id: str = "",
                   earlier: Sequence[Operation] | None = None) -> Operation:
        """Return one that moves `size` bytes, with the credential that fits; not written down yet.
        It is this provider's where the request does not name another one. `earlier`: the last
        operations of the project, where they are known already. Raise NoLastingCredential."""
        needed = context.expected
        if needed is None:
            if earlier is None:
                earlier = self._records.list(context.caller.project_id, limit=estimate.LOOKED_AT)
            needed = estimate.seconds(verb, size, earlier, self._setting.slowest_rate)
        return Operation(
            id=operation_id or str(uuid.uuid4()), verb=verb, project_id=context.caller.project_id,
            caller=context.caller.to_dict(), credential=context.delegation.choose(needed),
            request={"provider_id": self._setting.provider.id, **request, "size": size},
            checkpoint_id=checkpoint_id,
            created_at=self._setting.clock())

    def _check_conflicts(self, project_id: str, *, reads: Set[str] = frozenset(),
                       changes: Set[str] = frozenset()) -> None:
        """Said early; what counts is said when it is written down."""
        for read in sorted(reads | changes):
            check_conflicts(self._records.live(project_id, read), reads=reads, changes=changes)

    def _known(self, project_id: str, operation_id: str) -> bool:
        try:
            self._records.show(project_id, operation_id)
        except NotFound:
            return False
        return True

    @staticmethod
    def _probe_bank(context: RequestContext, bank: Bank) -> None:
        """A bank that is full or read-only should say so before the cloud is asked for anything."""
        section = Section(bank, f"projects/{context.caller.project_id}")
        key = f"probes/{uuid.uuid4()}"
        section.put(key, [bytes(PROBE_BYTES)])
        section.delete([key])


def _warnings(checkpoint: Checkpoint) -> Sequence[str]:
    return (checkpoint.damage,) if checkpoint.damage else ()


def _title(name: str) -> str:
    if len(name) > LONGEST_NAME:
        return name[:LONGEST_NAME - 1] + "…"
    return name
