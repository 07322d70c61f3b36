"""Triggers of the API: /triggers."""

from __future__ import annotations

import builtins
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from karbor.api.call import Call
from karbor.api.lists import Collection, Link
from karbor.api.route_declaration import Resource, route
from karbor.domain.errors import BadInput, NotFound
from karbor.domain.times import iso_timestamp
from karbor.domain.trigger import Trigger
from karbor.schedule.properties import written

Name = Annotated[str, Meta(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""May be empty, as in Karbor 1.x."""
Pattern = Annotated[str, Meta(min_length=1, max_length=10_000)]
Time = Annotated[str, Meta(max_length=40)]
COMING = 5


class Properties(msgspec.Struct, forbid_unknown_fields=True):
    """When: a pattern, read as `format` says (`calendar`: an iCalendar VEVENT with an RRULE,
    `crontab`: five fields), on the clocks of `time_zone` (a name of the IANA database; UTC).
    `window` is for how many seconds a run may begin late."""

    format: str
    pattern: Pattern
    start_time: Time | None = None
    end_time: Time | None = None
    window: int | None = None
    time_zone: Annotated[str, Meta(max_length=64)] | None = None


class NewTrigger(msgspec.Struct, forbid_unknown_fields=True):
    name: Name
    type: str
    properties: Properties


class NewTriggerBody(msgspec.Struct, forbid_unknown_fields=True):
    trigger_info: NewTrigger


class NewProperties(msgspec.Struct, forbid_unknown_fields=True):
    """They take the place of all that there were: with the pattern and the start. Without any
    nothing changes."""

    format: str | UnsetType = UNSET
    pattern: Pattern | UnsetType = UNSET
    start_time: Time | UnsetType | None = UNSET
    end_time: Time | UnsetType | None = UNSET
    window: int | UnsetType | None = UNSET
    time_zone: Annotated[str, Meta(max_length=64)] | UnsetType | None = UNSET


class TriggerChange(msgspec.Struct, forbid_unknown_fields=True):
    """`type` is passed over: there is only one."""

    name: Name | UnsetType = UNSET
    type: str | UnsetType = UNSET
    properties: NewProperties | UnsetType = UNSET


class TriggerChangeBody(msgspec.Struct, forbid_unknown_fields=True):
    trigger_info: TriggerChange


class TriggerView(msgspec.Struct):
    """The values of its properties are texts. `next_times` is when it is due next (UTC); `fault`
    why that cannot be told, else empty."""

    id: str
    name: str
    type: str
    properties: dict[str, str]
    next_times: list[str] | UnsetType = UNSET
    fault: str | UnsetType = UNSET


class TriggerBody(msgspec.Struct):
    trigger_info: TriggerView


class TriggersBody(msgspec.Struct):
    triggers: list[TriggerView]
    triggers_links: list[Link] | UnsetType = UNSET


TRIGGERS = Collection("triggers", ("id", "name", "created_at"), {
    "name": "Only triggers whose name contains this.",
    "properties": "Only triggers whose format, pattern or time zone contains this.",
    "type": "Only triggers of this type."})


class Triggers(Resource):
    tag = "triggers"

    @route("GET", "/triggers", rule="trigger:list", answer=TriggersBody, collection=TRIGGERS,
           refuses=(404,))
    def list(self, call: Call[None]) -> TriggersBody:
        """List triggers."""
        asked = call.listing()
        triggers = self._needs.schedules.triggers.list(asked)
        return TriggersBody([_view(trigger) for trigger in triggers],
                            call.next_page(asked, [trigger.id for trigger in triggers],
                                           cut=triggers.cut))

    @route("POST", "/triggers", rule="trigger:create", body=NewTriggerBody, answer=TriggerBody)
    def create(self, call: Call[NewTriggerBody]) -> TriggerBody:
        """Create a trigger."""
        given = call.body.trigger_info
        if given.type != "time":
            raise BadInput(f"Invalid trigger type: {given.type}", remedy="the only one is: time")
        made = self._needs.schedules.create_trigger(
            call.project_id, name=given.name, type=given.type, properties=_said(given.properties))
        return TriggerBody(self._whole(made))

    @route("GET", "/triggers/{trigger_id}", rule="trigger:get", answer=TriggerBody,
           refuses=(404,))
    def show(self, call: Call[None]) -> TriggerBody:
        """Show a trigger, with when it is due next."""
        return TriggerBody(self._whole(self._admitted(call)))

    @route("PUT", "/triggers/{trigger_id}", rule="trigger:update", body=TriggerChangeBody,
           answer=TriggerBody, refuses=(404,))
    def update(self, call: Call[TriggerChangeBody]) -> TriggerBody:
        """Change a trigger."""
        given, trigger = call.body.trigger_info, self._admitted(call)
        changed = self._needs.schedules.update_trigger(
            trigger, name=None if given.name is UNSET else given.name,
            properties=None if given.properties is UNSET else _said(given.properties))
        return TriggerBody(self._whole(changed))

    @route("DELETE", "/triggers/{trigger_id}", rule="trigger:delete", refuses=(404, 424))
    def delete(self, call: Call[None]) -> None:
        """Delete a trigger that nothing uses any more."""
        trigger = self._admitted(call)
        self._needs.schedules.triggers.drop(trigger.project_id, trigger.id)

    def _admitted(self, call: Call[Any]) -> Trigger:
        id = call.path["trigger_id"]
        try:
            trigger = call.find(
                lambda project: self._needs.schedules.triggers.show(project, id))
        except NotFound as error:
            raise NotFound(f"Trigger {id} could not be found.") from error
        call.admit(trigger.project_id, "Trigger", id)
        return trigger

    def _whole(self, trigger: Trigger) -> TriggerView:
        view = _view(trigger)
        try:
            view.next_times = [iso_timestamp(at)
                               for at in self._needs.schedules.coming(trigger, COMING)]
            view.fault = trigger.fault
        except BadInput as error:
            view.next_times, view.fault = [], str(error)
        return view


def _view(trigger: Trigger) -> TriggerView:
    return TriggerView(trigger.id, trigger.name, trigger.type, written(trigger.properties))


def _said(properties: Properties | NewProperties) -> builtins.dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(properties).items()
            if value is not UNSET and value is not None}
