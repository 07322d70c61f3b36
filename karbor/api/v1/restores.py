"""Restores of the API: /restores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from karbor.api.bodies import Key, Scalar, Uuid
from karbor.api.call import Call
from karbor.api.lists import Collection, Link
from karbor.api.route_declaration import Resource, route
from karbor.api.v1 import operation_results
from karbor.api.v1.operation_results import admitted, by_state
from karbor.domain.listing import OperationFilter
from karbor.domain.operation import Operation, Verb
from karbor.domain.step import Step

Parameters = dict[Key, dict[str, Scalar] | None]


class NewRestore(msgspec.Struct, forbid_unknown_fields=True):
    """A checkpoint to be restored. `restore_target` may name this cloud's own Keystone only, and
    `restore_auth` is not used: Karbor acts as whoever asks."""

    provider_id: Uuid
    checkpoint_id: Uuid
    parameters: Parameters
    restore_target: str | None = None
    restore_auth: dict[str, Scalar | None] | None = None


class NewRestoreBody(msgspec.Struct, forbid_unknown_fields=True):
    restore: NewRestore


class RestoreView(msgspec.Struct):
    """`resources_status` has `TYPE#NEW_ID` of what is being made; `resources_reason` says what
    failed, and why: under the same keys, or that of the checkpoint for the restore as a whole."""

    id: str
    project_id: str
    provider_id: str
    checkpoint_id: str
    restore_target: str | None
    parameters: dict[str, dict[str, str]]
    status: str
    resources_status: dict[str, str]
    resources_reason: dict[str, str]


class RestoreBody(msgspec.Struct):
    restore: RestoreView


class RestoresBody(msgspec.Struct):
    restores: list[RestoreView]
    restores_links: list[Link] | UnsetType = UNSET


RESTORES = Collection("restores", ("id", "status", "created_at"), {
    "status": "Only restores of this status: in_progress, success or fail.",
    "checkpoint_id": "Only restores of this checkpoint.",
    "provider_id": "Only restores by this provider."})


class Restores(Resource):
    tag = "restores"

    @route("GET", "/restores", rule="restore:get_all", answer=RestoresBody, collection=RESTORES,
           refuses=(404,))
    def list(self, call: Call[None]) -> RestoresBody:
        """List restores, the newest first."""
        asked = call.listing()
        page = self._needs.operations.list(by_state(asked), OperationFilter(
            (Verb.RESTORE,), states_for(asked.filters.get("status"), Verb.RESTORE),
            checkpoint_id=asked.filters.get("checkpoint_id", ""),
            provider_id=asked.filters.get("provider_id", ""), with_steps=True))
        steps = self._needs.records.steps_of([operation.id for operation in page])
        return RestoresBody(
            [_view(operation, steps[operation.id]) for operation in page],
            call.next_page(asked, [operation.id for operation in page], cut=page.cut),
        )

    @route("POST", "/restores", rule="restore:create", body=NewRestoreBody, answer=RestoreBody,
           refuses=(404,))
    def create(self, call: Call[NewRestoreBody]) -> RestoreBody:
        """Restore a checkpoint. Answers before anything has been made."""
        given = call.body.restore
        made = self._needs.checkpoints.restore(
            call.context, given.provider_id, given.checkpoint_id,
            {key: value or {} for key, value in given.parameters.items()}, given.restore_target)
        return RestoreBody(self._shown(made))

    @route("GET", "/restores/{restore_id}", rule="restore:get", answer=RestoreBody,
           refuses=(404,))
    def show(self, call: Call[None]) -> RestoreBody:
        """Show how a restore stands."""
        return RestoreBody(self._shown(admitted(
            call, self._needs.operations, "Restore", call.path["restore_id"],
            (Verb.RESTORE,))))

    def _shown(self, operation: Operation) -> RestoreView:
        return _view(operation, self._needs.records.steps(operation.project_id, operation.id))


def _view(operation: Operation, steps: Sequence[Step]) -> RestoreView:
    states, reasons = operation_results.restored(operation, steps)
    return RestoreView(
        operation.id,
        operation.project_id,
        str(operation.request.get("provider_id", "")),
        operation.checkpoint_id,
        operation.request.get("target"),
        operation_results.parameters(operation),
        operation_results.status(operation),
        states,
        reasons,
    )


def states_for(status: str | None, verb: Verb) -> Sequence[tuple[Verb, Any]] | None:
    """OperationFilter states a status of the API stands for; None: it was not asked for."""
    if status is None:
        return None
    return [(verb, state) for state in operation_results.STATES.get(status, ())]
