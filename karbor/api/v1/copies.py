"""Copies of the API: /providers/{provider_id}/checkpoints/action."""

from __future__ import annotations

import builtins

import msgspec

from karbor.api.bodies import Key, Scalar, Uuid
from karbor.api.call import Call
from karbor.api.route_declaration import Resource, route
from karbor.application.copies import Accepted
from karbor.domain.errors import BadInput

Parameters = dict[Key, dict[Key, Scalar]]


class NewCopy(msgspec.Struct, forbid_unknown_fields=True):
    """What is to be copied: the available checkpoints of a plan that the target has no copy of, or
    one checkpoint. The target is another provider; it may be left out where there is only one."""

    plan_id: Uuid | None = None
    checkpoint_id: Uuid | None = None
    target_provider_id: Uuid | None = None
    parameters: Parameters | None = None


class NewCopyBody(msgspec.Struct, forbid_unknown_fields=True):
    copy: NewCopy


class Pair(msgspec.Struct):
    """An original, its copy, and the operation that makes it."""

    checkpoint_protect_id: str
    checkpoint_copy_id: str
    operation_log_id: str


class CopyView(msgspec.Struct):
    """`checkpoint_id` is a list, as Karbor 1.x wanted it; empty where everything was copied
    before."""

    project_id: str
    provider_id: str
    target_provider_id: str
    plan_id: str | None
    parameters: Parameters
    checkpoint_id: list[Pair]


class CopyBody(msgspec.Struct):
    copy: CopyView


class Copies(Resource):
    tag = "checkpoints"

    @route("POST", "/providers/{provider_id}/checkpoints/action", rule="copy:create",
           body=NewCopyBody, answer=CopyBody, refuses=(404, 413))
    def create(self, call: Call[NewCopyBody]) -> CopyBody:
        """Copy checkpoints into the bank of another provider. Answers before anything has
        happened; what the cloud's own services hold is refused, and then nothing is copied."""
        given, provider_id = call.body.copy, call.path["provider_id"]
        parameters, admission = given.parameters or {}, self._needs.copies
        if (given.plan_id is None) == (given.checkpoint_id is None):
            raise BadInput("a copy is asked for with either plan_id or checkpoint_id")
        if given.plan_id is not None:
            plan = self._needs.plans.show(call.project_id, given.plan_id)
            accepted = admission.copy_plan(
                call.context, provider_id, plan, given.target_provider_id, parameters
            )
        else:
            accepted = admission.copy_one(call.context, provider_id, str(given.checkpoint_id),
                                          given.target_provider_id, parameters)
        return CopyBody(CopyView(
            call.project_id, provider_id, accepted.target_provider_id, given.plan_id, parameters,
            _pairs(accepted)))


def _pairs(accepted: Accepted) -> builtins.list[Pair]:
    return [Pair(*pair) for pair in accepted.pairs]
