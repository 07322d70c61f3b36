"""ScheduledOperation: what shall be done at each of a trigger's times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


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
