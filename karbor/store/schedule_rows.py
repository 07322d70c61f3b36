"""Rows of the tables of schedules ↔ nouns."""

from __future__ import annotations

from dataclasses import fields
from enum import StrEnum
from typing import Any, TypeVar, cast

import sqlalchemy as sa

from karbor.domain.occurrence import Occurrence, OccurrenceState
from karbor.domain.scheduled_operation import OperationType, ScheduledOperation
from karbor.domain.trigger import PatternFormat, Trigger, TriggerProperties
from karbor.store.schedule_tables import SCHEDULED_OPERATIONS, TRIGGERS

_PROPERTIES = [field.name for field in fields(TriggerProperties)]
_TRIGGER = [field.name for field in fields(Trigger) if field.name != "properties"]
_SCHEDULED = [field.name for field in fields(ScheduledOperation)]
_Kind = TypeVar("_Kind", bound=StrEnum)
_OCCURRENCE = [field.name for field in fields(Occurrence)]


def _known(kind: type[_Kind], value: str) -> _Kind:
    """Return the value as a member of the enumeration. One of a later Karbor stays the word it is:
    whoever meets it says that it does not know it, and the rows beside it can be read."""
    return kind(value) if value in [str(one) for one in kind] else cast("_Kind", value)


def trigger_to_row(trigger: Trigger) -> dict[str, Any]:
    return ({name: getattr(trigger, name) for name in _TRIGGER}
            | {name: getattr(trigger.properties, name) for name in _PROPERTIES})


def trigger_from_row(row: sa.RowMapping | dict[str, Any]) -> Trigger:
    told = {name: row[name] for name in _PROPERTIES}
    told["format"] = _known(PatternFormat, row["format"])
    return Trigger(**{name: row[name] for name in _TRIGGER}, properties=TriggerProperties(**told))


def scheduled_to_row(scheduled_operation: ScheduledOperation) -> dict[str, Any]:
    row = {name: getattr(scheduled_operation, name) for name in _SCHEDULED}
    for name in ("operation_definition", "caller", "credential"):
        row[name] = dict(row[name])
    return row | {
        "plan_id": scheduled_operation.plan_id,
        "provider_id": scheduled_operation.provider_id,
    }


def scheduled_from_row(row: sa.RowMapping | dict[str, Any]) -> ScheduledOperation:
    values = {name: row[name] for name in _SCHEDULED}
    values["operation_type"] = _known(OperationType, row["operation_type"])
    return ScheduledOperation(**values)


def occurrence_to_row(occurrence: Occurrence) -> dict[str, Any]:
    return {name: getattr(occurrence, name) for name in _OCCURRENCE}


def occurrence_from_row(row: sa.RowMapping | dict[str, Any]) -> Occurrence:
    values = {name: row[name] for name in _OCCURRENCE}
    values["state"] = OccurrenceState(row["state"])
    return Occurrence(**values)


BOTH = [*(SCHEDULED_OPERATIONS.c[name].label(f"s_{name}") for name in _SCHEDULED),
        *(TRIGGERS.c[name].label(f"t_{name}") for name in (*_TRIGGER, *_PROPERTIES))]
"""Columns of a query that joins scheduled operations with their triggers."""


def both_from_row(row: sa.RowMapping) -> tuple[ScheduledOperation, Trigger]:
    return (scheduled_from_row({name: row[f"s_{name}"] for name in _SCHEDULED}),
            trigger_from_row({name: row[f"t_{name}"] for name in (*_TRIGGER, *_PROPERTIES)}))
