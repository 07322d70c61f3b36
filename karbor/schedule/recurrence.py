"""Recurrence: one RRULE of RFC 5545, anchored at a trigger's start, as moments in time.

dateutil knows the rules; what is ours is what it leaves open: clocks that are put forward and back,
UNTIL in another zone than the anchor, and an end to rules that never come.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, takewhile
from typing import Any
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr
from icalendar.prop import vRecur

from karbor.domain.errors import BadInput

_UNITS = {"SECONDLY": 1, "MINUTELY": 60, "HOURLY": 3600, "DAILY": 86400, "WEEKLY": 604800}
_HOURLY_KNOWS = {"BYHOUR", "BYMINUTE", "BYSECOND", "BYDAY", "BYMONTH"}
_KNOWN = {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYSECOND", "BYMINUTE", "BYHOUR", "BYDAY",
          "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYMONTH", "BYSETPOS"}
_CYCLES = 7600      # years: 19 cycles of the Gregorian calendar
_SLACK = timedelta(days=2)      # more than clocks are ever moved


@dataclass(frozen=True)
class Recurrence:
    """`text` is the rule without COUNT and UNTIL, which are counted here."""

    frequency: str
    interval: int
    text: str
    by_clock: bool          # has BY… parts, so that the clock on the wall counts
    count: int | None = None
    until: datetime | date | None = None

    def moments(self, anchor: float, zone: ZoneInfo, after: float) -> Iterator[float]:
        """Those later than `after` (seconds since the epoch), in order."""
        if self.frequency in ("SECONDLY", "MINUTELY", "HOURLY") and not self.by_clock:
            found = self._elapsed(anchor, after)
        else:
            found = self._on_the_clock(anchor, zone, after)
        last = _moment_of(self.until, zone) if self.until is not None else None
        return found if last is None else takewhile(lambda one: one <= last, found)

    def _elapsed(self, anchor: float, after: float) -> Iterator[float]:
        """Every so many hours means hours that have passed, whatever happens to the clocks."""
        step = self.interval * _UNITS[self.frequency]
        number = max(0, int((after - anchor) // step))
        while self.count is None or number < self.count:
            moment = anchor + number * step
            if moment > after:
                yield moment
            number += 1

    def _on_the_clock(self, anchor: float, zone: ZoneInfo, after: float) -> Iterator[float]:
        start = datetime.fromtimestamp(anchor, zone).replace(tzinfo=None)
        begin = datetime.fromtimestamp(after, zone).replace(tzinfo=None) - _SLACK
        if self.count is None:
            return (one for one in _real(self._walls(start, begin), zone) if one > after)
        counted = islice(_real(self._walls(start, start), zone), self.count)
        return (one for one in counted if one > after)

    def _walls(self, start: datetime, begin: datetime) -> Iterator[datetime]:
        """What the clock shows at each of them, from `begin` or a little earlier.

        dateutil looks for what never comes until the year 9999. The calendar repeats itself after
        400 years, so it is asked about the last of them, and its search ends soon.
        """
        if self.frequency in _UNITS:
            # The rule is the same from any of its periods on; those that are past cost time.
            period = timedelta(seconds=self.interval * _UNITS[self.frequency])
            start += max(0, (begin - start) // period - 1) * period
        far = start.replace(year=start.year + _CYCLES)
        rule = rrulestr(self.text, dtstart=far)
        for one in rule.xafter(begin.replace(year=begin.year + _CYCLES), inc=True):
            yield one.replace(year=one.year - _CYCLES)


def _real(walls: Iterator[datetime], zone: ZoneInfo) -> Iterator[float]:
    """Moments at which clocks show this, each once and in order. What is shown twice counts the
    first time; what is skipped comes as much later as the clock was put forward."""
    last = float("-inf")
    shifted: list[float] = []
    for wall in walls:
        moment = _moment_at(wall, zone)
        if datetime.fromtimestamp(moment, zone).replace(tzinfo=None) != wall:
            shifted.append(moment)      # there may be real ones before it
            continue
        for one in sorted({*(one for one in shifted if one <= moment), moment}):
            if one > last:
                yield (last := one)
        shifted = [one for one in shifted if one > moment]
    yield from (one for one in sorted(set(shifted)) if one > last)


def _moment_at(wall: datetime, zone: ZoneInfo) -> float:
    return wall.replace(tzinfo=zone, fold=0).timestamp()


def _moment_of(until: datetime | date, zone: ZoneInfo) -> float:
    """A date means the whole of that day; a time without a zone is on the trigger's clock."""
    if not isinstance(until, datetime):
        until = datetime.combine(until, time(23, 59, 59))
    return until.timestamp() if until.tzinfo else _moment_at(until, zone)


def recurrence(rule: object) -> Recurrence:
    """From the RRULE that icalendar has parsed. Raises BadInput saying what is wrong."""
    if not isinstance(rule, vRecur):
        raise BadInput(f"the pattern's RRULE cannot be read: {rule}")
    parts: dict[str, list[Any]] = {
        str(name).upper(): list(value) for name, value in rule.items()}
    if "FREQ" not in parts:
        raise BadInput("the pattern's RRULE has no FREQ")
    if strange := sorted(set(parts) - _KNOWN):
        raise BadInput(f"the pattern's RRULE has parts that Karbor does not know: "
                       f"{', '.join(strange)}")
    frequency = str(parts["FREQ"][0]).upper()
    by = {name for name in parts if name.startswith("BY")}
    if frequency in ("SECONDLY", "MINUTELY") and by:
        raise BadInput(f"FREQ={frequency} with {', '.join(sorted(by))} is not supported",
                       remedy="write FREQ=HOURLY or DAILY, with BYHOUR and BYMINUTE")
    if frequency == "HOURLY" and not by <= _HOURLY_KNOWS:
        raise BadInput(f"FREQ=HOURLY with {', '.join(sorted(by - _HOURLY_KNOWS))} is not supported",
                       remedy="write FREQ=DAILY with BYHOUR")
    interval = _positive(parts, "INTERVAL") or 1
    if frequency == "HOURLY" and interval > 1 and "BYHOUR" in by:
        raise BadInput("FREQ=HOURLY with INTERVAL and BYHOUR is not supported",
                       remedy="write FREQ=DAILY with the hours in BYHOUR")
    for name, end in (("BYHOUR", 23), ("BYMINUTE", 59), ("BYSECOND", 59)):
        if wrong := [one for one in parts.get(name, ()) if not 0 <= one <= end]:
            raise BadInput(f"the pattern's RRULE makes no sense: {name}={wrong[0]}")
    count = _positive(parts, "COUNT")
    until = parts.get("UNTIL", [None])[0]
    bare = vRecur({name: value for name, value in parts.items() if name not in ("COUNT", "UNTIL")})
    text = bare.to_ical().decode()
    try:
        rrulestr(text, dtstart=datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise BadInput(f"the pattern's RRULE {text} makes no sense: {error}") from error
    return Recurrence(frequency, interval, text, bool(by), count, until)


def _positive(parts: dict[str, list[Any]], name: str) -> int | None:
    if name not in parts:
        return None
    value = parts[name][0]
    if not isinstance(value, int) or value < 1:
        raise BadInput(f"the pattern's RRULE has {name}={value}: it must be 1 or more")
    return int(value)
