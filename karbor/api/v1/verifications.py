"""Verifications of the API: /verifications."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, UnsetType

from karbor.api.bodies import Uuid
from karbor.api.call import Call
from karbor.api.lists import Collection, Link
from karbor.api.route_declaration import Resource, route
from karbor.api.v1 import operation_results
from karbor.api.v1.operation_results import admitted, by_state
from karbor.api.v1.restores import Parameters, states_for
from karbor.domain.listing import OperationFilter
from karbor.domain.operation import Operation, Verb
from karbor.domain.step import Step


class NewVerification(msgspec.Struct, forbid_unknown_fields=True):
    """A checkpoint that is to be read back."""

    provider_id: Uuid
    checkpoint_id: Uuid
    parameters: Parameters = {}


class NewVerificationBody(msgspec.Struct, forbid_unknown_fields=True):
    verification: NewVerification


class VerificationView(msgspec.Struct):
    """`resources_status` has `TYPE#ID` of what the checkpoint keeps; `resources_reason` says what
    is wrong with it, or how far the proof goes where it does not go all the way."""

    id: str
    project_id: str
    provider_id: str
    checkpoint_id: str
    parameters: dict[str, dict[str, str]]
    status: str
    resources_status: dict[str, str]
    resources_reason: dict[str, str]


class VerificationBody(msgspec.Struct):
    verification: VerificationView


class VerificationsBody(msgspec.Struct):
    verifications: list[VerificationView]
    verifications_links: list[Link] | UnsetType = UNSET


VERIFICATIONS = Collection("verifications", ("id", "status", "created_at"), {
    "status": "Only verifications of this status: in_progress, success or fail.",
    "checkpoint_id": "Only verifications of this checkpoint.",
    "provider_id": "Only verifications by this provider."})


class Verifications(Resource):
    tag = "verifications"

    @route("GET", "/verifications", rule="verification:get_all", answer=VerificationsBody,
           collection=VERIFICATIONS, refuses=(404,))
    def list(self, call: Call[None]) -> VerificationsBody:
        """List verifications, the newest first."""
        asked = call.listing()
        page = self._needs.operations.list(by_state(asked), OperationFilter(
            (Verb.VERIFY,), states_for(asked.filters.get("status"), Verb.VERIFY),
            checkpoint_id=asked.filters.get("checkpoint_id", ""),
            provider_id=asked.filters.get("provider_id", ""), with_steps=True))
        steps = self._needs.records.steps_of([operation.id for operation in page])
        return VerificationsBody(
            [_view(operation, steps[operation.id]) for operation in page],
            call.next_page(asked, [operation.id for operation in page], cut=page.cut),
        )

    @route("POST", "/verifications", rule="verification:create", body=NewVerificationBody,
           answer=VerificationBody, refuses=(404,))
    def create(self, call: Call[NewVerificationBody]) -> VerificationBody:
        """Read back what a checkpoint keeps. Answers before anything has been read."""
        given = call.body.verification
        made = self._needs.checkpoints.verify(
            call.context, given.provider_id, given.checkpoint_id,
            {key: value or {} for key, value in given.parameters.items()})
        return VerificationBody(self._shown(made))

    @route("GET", "/verifications/{verification_id}", rule="verification:get",
           answer=VerificationBody, refuses=(404,))
    def show(self, call: Call[None]) -> VerificationBody:
        """Show how a verification stands."""
        return VerificationBody(self._shown(admitted(
            call, self._needs.operations, "Verification", call.path["verification_id"],
            (Verb.VERIFY,))))

    def _shown(self, operation: Operation) -> VerificationView:
        return _view(operation, self._needs.records.steps(operation.project_id, operation.id))


def _view(operation: Operation, steps: Sequence[Step]) -> VerificationView:
    states, reasons = operation_results.verified(operation, steps)
    return VerificationView(
        operation.id,
        operation.project_id,
        str(operation.request.get("provider_id", "")),
        operation.checkpoint_id,
        operation_results.parameters(operation),
        operation_results.status(operation),
        states,
        reasons,
    )
