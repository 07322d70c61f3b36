"""Patterns: the text of a trigger → something that tells moments. The trigger's own format says
how its text is read."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, reduce
from itertools import islice
from operator import or_
from typing import Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from icalendar import Calendar

from karbor.domain.errors import BadInput
from karbor.domain.trigger import PatternFormat
from karbor.schedule import days
from karbor.schedule.local_times import LocalTimes, together
from karbor.schedule.recurrence import Recurrence
from karbor.schedule.rule_text import Rule, rule

_SLACK_SECONDS = 3 * 86400.0    # more than clocks are ever moved
RULES = 10          # the most that one event may have
RULES_WITH_BYSETPOS = 2     # of these: each costs as much as twenty others
_GROUPS = 64        # of days with the same times; beyond, comparing them all would take long


class Pattern(Protocol):
    """Whatever was accepted costs little, however often or rarely it comes."""

    def nearest(self, anchor: float, after: float, below: int) -> int | None:
        """The shortest time, in seconds, between any two moments after `after`, on clocks that
        nobody moves, if that is less than `below`. Raises BadInput where it cannot be told."""
        ...

    def moments(self, anchor: float, zone: ZoneInfo, after: float) -> Iterator[float]:
        """Seconds since the epoch, ascending, each once, later than `after`."""
        ...


@lru_cache(maxsize=1024)
def read(format: PatternFormat, text: str) -> Pattern:
    """Raises BadInput, saying what is wrong with it."""
    if format is PatternFormat.CRONTAB:
        return _crontab(text)
    if format is PatternFormat.CALENDAR:
        return Recurrences(tuple(Recurrence(one) for one in _rules(text)))
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
        for one in CronSim(self.text, datetime.fromtimestamp(after - _SLACK_SECONDS, zone)):
            moment = one.timestamp()
            if moment > last:
                yield (last := moment)

    def nearest(self, anchor: float, after: float, below: int) -> int | None:
        fields = CronSim(self.text, _utc(anchor))
        times = [3600 * hour + 60 * minute for hour in fields.hours for minute in fields.minutes]
        local_times = LocalTimes.made([(_days_of(fields), times)])
        return local_times.starting(_utc(max(anchor, after))).nearest(below)


def _days_of(fields: CronSim) -> int:
    of_month = reduce(or_, (
        days.day_of_month(-1) if day == CronSim.LAST
        else days.last_workday_of_month() if day == CronSim.LAST_WEEKDAY
        else days.day_of_month(day) for day in fields.days))
    of_week = reduce(
        or_,
        (
            days.weekday((weekday - 1) % 7)
            if isinstance(weekday, int)
            else days.weekday_of_month(
                (weekday[0] - 1) % 7, -1 if weekday[1] == CronSim.LAST else weekday[1]
            )
            for weekday in fields.weekdays
        ),
    )
    both = of_month & of_week if fields.day_and else of_month | of_week
    return both & reduce(or_, map(days.month, fields.months))


def _utc(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC).replace(tzinfo=None)


def _crontab(text: str) -> Crontab:
    fields = text.split()
    if len(fields) != 5:
        raise BadInput(f"the pattern {text!r} has {len(fields)} fields; a crontab has five",
                       remedy="write minute, hour, day of month, month, day of week: 0 2 * * *")
    try:
        CronSim(text, datetime(2000, 1, 1))
    except (CronSimError, ValueError, TypeError, AssertionError) as error:
        raise BadInput(f"the pattern {text!r} is no crontab: {error}") from error
    return Crontab(text)


@dataclass(frozen=True)
class Recurrences:
    """All rules of an event together; what several name comes once."""

    rules: tuple[Recurrence, ...]

    def moments(self, anchor: float, zone: ZoneInfo, after: float) -> Iterator[float]:
        last = after
        for moment in heapq.merge(
            *(recurrence.moments(anchor, zone, after) for recurrence in self.rules)
        ):
            if moment > last:
                yield (last := moment)

    def nearest(self, anchor: float, after: float, below: int) -> int | None:
        if len(self.rules) == 1 and self.rules[0].elapses:
            step = self.rules[0].step
            some = list(islice(self.moments(anchor, ZoneInfo("UTC"), after), 2))
            return step if len(some) == 2 and step < below else None
        local_timess = []
        for recurrence in self.rules:
            times = recurrence.local_times(anchor)
            if times is None:
                raise BadInput(
                    "the pattern has several RRULEs, and one of them counts "
                    f"{recurrence.step} s each: how near they come to each other cannot be told",
                    remedy="write it as FREQ=DAILY with BYHOUR, or as a second trigger",
                )
            local_timess.append(times.starting(_utc(max(anchor, after))))
        whole = together(local_timess)
        if len(whole.groups) > _GROUPS:
            raise BadInput("the pattern's RRULEs are too intricate together",
                           remedy="write several triggers")
        return whole.nearest(below)


def _rules(text: str) -> list[Rule]:
    event = _event(text)
    # Passed over, they would mean backups at times that somebody has excluded, or none.
    if strange := [name for name in ("EXDATE", "RDATE", "EXRULE") if name in event]:
        raise BadInput(f"the pattern has {', '.join(strange)}, which is not supported",
                       remedy="express it with RRULE alone, or with a second trigger")
    rules = event.get("RRULE")
    if rules is None:
        raise BadInput("the pattern's VEVENT has no RRULE")
    several = list(rules) if isinstance(rules, list) else [rules]
    if len(several) > RULES:
        raise BadInput(f"the pattern has {len(several)} RRULEs; the most is {RULES}",
                       remedy="write several triggers")
    found = [rule(one) for one in several]
    if sum(bool(one.part("BYSETPOS")) for one in found) > RULES_WITH_BYSETPOS:
        raise BadInput("the pattern has more than two RRULEs with BYSETPOS",
                       remedy="write several triggers")
    return found


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
