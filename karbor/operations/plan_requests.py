"""Orders: what programs and schedules ask for, accepted at once and without a look at the cloud.

A person at a terminal waits for the desk to resolve names and to look for obstacles. A request of
the REST API is answered at once: what the desk finds out beforehand, an order finds out while it is
planned, and its record says what came of it. Nothing has been made by then in either case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from karbor.checkpoints.repository import CheckpointRepository
from karbor.domain.checkpoint import Checkpoint
from karbor.domain.errors import BadInput, NotFound, ObjectMissing
from karbor.domain.identifiers import time_ordered_uuid
from karbor.domain.operation import Operation, Verb
from karbor.operations import copy, estimate
from karbor.operations.admission import Admission, RequestContext
from karbor.operations.execution_context import Provider
from karbor.operations.parameters import Parameters, applicable, check
from karbor.operations.protect import refuse
from karbor.operations.restore import restorable
from karbor.operations.selection import Selector


@dataclass(frozen=True)
class ProtectRequest:
    """What a plan says when it is run. `resources` have `type`, `id` and `name`; `origin` is what
    the checkpoint shall remember of what asked for it (see Checkpoint)."""

    plan_id: str
    name: str
    resources: Sequence[Mapping[str, Any]]
    selectors: Sequence[Selector] = ()
    parameters: Parameters = field(default_factory=dict)
    origin: Mapping[str, Any] = field(default_factory=dict)


class PlanRequests:
    """Drafts operations; `Desk.enter` writes them down. Reads records and the bank only."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._setting = admission.setting

    def protect(self, context: RequestContext, order: ProtectRequest, *, operation_id: str = "",
                checkpoint_id: str = "") -> Operation:
        """`operation_id` is given by who may ask twice for the same. Raises BadInput,
        NoLastingCredential."""
        if not order.resources and not order.selectors:
            raise BadInput(f"plan {order.name} names no resources and no selectors")
        size = self._size_then(context, order.plan_id)
        request = {
            "plan_id": order.plan_id,
            "name": order.name,
            "resources": [
                {"type": resource["type"], "id": resource["id"], "name": resource.get("name") or ""}
                for resource in order.resources
            ],
            "selectors": [dict(selector) for selector in order.selectors],
            "parameters": {key: dict(given) for key, given in order.parameters.items()},
            "origin": dict(order.origin),
        }
        return self._admission.operation(
            context, Verb.PROTECT,
            checkpoint_id or time_ordered_uuid(self._setting.clock()), request, size,
            operation_id=operation_id)

    def restore(self, context: RequestContext, checkpoint_id: str, parameters: Parameters, *,
                target: str | None = None) -> Operation:
        """Raises NotFound, Conflict, BadInput, BankError, NoLastingCredential."""
        checkpoint = restorable(self.checkpoint(context.caller.project_id, checkpoint_id))
        graph = checkpoint.graph
        assert graph is not None    # noqa: S101 - every checkpoint of a bank has one
        protections = self._setting.provider.protections
        fit = applicable(parameters, Verb.RESTORE, graph, protections)
        if strange := sorted(set(parameters) - set(fit)):
            raise BadInput(f"parameters for {', '.join(strange)}: the checkpoint holds nothing of "
                           "the kind", remedy="keys are TYPE or TYPE#ID of what it holds")
        check(fit, Verb.RESTORE, graph, protections)
        return self._admission.operation(
            context, Verb.RESTORE, checkpoint.id,
            {"name": checkpoint.name, "map": {}, "new_networks": False, "keep": False,
             "parameters": fit, "target": target}, estimate.size_of(graph))

    def verify(
        self, context: RequestContext, checkpoint_id: str, parameters: Parameters
    ) -> Operation:
        """Raises NotFound, Conflict, BadInput, BankError, NoLastingCredential."""
        checkpoint = restorable(self.checkpoint(context.caller.project_id, checkpoint_id))
        graph = checkpoint.graph
        assert graph is not None    # noqa: S101
        check(parameters, Verb.VERIFY, graph, self._setting.provider.protections)
        return self._admission.operation(
            context, Verb.VERIFY, checkpoint.id,
            {"name": checkpoint.name, "parameters": {k: dict(v) for k, v in parameters.items()}},
            estimate.size_of(graph))

    def delete(
        self, context: RequestContext, checkpoint_id: str, *, operation_id: str = ""
    ) -> Operation:
        """Raises NotFound, BankError, NoLastingCredential."""
        checkpoint = self.checkpoint(context.caller.project_id, checkpoint_id)
        return self._admission.operation(
            context,
            Verb.DELETE,
            checkpoint.id,
            {"name": checkpoint.name},
            0,
            operation_id=operation_id,
        )

    def copy(self, context: RequestContext, checkpoint_id: str, target: Provider,
             parameters: Parameters | None = None, *, operation_id: str = "",
             copy_id: str = "") -> Operation:
        """Into the bank of `target`: the operation is that one's, and its `checkpoint_id` that of
        the copy (`copy_id`, where somebody has written it down beforehand). What stands in the way
        is known without a look at the cloud, so it is said at once. Raises NotFound, Conflict,
        Obstacles, BadInput, BankError, NoLastingCredential."""
        provider = self._setting.provider
        original = restorable(self.checkpoint(context.caller.project_id, checkpoint_id))
        graph = original.graph
        refuse(f"checkpoint {original.name or original.id} cannot be copied",
               copy.obstacles(original, provider, target))
        given = parameters or {}
        check(given, Verb.COPY, graph, target.protections)
        request = copy.request_of(original, provider, target)
        if given:
            request["parameters"] = {key: dict(one) for key, one in given.items()}
        return self._admission.operation(
            context, Verb.COPY, copy_id or time_ordered_uuid(self._setting.clock()), request,
            estimate.size_of(graph), operation_id=operation_id)

    def checkpoint(self, project_id: str, checkpoint_id: str) -> Checkpoint:
        """By its whole id, of this provider. Raises NotFound, BankError."""
        provider = self._setting.provider
        try:
            checkpoint = CheckpointRepository(provider.bank, project_id).show(checkpoint_id)
        except ObjectMissing as error:
            raise NotFound(f"this project has no checkpoint {checkpoint_id}") from error
        if checkpoint.provider_id not in ("", provider.id):
            raise NotFound(f"provider {provider.name} has no checkpoint {checkpoint_id}")
        return checkpoint

    def _size_then(self, context: RequestContext, plan_id: str) -> int:
        """What the plan came to when it was last protected: nobody has looked yet."""
        return max((estimate.moved(operation)
                    for operation in self._admission.earlier(context.caller.project_id)
                    if operation.request.get("plan_id") == plan_id), default=0)
