"""What a user may do with scheduled operations: also pause them, change them, and run one now."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from karbor.domain.errors import BadInput
from karbor.domain.occurrence import Occurrence, OccurrenceState, occurrence_id
from karbor.domain.scheduled_operation import (
    OperationType,
    ScheduledOperation,
    require_sound_definition,
)
from karbor.schedule.times import next_after
from karbor.schedule.triggers import LONGEST_NAME
from karbor.store.occurrences import Occurrences
from karbor.store.plans import Plans
from karbor.store.scheduled_operations import ScheduledOperations
from karbor.store.triggers import Triggers


@dataclass(frozen=True)
class ScheduleUpdate:
    """What a scheduled operation shall be. `caller` and `credential`: on whose behalf it runs from
    now on. None, when one is changed: as it was."""

    name: str | None = None
    description: str | None = None
    trigger_id: str | None = None
    operation_definition: Mapping[str, Any] | None = None
    caller: Mapping[str, Any] | None = None
    credential: Mapping[str, Any] | None = None


class ScheduleRequests:
    """Stateless; the project comes with each call. Raises NotFound for what is not in it."""

    def __init__(self, records: ScheduledOperations, *, triggers: Triggers, plans: Plans,
                 occurrences: Occurrences) -> None:
        self._records = records
        self._triggers = triggers
        self._plans = plans
        self._occurrences = occurrences

    def create(self, project_id: str, operation_type: str, options: ScheduleUpdate, now: float
               ) -> ScheduledOperation:
        """It is due from the next time of its trigger on. Raises BadInput, and NotFound when the
        trigger or the plan is not in this project."""
        definition = dict(options.operation_definition or {})
        trigger = self._triggers.show(project_id, options.trigger_id or "")
        scheduled_operation = ScheduledOperation(
            id=str(uuid.uuid4()), project_id=project_id, name=_name(options.name),
            description=options.description or "", operation_type=_type(operation_type),
            trigger_id=trigger.id, operation_definition=definition,
            caller=dict(options.caller or {}), credential=dict(options.credential or {}),
            created_at=now, next_due_at=next_after(trigger.properties, now))
        self._check(scheduled_operation)
        self._records.add(scheduled_operation)
        return scheduled_operation

    def changed(
        self,
        scheduled_operation: ScheduledOperation,
        options: ScheduleUpdate,
        enabled: bool | None,
        now: float,
    ) -> ScheduledOperation:
        """What it is with these wishes; nothing is written down. With another trigger, and when it
        is resumed (`enabled`), it is due next at the next time of its trigger from now on: times
        that passed while it was paused are neither caught up nor missed. Raises BadInput, and
        NotFound when the trigger or the plan is not in this project."""
        if options.name is not None:
            scheduled_operation = replace(scheduled_operation, name=_name(options.name))
        if options.description is not None:
            scheduled_operation = replace(scheduled_operation, description=options.description)
        if options.operation_definition is not None:
            scheduled_operation = replace(
                scheduled_operation, operation_definition=dict(options.operation_definition)
            )
            self._check(scheduled_operation)
        if options.caller is not None:
            scheduled_operation = replace(scheduled_operation, caller=dict(options.caller))
        if options.credential is not None:
            scheduled_operation = replace(scheduled_operation, credential=dict(options.credential))
        if enabled is False:
            scheduled_operation = replace(scheduled_operation, enabled=False, next_due_at=None)
        another = (
            options.trigger_id is not None and options.trigger_id != scheduled_operation.trigger_id
        )
        if another or (enabled and not scheduled_operation.enabled):
            scheduled_operation = self._from(
                replace(
                    scheduled_operation,
                    trigger_id=options.trigger_id or scheduled_operation.trigger_id,
                    enabled=scheduled_operation.enabled if enabled is None else enabled,
                ),
                now,
            )
        return replace(scheduled_operation, updated_at=now)

    def update(
        self, project_id: str, id: str, options: ScheduleUpdate, now: float
    ) -> ScheduledOperation:
        """As `changed`, written down. Raises Conflict too, when somebody else changes it at the
        same time."""
        scheduled_operation = self._records.show(project_id, id)
        return self._records.replace(self.changed(scheduled_operation, options, None, now))

    def pause(self, project_id: str, id: str, now: float) -> ScheduledOperation:
        """Nothing is due any more; a run that is going goes on."""
        scheduled_operation = self._records.show(project_id, id)
        if not scheduled_operation.enabled:
            return scheduled_operation
        return self._records.replace(
            replace(scheduled_operation, enabled=False, next_due_at=None, updated_at=now)
        )

    def resume(self, project_id: str, id: str, now: float) -> ScheduledOperation:
        """From the next due time on: those that passed meanwhile were not wanted, so they are
        neither caught up nor missed."""
        scheduled_operation = self._records.show(project_id, id)
        if scheduled_operation.enabled:
            return scheduled_operation
        scheduled_operation = self._from(replace(scheduled_operation, enabled=True), now)
        return self._records.replace(replace(scheduled_operation, updated_at=now))

    def run_now(self, project_id: str, id: str, now: float) -> Occurrence:
        """Have it begun by the next tick of any engine, beside its due times. Raises BadInput when
        it is paused, Conflict while a run of it is going."""
        scheduled_operation = self._records.show(project_id, id)
        asked = Occurrence(
            id=occurrence_id(scheduled_operation.id, now),
            project_id=project_id,
            scheduled_operation_id=scheduled_operation.id,
            trigger_id=scheduled_operation.trigger_id,
            due_at=now,
            state=OccurrenceState.DUE,
            created_at=now,
            manual=True,
        )
        self._occurrences.ask(asked)
        return asked

    def delete(self, project_id: str, id: str) -> None:
        """With the history of its runs. Checkpoints stay; a run that is going goes on."""
        self._records.drop(project_id, id)

    def _from(self, scheduled_operation: ScheduledOperation, now: float) -> ScheduledOperation:
        trigger = self._triggers.show(
            scheduled_operation.project_id, scheduled_operation.trigger_id
        )
        due = next_after(trigger.properties, now) if scheduled_operation.enabled else None
        return replace(scheduled_operation, next_due_at=due)

    def _check(self, scheduled_operation: ScheduledOperation) -> None:
        definition = scheduled_operation.operation_definition
        for key in ("provider_id", "plan_id"):
            if not isinstance(definition.get(key), str) or not definition[key]:
                raise BadInput(f"the operation_definition has no {key}")
        require_sound_definition(definition, scheduled_operation.operation_type)
        provider_id = self._plans.show(
            scheduled_operation.project_id, scheduled_operation.plan_id
        ).provider_id
        if provider_id != scheduled_operation.provider_id:
            raise BadInput(
                f"plan {scheduled_operation.plan_id} is for provider {provider_id}, not for "
                f"{scheduled_operation.provider_id}"
            )


def _type(raw: str) -> OperationType:
    try:
        return OperationType(raw)
    except ValueError as error:
        raise BadInput(f"there is no operation type {raw!r}",
                       remedy="there are: " + ", ".join(OperationType)) from error


def _name(raw: str | None) -> str:
    name = (raw or "").strip()
    if not name:
        raise BadInput("a scheduled operation needs a name")
    if len(name) > LONGEST_NAME:
        raise BadInput(f"a name has {LONGEST_NAME} characters at most")
    return name
