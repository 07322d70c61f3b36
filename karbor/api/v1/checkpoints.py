"""Checkpoints of the API: /providers/{provider_id}/checkpoints."""

from __future__ import annotations

import builtins
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from karbor.api.bodies import Key, Nothing, Scalar, Uuid
from karbor.api.call import Call
from karbor.api.lists import Collection, Link
from karbor.api.route_declaration import Resource, route
from karbor.domain.checkpoint_record import CheckpointRecord, RecordStatus
from karbor.domain.errors import BadInput, Forbidden
from karbor.domain.listing import CheckpointFilter
from karbor.domain.resource import ResourceGraph
from karbor.domain.times import iso_timestamp
from karbor.domain.verification import told


class NewCheckpoint(msgspec.Struct, forbid_unknown_fields=True):
    """Protect what the plan says, now. Karbor 1.x's own client and server disagree about the name
    of `extra-info`: both are understood."""

    plan_id: Uuid
    extra_info: dict[Key, Scalar] | None = msgspec.field(name="extra-info", default=None)
    extra_info_: dict[Key, Scalar] | None = msgspec.field(name="extra_info", default=None)


class NewCheckpointBody(msgspec.Struct, forbid_unknown_fields=True):
    checkpoint: NewCheckpoint


class State(msgspec.Struct, forbid_unknown_fields=True):
    state: Literal["available", "error"]


class ResetBody(msgspec.Struct, forbid_unknown_fields=True):
    reset: State = msgspec.field(name="os-resetState")


class DamageView(msgspec.Struct):
    """A resource of which something is missing or not as it was kept."""

    type: str
    id: str
    name: str
    reason: str


class LastVerification(msgspec.Struct):
    """What the last verify of a checkpoint found, when, and by which operation. `evidence` is the
    weakest proof of what is as it was kept (`status`, `metadata`, `objects`, `checksums`)."""

    operation_log_id: str
    verified_at: str
    evidence: str
    damage: list[DamageView]


class CheckpointView(msgspec.Struct):
    """What was kept of an application at one time. `resource_graph` and `extra_info` are JSON
    within a text, as Karbor 1.x has it; `reason` says why it is in error, or what is damaged.
    `damaged` says whether its last verify found damage; `verification` is null before there was
    one."""

    id: str
    project_id: str
    status: str
    protection_plan: dict[str, Any]
    resource_graph: str
    created_at: str
    extra_info: str
    reason: str
    operation_log_id: str
    damaged: bool
    verification: LastVerification | None


class CheckpointBody(msgspec.Struct):
    checkpoint: CheckpointView


class CheckpointsBody(msgspec.Struct):
    checkpoints: list[CheckpointView]
    checkpoints_links: list[Link] | UnsetType = UNSET


CHECKPOINTS = Collection("checkpoints", ("id", "status", "created_at", "name"), {
    "plan_id": "Only checkpoints of this plan.",
    "start_date": "Only checkpoints made on this day (YYYY-MM-DD, UTC) or later.",
    "end_date": "Only checkpoints made on this day (YYYY-MM-DD, UTC) or earlier.",
    "status": "Only checkpoints of this status."})
_ALL = "/providers/{provider_id}/checkpoints"
_ONE = f"{_ALL}/{{checkpoint_id}}"


class Checkpoints(Resource):
    tag = "checkpoints"

    @route("GET", _ALL, rule="provider:checkpoint_get_all", answer=CheckpointsBody,
           collection=CHECKPOINTS, refuses=(404,))
    def list(self, call: Call[None]) -> CheckpointsBody:
        """List checkpoints, the newest first, without those that were deleted."""
        asked = call.listing()
        provider_id = call.path["provider_id"]
        span = CheckpointFilter(provider_id, asked.filters.get("plan_id", ""),
                    _day(asked.filters, "start_date"), _day(asked.filters, "end_date", after=True))
        page = self._needs.checkpoints.checkpoints(
            asked.project_id, provider_id, replace(asked, filters={
                name: value for name, value in asked.filters.items() if name == "status"}), span)
        return CheckpointsBody([view(record) for record in page],
                               call.next_page(asked, [record.id for record in page], cut=page.cut))

    @route("POST", _ALL, rule="provider:checkpoint_create", body=NewCheckpointBody,
           answer=CheckpointBody, refuses=(404, 413))
    def create(self, call: Call[NewCheckpointBody]) -> CheckpointBody:
        """Protect what a plan says, now. Answers before anything has happened."""
        given = call.body.checkpoint
        plan = self._needs.plans.show(call.project_id, given.plan_id)
        made = self._needs.checkpoints.protect(
            call.context, call.path["provider_id"], plan,
            given.extra_info or given.extra_info_)
        return CheckpointBody(view(made))

    @route("GET", _ONE, rule="provider:checkpoint_get", answer=CheckpointBody, refuses=(404,))
    def show(self, call: Call[None]) -> CheckpointBody:
        """Show a checkpoint, also one that was deleted."""
        return CheckpointBody(view(self._admitted(call)))

    @route("DELETE", _ONE, rule="provider:checkpoint_delete", answer=Nothing, refuses=(404,))
    def delete(self, call: Call[None]) -> Nothing:
        """Delete a checkpoint. Answers before it is gone."""
        self._own(call)
        self._needs.checkpoints.delete(call.context, call.path["provider_id"],
                                              call.path["checkpoint_id"])
        return Nothing()

    @route("PUT", _ONE, rule="provider:checkpoint_update", body=ResetBody, answer=Nothing,
           refuses=(404,))
    def reset(self, call: Call[ResetBody]) -> Nothing:
        """Set the status of a checkpoint: to `error`, or back to what its bank says of it."""
        self._own(call)
        self._needs.checkpoints.reset(
            call.context, call.path["provider_id"], call.path["checkpoint_id"],
            RecordStatus(call.body.reset.state))
        return Nothing()

    def _admitted(self, call: Call[Any]) -> CheckpointRecord:
        provider_id, id = call.path["provider_id"], call.path["checkpoint_id"]
        record = call.find(
            lambda project: self._needs.checkpoints.checkpoint(project, provider_id, id))
        call.admit(record.project_id, "Checkpoint", id)
        return record

    def _own(self, call: Call[Any]) -> None:
        """Only with a token of its project something can be done with a checkpoint: Karbor acts as
        whoever asks. An administrator, who may see it, is told so."""
        record = self._admitted(call)
        if record.project_id != call.project_id:
            raise Forbidden(f"Access checkpoint {record.id} is not allowed: it belongs to the "
                            f"project {record.project_id}",
                            remedy="ask with a token for that project")


def view(record: CheckpointRecord) -> CheckpointView:
    """As clients of Karbor 1.x read it."""
    plan = record.origin.get("plan") or {}
    graph = ResourceGraph.from_dict(record.graph) if record.graph else None
    kept = [{"id": r.id, "type": r.type, "name": r.name} for r in graph or ()]
    resources = plan.get("resources") or kept
    verified = record.verification
    return CheckpointView(
        record.id,
        record.project_id,
        record.status.value,
        {
            "id": plan.get("id") or record.plan_id,
            "name": plan.get("name") or record.name,
            "provider_id": record.provider_id,
            "resources": [
                {
                    **r,
                    "extra_info": json.dumps(r.get("extra_info"))
                    if r.get("extra_info") is not None
                    else None,
                }
                for r in resources
            ],
        },
        json.dumps(packed(graph)),
        _date(record.created_at),
        json.dumps({"created_by": record.created_by, **record.origin.get("extra_info", {})}),
        record.reason or (told(verified.damage) if verified else ""),
        record.operation_id,
        record.damaged,
        None
        if verified is None
        else LastVerification(
            verified.operation_id,
            iso_timestamp(verified.at),
            verified.evidence,
            [DamageView(each.type, each.id, each.name, each.what) for each in verified.damage],
        ),
    )


def packed(graph: ResourceGraph | None) -> builtins.list[Any]:
    """`[nodes, adjacency]` as Karbor 1.x writes graphs: `{"0x0": [TYPE, ID, NAME, null], …}` and
    `[["0x2", ["0x0", "0x1"]], …]`, the entry of a parent behind those of its children (its
    dashboard rebuilds the tree in one pass)."""
    if graph is None:
        return [{}, []]
    keys = {resource.key: hex(number) for number, resource in enumerate(graph)}
    nodes = {
        keys[resource.key]: [
            resource.type,
            resource.id,
            resource.name,
            {"server_id": resource.within} if resource.within else None,
        ]
        for resource in graph
    }
    adjacency = [
        [keys[resource.key], [keys[child.key] for child in graph.children(resource.key)]]
        for resource in reversed(list(graph.parents_first()))
        if graph.children(resource.key)
    ]
    return [nodes, adjacency]


def _date(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


def _day(filters: Mapping[str, str], name: str, *, after: bool = False) -> float | None:
    """When the day begins, or, `after`, the day behind it; in seconds since the epoch."""
    text = filters.get(name)
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
        if len(text) != len("2026-11-01"):
            raise ValueError
        moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return (moment + timedelta(days=after)).timestamp()
    except (ValueError, OverflowError) as error:
        raise BadInput(f"{name} is a day as in 2026-11-01, not {text!r}") from error
