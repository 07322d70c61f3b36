"""Scheduled operations of the API: /scheduled_operations."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from karbor.api.bodies import Description, Key, Name, Nothing, Scalar, Uuid, must_be_uuid
from karbor.api.call import Call
from karbor.api.lists import Collection, Link
from karbor.api.route_declaration import Resource, route
from karbor.domain.errors import BadInput, NotFound
from karbor.domain.occurrence import WANTED, Occurrence
from karbor.domain.scheduled_operation import ScheduledOperation, faults_of_definition
from karbor.domain.times import iso_timestamp
from karbor.schedule.scheduled_operations import ScheduleUpdate

Definition = dict[Key, Scalar | None] | str
"""Or a text `plan_id=…,provider_id=…`, which is what Karbor 1.x's command for OpenStackClient
sends."""


class NewScheduledOperation(msgspec.Struct, forbid_unknown_fields=True):
    """`operation_definition` has the ids of a plan and of its provider. Of a `retention_protect`
    it may also have max_backups and retention_duration (days), and keep_daily, keep_weekly,
    keep_monthly, keep_yearly; 0 switches a rule off. Other keys and negative numbers are
    refused."""

    name: Name
    operation_type: str
    trigger_id: Uuid
    operation_definition: Definition
    description: Description | None = None


class NewScheduledOperationBody(msgspec.Struct, forbid_unknown_fields=True):
    scheduled_operation: NewScheduledOperation


class ScheduledOperationChange(msgspec.Struct, forbid_unknown_fields=True):
    """What it is to have from now on. `enabled` false pauses it."""

    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    trigger_id: Uuid | UnsetType = UNSET
    operation_definition: Definition | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class ScheduledOperationChangeBody(msgspec.Struct, forbid_unknown_fields=True):
    scheduled_operation: ScheduledOperationChange


class Rights(msgspec.Struct):
    """On whose behalf it runs, by what (a trust, or an application credential that they have
    registered), until when (null: for good), and whether that is soon."""

    user_id: str
    user_name: str
    kind: str
    until: str | None
    ends_soon: bool


class ScheduledOperationView(msgspec.Struct):
    """The values of its definition are texts. `warnings` name what of the definition has no effect:
    an earlier Karbor took it without a word."""

    id: str
    name: str
    description: str
    operation_type: str
    trigger_id: str
    operation_definition: dict[str, str]
    enabled: bool
    next_run_at: str | None
    rights: Rights
    warnings: list[str]


class ScheduledOperationBody(msgspec.Struct):
    scheduled_operation: ScheduledOperationView


class ScheduledOperationsBody(msgspec.Struct):
    """The name of the member is Karbor 1.x's."""

    operations: list[ScheduledOperationView]
    operations_links: list[Link] | UnsetType = UNSET


class OccurrenceView(msgspec.Struct):
    """What came of a due time: `due`, `running`, `done`, `failed`, `missed` (nobody was there in
    its window) or `skipped` (the run before was still going). `count` is for how many that were
    missed it stands; `retention` what was removed behind it."""

    id: str
    due_at: str
    state: str
    reason: str
    manual: bool
    count: int
    operation_log_id: str | None
    started_at: str | None
    finished_at: str | None
    retention: str


class OccurrenceBody(msgspec.Struct):
    occurrence: OccurrenceView


class OccurrencesBody(msgspec.Struct):
    occurrences: list[OccurrenceView]
    occurrences_links: list[Link] | UnsetType = UNSET


class VerdictView(msgspec.Struct):
    checkpoint_id: str
    kept: bool
    reason: str


class RetentionBody(msgspec.Struct):
    """A dry run: what would be kept and what would be removed now, the newest first."""

    retention: list[VerdictView]


SCHEDULED_OPERATIONS = Collection("operations", ("id", "name", "status", "created_at"), {
    "name": "Only those whose name contains this.",
    "description": "Only those whose description contains this.",
    "operation_definition": "Only those whose definition contains this.",
    "operation_type": "Only those of this type: protect, retention_protect.",
    "trigger_id": "Only those of this trigger.",
    "plan_id": "Only those of this plan."})
OCCURRENCES = Collection("occurrences", ("id", "due_at", "created_at", "status"))
_ALL = "/scheduled_operations"
_ONE = f"{_ALL}/{{scheduled_operation_id}}"


class ScheduledOperations(Resource):
    tag = "scheduled_operations"

    @route("GET", _ALL, rule="scheduled_operation:list", answer=ScheduledOperationsBody,
           collection=SCHEDULED_OPERATIONS, refuses=(404,))
    def list(self, call: Call[None]) -> ScheduledOperationsBody:
        """List scheduled operations."""
        asked = call.listing()
        scheduled_operations = self._needs.schedules.records.list(asked)
        return ScheduledOperationsBody(
            [self._view(scheduled_operation) for scheduled_operation in scheduled_operations],
            call.next_page(
                asked, [scheduled_operation.id for scheduled_operation in scheduled_operations],
                cut=scheduled_operations.cut,
            ),
        )

    @route("POST", _ALL, rule="scheduled_operation:create", body=NewScheduledOperationBody,
           answer=ScheduledOperationBody, refuses=(404,))
    def create(self, call: Call[NewScheduledOperationBody]) -> ScheduledOperationBody:
        """Create a scheduled operation, on the rights of whoever asks."""
        given = call.body.scheduled_operation
        if given.operation_type not in ("protect", "retention_protect"):
            raise BadInput(f"Invalid operation type: {given.operation_type}",
                           remedy="there are: protect, retention_protect")
        made = self._needs.schedules.create(call.context, given.operation_type, ScheduleUpdate(
            given.name, given.description, given.trigger_id,
            _definition(given.operation_definition)))
        return ScheduledOperationBody(self._view(made))

    @route("GET", _ONE, rule="scheduled_operation:get", answer=ScheduledOperationBody,
           refuses=(404,))
    def show(self, call: Call[None]) -> ScheduledOperationBody:
        """Show a scheduled operation."""
        return ScheduledOperationBody(self._view(self._admitted(call)))

    @route("PUT", _ONE, rule="scheduled_operation:update", body=ScheduledOperationChangeBody,
           answer=ScheduledOperationBody, refuses=(404,))
    def update(self, call: Call[ScheduledOperationChangeBody]) -> ScheduledOperationBody:
        """Change, pause or resume a scheduled operation."""
        given = {name: value for name, value in msgspec.structs.asdict(
            call.body.scheduled_operation).items() if value is not UNSET}
        enabled = given.pop("enabled", None)
        if "operation_definition" in given:
            given["operation_definition"] = _definition(given["operation_definition"])
        scheduled_operation = self._needs.schedules.update(
            call.context, self._admitted(call), ScheduleUpdate(**given), enabled
        )
        return ScheduledOperationBody(self._view(scheduled_operation))

    @route("DELETE", _ONE, rule="scheduled_operation:delete", answer=Nothing, refuses=(404,))
    def delete(self, call: Call[None]) -> Nothing:
        """Delete a scheduled operation. Its checkpoints stay."""
        self._needs.schedules.delete(self._admitted(call))
        return Nothing()

    @route("POST", f"{_ONE}/run", rule="scheduled_operation:run", answer=OccurrenceBody,
           refuses=(404,))
    def run(self, call: Call[None]) -> OccurrenceBody:
        """Run a scheduled operation now, beside its times."""
        return OccurrenceBody(_occurrence(self._needs.schedules.run(self._admitted(call))))

    @route("POST", f"{_ONE}/take_over", rule="scheduled_operation:take_over",
           answer=ScheduledOperationBody, refuses=(404,))
    def take_over(self, call: Call[None]) -> ScheduledOperationBody:
        """Let a scheduled operation run on the rights of whoever asks from now on."""
        scheduled_operation = self._needs.schedules.take_over(call.context, self._admitted(call))
        return ScheduledOperationBody(self._view(scheduled_operation))

    @route("GET", f"{_ONE}/occurrences", rule="scheduled_operation:get", answer=OccurrencesBody,
           collection=OCCURRENCES, refuses=(404,))
    def occurrences(self, call: Call[None]) -> OccurrencesBody:
        """List what came of the times at which it was due."""
        asked = call.listing()
        occurrences = self._needs.schedules.occurrences(self._admitted(call), asked)
        return OccurrencesBody([_occurrence(occurrence) for occurrence in occurrences],
                               call.next_page(asked, [occurrence.id for occurrence in occurrences],
                                              cut=occurrences.cut))

    @route("GET", f"{_ONE}/retention", rule="scheduled_operation:get", answer=RetentionBody,
           refuses=(404,))
    def retention(self, call: Call[None]) -> RetentionBody:
        """Show which checkpoints would be removed now, and why. Nothing is."""
        return RetentionBody([VerdictView(verdict.checkpoint_id, verdict.kept, verdict.reason)
                              for verdict in self._needs.schedules.retention(self._admitted(call))])

    def _admitted(self, call: Call[Any]) -> ScheduledOperation:
        id = call.path["scheduled_operation_id"]
        try:
            scheduled_operation = call.find(
                lambda project: self._needs.schedules.records.show(project, id))
        except NotFound as error:
            raise NotFound(f"ScheduledOperation {id} could not be found.") from error
        call.admit(scheduled_operation.project_id, "ScheduledOperation", id)
        return scheduled_operation

    def _view(self, scheduled_operation: ScheduledOperation) -> ScheduledOperationView:
        schedules, credential = self._needs.schedules, scheduled_operation.credential
        return ScheduledOperationView(
            scheduled_operation.id,
            scheduled_operation.name,
            scheduled_operation.description,
            scheduled_operation.operation_type,
            scheduled_operation.trigger_id,
            {key: _text(value) for key, value in scheduled_operation.operation_definition.items()},
            scheduled_operation.enabled,
            iso_timestamp(schedules.next_run(scheduled_operation)),
            Rights(
                str(scheduled_operation.caller.get("user_id", "")),
                str(scheduled_operation.caller.get("user_name", "")),
                str(credential.get("rung", "none")),
                iso_timestamp(credential.get("until")),
                schedules.ends_soon(scheduled_operation),
            ),
            faults_of_definition(
                scheduled_operation.operation_definition, scheduled_operation.operation_type
            ),
        )


def _definition(given: Mapping[str, Any] | str) -> builtins.dict[str, Any]:
    """Raises BadInput."""
    if isinstance(given, str):
        pairs = [part.partition("=") for part in given.split(",") if part.strip()]
        if not all(cut for _, cut, _ in pairs):
            raise BadInput("operation_definition is neither an object nor KEY=VALUE,…")
        given = {key.strip(): value.strip() for key, _, value in pairs}
    for name in ("provider_id", "plan_id"):
        if not isinstance(given.get(name), str):
            raise BadInput(f"the operation_definition has no {name}")
        must_be_uuid(name, given[name])
    return dict(given)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _occurrence(occurrence: Occurrence) -> OccurrenceView:
    return OccurrenceView(
        occurrence.id,
        iso_timestamp(occurrence.due_at),
        occurrence.state.value,
        occurrence.reason,
        occurrence.manual,
        occurrence.count,
        occurrence.operation_id or None,
        iso_timestamp(occurrence.started_at),
        iso_timestamp(occurrence.finished_at),
        "" if occurrence.retention == WANTED else occurrence.retention,
    )
