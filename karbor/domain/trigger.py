"""Trigger: the times at which something shall be done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PatternFormat(StrEnum):
    """How a trigger's pattern is read. Each trigger says it for itself."""

    CALENDAR = "calendar"       # iCalendar: a VEVENT with an RRULE
    CRONTAB = "crontab"         # five fields


@dataclass(frozen=True)
class TriggerProperties:
    """When: everything that decides it.

    `start_time` and `end_time` are seconds since the epoch, both included; a calendar pattern is
    anchored at the start. `window` is for how many seconds an occurrence may be begun late; None:
    the operator's minimum. `time_zone` is a name of the IANA database: the pattern is read on its
    clocks.
    """

    format: PatternFormat
    pattern: str
    start_time: float
    end_time: float | None = None
    window: int | None = None
    time_zone: str = "UTC"


@dataclass(frozen=True)
class Trigger:
    """`fault` is why its times cannot be told at present, in words for its owner; "" when they
    can. The only type there is, is `time`."""

    id: str
    project_id: str
    name: str
    properties: TriggerProperties
    created_at: float
    type: str = "time"
    updated_at: float | None = None
    fault: str = ""
