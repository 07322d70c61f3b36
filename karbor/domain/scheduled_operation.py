"""ScheduledOperation: what shall be done at each of a trigger's times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from karbor.domain.errors import BadInput
from karbor.domain.retention import RULES, whole_number

ENDING = "ending"
"""In a credential: the scheduled operation is being deleted, and nothing begins on its rights."""
_NAMED = ("plan_id", "provider_id")


class OperationType(StrEnum):
    PROTECT = "protect"
    RETENTION_PROTECT = "retention_protect"     # and then what is too old or too many goes


@dataclass(frozen=True)
class ScheduledOperation:
    """`operation_definition` names provider and plan, and holds the rules of retention; keys that
    nobody knows stay in it. `caller` and `credential` say on whose behalf it runs, as those of an
    operation do: sealed, never in clear.

    `next_due_at` is the first due time that nobody has looked at yet, in seconds since the epoch;
    None when it is paused or has none any more. `revision` counts the changes to it and to its
    trigger's times, so that whoever computed with older ones notices.
    """

    id: str
    project_id: str
    name: str
    operation_type: OperationType
    trigger_id: str
    operation_definition: Mapping[str, Any]
    caller: Mapping[str, Any]
    credential: Mapping[str, Any] = field(repr=False)
    created_at: float
    description: str = ""
    enabled: bool = True
    next_due_at: float | None = None
    revision: int = 0
    updated_at: float | None = None

    @property
    def plan_id(self) -> str:
        return str(self.operation_definition["plan_id"])

    @property
    def provider_id(self) -> str:
        return str(self.operation_definition["provider_id"])

    @property
    def trusts(self) -> frozenset[str]:
        """Ids of the trusts that stand in Keystone for it: the one that it runs on, and one that
        it ran on before and that is still to be removed."""
        held = (self.credential, self.credential.get("going") or {})
        return frozenset(str(one["grant"]["id"]) for one in held
                         if one.get("grant") and one["grant"].get("id"))


def faults_of_definition(definition: Mapping[str, Any], operation_type: OperationType) -> list[str]:
    """Say of each member of an `operation_definition` that has no effect why it has none. What is
    new with such a member is refused; what was stored by an earlier Karbor goes on without it."""
    faults = []
    for key, value in definition.items():
        if key in _NAMED:
            continue
        if key not in RULES:
            faults.append(f"operation_definition has no key {key}")
            continue
        try:
            number = whole_number(key, value)
        except BadInput as error:
            faults.append(error.message)
            continue
        if number < 0:
            faults.append(f"{key} is {value}, and no rule of retention is negative")
        elif number and operation_type is not OperationType.RETENTION_PROTECT:
            faults.append(f"{key} is a rule of retention, which only the operation type "
                          f"{OperationType.RETENTION_PROTECT} carries out")
    return faults


def require_sound_definition(definition: Mapping[str, Any], operation_type: OperationType) -> None:
    """Raise BadInput naming every member that would have no effect, and which keys there are."""
    if faults := faults_of_definition(definition, operation_type):
        raise BadInput("; ".join(faults), remedy="the keys are plan_id, provider_id and, for "
                       f"{OperationType.RETENTION_PROTECT}, {', '.join(RULES)}: whole numbers, of "
                       "which 0 switches a rule off")
