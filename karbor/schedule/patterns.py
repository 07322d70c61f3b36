"""Patterns: the text of a trigger → something that tells moments. The trigger's own format says
how its text is read."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from icalendar import Calendar

from karbor.domain.errors import BadInput
from karbor.domain.trigger import PatternFormat
from karbor.schedule.recurrence import Recurrence, recurrence

_SLACK = 3 * 86400.0    # seconds; more than clocks are ever moved


class Pattern(Protocol):
    def moments(self, anchor: float, zone: ZoneInfo, after: float) -> Iterator[float]:
        """Seconds since the epoch, ascending, each once, later than `after`."""
        ...


@lru_cache(maxsize=1024)
def read(format: PatternFormat, text: str) -> Pattern:
    """Raises BadInput, saying what is wrong with it."""
    if format is PatternFormat.CRONTAB:
        return _crontab(text)
    if format is PatternFormat.CALENDAR:
        return Recurrences([recurrence(one) for one in _rules(text)])
    raise BadInput(f"this Karbor knows no patterns of the format {format!r}")


@dataclass(frozen=True)
class Crontab:
    """As Debian's cron reads it: what the clocks skip is done at once after, what they show twice
    is done the first time; a `*` in minute or hour means time that really passes."""

    text: str

    def moments(self, anchor: float, zone: ZoneInfo, after: float) -> Iterator[float]:
        # cronsim forgets which of two equal times on the clock it began after, so it begins
        # earlier than that.
        last = after
        for one in CronSim(self.text, datetime.fromtimestamp(after - _SLACK, zone)):
            moment = one.timestamp()
            if moment > last:
                yield (last := moment)


def _crontab(text: str) -> Crontab:
    fields = text.split()
    if len(fields) != 5:
        raise BadInput(f"the pattern {text!r} has {len(fields)} fields; a crontab has five",
                       remedy="write minute, hour, day of month, month, day of week: 0 2 * * *")
    try:
        CronSim(text, datetime(2000, 1, 1))
    except (CronSimError, ValueError, AssertionError) as error:
        raise BadInput(f"the pattern {text!r} is no crontab: {error}") from error
    return Crontab(text)


@dataclass(frozen=True)
class Recurrences:
    """All rules of an event together; what several name comes once."""

    rules: Sequence[Recurrence]

    def moments(self, anchor: float, zone: ZoneInfo, after: float) -> Iterator[float]:
        last = after
        for one in heapq.merge(*(rule.moments(anchor, zone, after) for rule in self.rules)):
            if one > last:
                yield (last := one)


def _rules(text: str) -> list[object]:
    event = _event(text)
    # Passed over, they would mean backups at times that somebody has excluded, or none.
    if strange := [name for name in ("EXDATE", "RDATE", "EXRULE") if name in event]:
        raise BadInput(f"the pattern has {', '.join(strange)}, which is not supported",
                       remedy="express it with RRULE alone, or with a second trigger")
    rules = event.get("RRULE")
    if rules is None:
        raise BadInput("the pattern's VEVENT has no RRULE")
    return list(rules) if isinstance(rules, list) else [rules]


def _event(text: str) -> Calendar:
    try:
        parts = Calendar.from_ical(text, multiple=True)
    except (ValueError, IndexError, KeyError) as error:
        raise BadInput(f"the pattern is no iCalendar: {error}") from error
    for part in parts:
        for event in part.walk("VEVENT"):
            return event
    raise BadInput("the pattern has no VEVENT",
                   remedy="write BEGIN:VEVENT, RRULE:FREQ=DAILY, END:VEVENT, each on its line")


def zone_of(text: str) -> str:
    """The TZID of the event's DTSTART, or "". Raises BadInput."""
    start = _event(text).get("DTSTART")
    return str(start.params.get("TZID", "")) if hasattr(start, "params") else ""


def plain(raw: str | bytes) -> str:
    """As people's programs send it: bytes, lines that end in any way, or in the two characters
    backslash and n. Raises BadInput."""
    try:
        text = raw.decode() if isinstance(raw, bytes) else raw
    except UnicodeDecodeError as error:
        raise BadInput("the pattern is not in UTF-8") from error
    for end in ("\\r\\n", "\\n", "\r\n", "\r"):
        text = text.replace(end, "\n")
    return text.strip()
