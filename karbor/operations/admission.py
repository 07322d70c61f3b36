"""Acceptance: from what somebody asks to an operation that is worth starting.

Everything that can be known beforehand is checked here: names are resolved, the checkpoint is
found and in a fit state, nobody else works on it, obstacles are looked for. What is refused here
has touched nothing. What is accepted stands in the records, and any process may drive it.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from karbor.checkpoints.repository import CheckpointRepository
from karbor.domain.caller import Caller
from karbor.domain.checkpoint import Checkpoint, CheckpointState
from karbor.domain.errors import (
    BadInput,
    Conflict,
    KarborError,
    NoLastingCredential,
    NotFound,
    StoreError,
)
from karbor.domain.identifiers import time_ordered_uuid
from karbor.domain.operation import Operation, Verb
from karbor.domain.operation_conflicts import check_conflicts
from karbor.domain.resource import Resource, ResourceGraph
from karbor.operations import copy, estimate, protect, restore
from karbor.operations.cleanup import CleanupResult, sweep
from karbor.operations.credential_lifetimes import outlasting
from karbor.operations.discovery import discover
from karbor.operations.execution_context import ExecutionContext, Provider
from karbor.operations.mapping import check_mapping
from karbor.operations.parameters import Parameters, check, parameters_of, with_names
from karbor.operations.preliminary_checks import rights, room
from karbor.operations.selection import select
from karbor.plugin.bank import Bank, Section
from karbor.plugin.cloud import Cloud
from karbor.plugin.delegation import Delegation
from karbor.plugin.protectable import DiscoveryLists
from karbor.plugin.protection import Stages

LOG = logging.getLogger(__name__)

LONGEST_NAME = 255
PROBE = 64 * 1024       # bytes
ANOTHER = 5             # times that a trust is asked for whose second another one has


class Records(Protocol):
    """Where accepted operations are kept; implemented by the store."""

    def add(self, operation: Operation, *, trust: str = "", offered: bool = False) -> None:
        """Raises Conflict when another operation on the checkpoint would be disturbed."""

    def list(self, project_id: str, *, limit: int | None = None) -> Sequence[Operation]: ...

    def live(self, project_id: str, checkpoint_id: str) -> Sequence[Operation]: ...

    def show(self, project_id: str, id_or_prefix: str) -> Operation: ...

    def note(self, operation_id: str, at: float, text: str) -> None: ...

    def withdraw(self, operation_id: str) -> None: ...

    def refuse(self, operation_id: str, error: Mapping[str, Any], now: float) -> None: ...

    def represent(self, operation_id: str, credential: Mapping[str, Any], trust: str) -> None: ...


@dataclass(frozen=True)
class RequestContext:
    """Who asks, what they can pass on to an operation, and what they see. `expected` is for how
    many seconds they say it will take; None: it is estimated."""

    caller: Caller
    delegation: Delegation
    cloud: Cloud
    expected: float | None = None


@dataclass(frozen=True)
class RestoreOptions:
    """How a restore differs from the plain one. `mapping` are the answers of `--map OLD=NEW`,
    `names` are new names by the old name, id or key of a resource."""

    mapping: Mapping[str, str] = field(default_factory=dict)
    new_networks: bool = False
    keep: bool = False
    parameters: Parameters = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Draft:
    """An operation that would be accepted: nothing has been written down yet. `warnings` are what
    does not stand in its way, and whoever asks for it should know."""

    operation: Operation
    graph: ResourceGraph
    preview: Sequence[tuple[Resource, str]] = ()
    warnings: Sequence[str] = ()

    def with_lengths(
        self, setting: ExecutionContext, stages: Callable[[Resource], Stages]
    ) -> Draft:
        """And with a line for each resource of which a single piece of a service's work is expected
        to take longer than any token of this caller lasts."""
        told = list(outlasting(self.operation, self.graph, setting, stages))
        return replace(self, preview=[*self.preview, *told]) if told else self

    @property
    def needed(self) -> float:
        """Seconds that it is expected to take."""
        return float(self.operation.credential.get("needed") or 0.0)


class Admission:
    """Where operations are drafted and accepted. Stateless; the caller comes with each call."""

    def __init__(self, setting: ExecutionContext, records: Records) -> None:
        self._setting = setting
        self._records = records

    @property
    def setting(self) -> ExecutionContext:
        return self._setting

    def earlier(self, project_id: str) -> Sequence[Operation]:
        """The last operations of a project, the newest first."""
        return self._records.list(project_id, limit=estimate.LOOKED_AT)

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
            for _ in range(ANOTHER):
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
        self._tell(operation, self._sweep(operation))

    def _sweep(self, operation: Operation) -> CleanupResult:
        """What earlier deletions had to leave costs the project quota that may be needed now."""
        if operation.verb is Verb.DELETE:
            return CleanupResult()      # it sweeps at its end, when more is free
        return sweep(self._setting.provider, operation.project_id,
                     partial(self._setting.connect, operation))

    def _tell(self, operation: Operation, swept: CleanupResult) -> None:
        told = []
        if swept.gone:
            told.append(f"removed what earlier deletions had to leave: {', '.join(swept.gone)}")
        if swept.why:
            told.append(f"what earlier deletions had to leave is still there: {swept.why}")
            LOG.warning("%s", told[-1])
        try:
            for text in told:
                self._records.note(operation.id, self._setting.clock(), text)
        except StoreError as error:
            LOG.warning("not written down: %s: %s", "; ".join(told), error)

    # ------------------------------------------------------------------ the verbs
    def protect(self, context: RequestContext, words: Sequence[str], *, name: str = "",
                parameters: Parameters | None = None) -> Draft:
        """Raises UnknownName, AmbiguousName, Obstacles, BadInput, BankError, and what the cloud
        answers."""
        if not words:
            raise BadInput("nothing was named that should be protected",
                           remedy="see what there is with: karbor resources")
        provider, cloud = self._setting.provider, context.cloud
        listings = DiscoveryLists(cloud)
        chosen = select(words, self._setting.protectables, listings, lambda: restore.origins(
            self._records.list(context.caller.project_id, limit=restore.RESTORES_LOOKED_AT)))
        title = _title(name or ", ".join(resource.name or resource.id for resource in chosen))
        graph = discover(cloud, self._setting.protectables, chosen, listings)
        check(parameters or {}, Verb.PROTECT, graph, provider.protections)
        protect.refuse(f"{title} cannot be protected as it stands", [
            *rights(context.caller, self._setting.reader_roles, "to make snapshots and backups"),
            *protect.obstacles(graph, provider, cloud)])
        self._probe_bank(context, provider.bank)
        now = self._setting.clock()
        return Draft(
            self._operation(
                context,
                Verb.PROTECT,
                time_ordered_uuid(now),
                {
                    "resources": [resource.to_dict() for resource in chosen],
                    "name": title,
                    "parameters": dict(parameters or {}),
                },
                graph,
            ),
            graph,
            protect.preview(graph, provider),
            room(provider, graph),
        ).with_lengths(
            self._setting, lambda resource: provider.protections[resource.type].protect(resource)
        )

    def restore(self, context: RequestContext, name_or_id: str,
                options: RestoreOptions | None = None) -> Draft:
        """Raises NotFound, AmbiguousName, Conflict, Obstacles, BadInput, BankError, and what the
        cloud answers."""
        options = options or RestoreOptions()
        checkpoint = restore.restorable(self._found(context, name_or_id))
        self._require_peace(context.caller.project_id, reads={checkpoint.id})
        graph = _graph(checkpoint)
        provider = self._setting.provider
        check_mapping(options.mapping, checkpoint, provider.protections)
        parameters = with_names(options.parameters, options.names, graph, provider.protections)
        check(parameters, Verb.RESTORE, graph, provider.protections)
        operation = self._operation(context, Verb.RESTORE, checkpoint.id, {
            "name": checkpoint.name, "map": dict(options.mapping),
            "new_networks": options.new_networks, "keep": options.keep,
            "parameters": parameters}, graph)
        target = restore.make_target(checkpoint, context.cloud,
                                     partial(parameters_of, operation), options.mapping)
        protect.refuse(
            f"checkpoint {checkpoint.name or checkpoint.id} cannot be restored as it stands",
            [*rights(context.caller, self._setting.reader_roles, "to make anything"),
             *restore.obstacles(checkpoint, provider, target)])
        return Draft(operation, graph, restore.preview(checkpoint, provider, target),
                     _warnings(checkpoint)).with_lengths(
            self._setting, lambda resource: provider.protections[resource.type].restore(resource))

    def verify(self, context: RequestContext, name_or_id: str) -> Draft:
        """Raises NotFound, AmbiguousName, Conflict, BankError."""
        checkpoint = restore.restorable(self._found(context, name_or_id))
        self._require_peace(context.caller.project_id, reads={checkpoint.id})
        graph = _graph(checkpoint)
        return Draft(self._operation(context, Verb.VERIFY, checkpoint.id,
                                     {"name": checkpoint.name}, graph), graph)

    def delete(self, context: RequestContext, name_or_id: str) -> Draft:
        """Raises NotFound, AmbiguousName, Conflict, BankError. A checkpoint that is being deleted
        may be deleted again: then an earlier deletion was not finished."""
        checkpoint = self._found(context, name_or_id, whatever_state=True)
        self._require_peace(context.caller.project_id, changes={checkpoint.id})
        if checkpoint.state is CheckpointState.PROTECTING and not self._known(
                context.caller.project_id, checkpoint.operation_id):
            # These records know nothing of who is making it: it may be another machine.
            raise Conflict(
                f"checkpoint {checkpoint.name or checkpoint.id} is being made by operation "
                f"{checkpoint.operation_id}, of which nothing is known here",
                remedy="finish or cancel it where it was begun")
        graph = _graph(checkpoint)
        return Draft(self._operation(context, Verb.DELETE, checkpoint.id,
                                     {"name": checkpoint.name}, graph), graph)

    def copy(self, context: RequestContext, name_or_id: str, target: Provider) -> Draft:
        """Into the bank of `target`, whose operation it is. Raises NotFound, AmbiguousName,
        Conflict, Obstacles, BankError."""
        provider = self._setting.provider
        original = restore.restorable(self._found(context, name_or_id))
        self._require_peace(context.caller.project_id, reads={original.id})
        protect.refuse(f"checkpoint {original.name or original.id} cannot be copied",
                       copy.obstacles(original, provider, target))
        self._probe_bank(context, target.bank)
        preview, size = copy.preview(original, provider)
        return Draft(
            self.operation(context, Verb.COPY, time_ordered_uuid(self._setting.clock()),
                           copy.request_of(original, provider, target), size),
            _graph(original), preview, _warnings(original))

    # ------------------------------------------------------------------ what they share
    def _found(self, context: RequestContext, name_or_id: str, *, whatever_state: bool = False
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
                   request: Mapping[str, Any], graph: ResourceGraph) -> Operation:
        return self.operation(context, verb, checkpoint_id, request, estimate.size_of(graph))

    def operation(self, context: RequestContext, verb: Verb, checkpoint_id: str,
                  request: Mapping[str, Any], size: int, *, operation_id: str = "") -> Operation:
        """One that moves `size` bytes, with the credential that fits; not written down yet. It is
        this provider's where the request does not name another one. Raises NoLastingCredential."""
        needed = context.expected
        if needed is None:
            earlier = self._records.list(context.caller.project_id, limit=estimate.LOOKED_AT)
            needed = estimate.seconds(verb, size, earlier, self._setting.slowest_rate)
        return Operation(
            id=operation_id or str(uuid.uuid4()), verb=verb, project_id=context.caller.project_id,
            caller=context.caller.to_dict(), credential=context.delegation.choose(needed),
            request={"provider_id": self._setting.provider.id, **request, "size": size},
            checkpoint_id=checkpoint_id,
            created_at=self._setting.clock())

    def _require_peace(self, project_id: str, *, reads: Set[str] = frozenset(),
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
        section.put(key, [bytes(PROBE)])
        section.delete([key])


def _graph(checkpoint: Checkpoint) -> ResourceGraph:
    assert checkpoint.graph is not None  # noqa: S101 - every checkpoint of a bank has one
    return checkpoint.graph


def _warnings(checkpoint: Checkpoint) -> Sequence[str]:
    return (checkpoint.damage,) if checkpoint.damage else ()


def _title(name: str) -> str:
    if len(name) > LONGEST_NAME:
        return name[:LONGEST_NAME - 1] + "…"
    return name
