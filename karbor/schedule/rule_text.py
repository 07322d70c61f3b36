"""Rule text: what icalendar has parsed of an RRULE → a Rule, checked.

Whatever is accepted here is cheap to work out: the limits are on the text alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from math import prod
from typing import Any

from icalendar.prop import vRecur

from karbor.domain.errors import BadInput

UNIT_SECONDS = {"SECONDLY": 1, "MINUTELY": 60, "HOURLY": 3600}
HOURLY = frozenset(UNIT_SECONDS)
TIMES_OF_A_DAY = 1440
"""The most that one rule names: each minute. With several the work grows in proportion."""
TIMES_WITH_BYSETPOS = 2
POSITIONS = 100     # the most that BYSETPOS names
_FREQUENCIES = (*UNIT_SECONDS, "DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_HOURLY_KNOWS = {"BYHOUR", "BYMINUTE", "BYSECOND", "BYDAY", "BYMONTH"}
_RANGES: Mapping[str, tuple[int, int]] = {
    "BYHOUR": (0, 23), "BYMINUTE": (0, 59), "BYSECOND": (0, 59), "BYMONTH": (1, 12)}
_SIGNED: Mapping[str, int] = {"BYMONTHDAY": 31, "BYYEARDAY": 366, "BYWEEKNO": 53, "BYSETPOS": 366}
_KNOWN = {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", *_RANGES, *_SIGNED}
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_LARGEST = 10**9        # an INTERVAL or COUNT beyond all years


@dataclass(frozen=True)
class Rule:
    """`by` are the numbers of each BY… part but BYDAY, each once, ascending; `by_day` pairs of a
    weekday (Monday is 0) and which one of the month or year (0: each)."""

    frequency: str
    interval: int
    by: tuple[tuple[str, tuple[int, ...]], ...]
    by_day: tuple[tuple[int, int], ...]
    week_start: int
    count: int | None
    until: datetime | date | None

    @property
    def by_clock(self) -> bool:
        """Whether the clock on the wall counts, and not only the time that passes."""
        return bool(self.by or self.by_day)

    def part(self, name: str) -> tuple[int, ...]:
        """The numbers of a BY… part, none where it has no such part."""
        return dict(self.by).get(name, ())


def rule(parsed: object) -> Rule:
    """From the RRULE that icalendar has parsed. Raises BadInput saying what is wrong."""
    if not isinstance(parsed, vRecur):
        raise BadInput(f"the pattern's RRULE cannot be read: {parsed}")
    parts: dict[str, list[Any]] = {
        str(name).upper(): list(value) for name, value in parsed.items()}
    if "FREQ" not in parts:
        raise BadInput("the pattern's RRULE has no FREQ")
    if strange := sorted(set(parts) - _KNOWN):
        raise BadInput(f"the pattern's RRULE has parts that Karbor does not know: "
                       f"{', '.join(strange)}")
    frequency = str(parts["FREQ"][0]).upper()
    interval = _positive(parts, "INTERVAL") or 1
    _require_known(frequency, interval, {name for name in parts if name.startswith("BY")})
    by = {name: _numbers(parts, name) for name in (*_RANGES, *_SIGNED) if name in parts}
    _require_few(frequency, by)
    if "BYSETPOS" in by and not (len(by) > 1 or "BYDAY" in parts):
        raise BadInput("the pattern's RRULE makes no sense: BYSETPOS without another BY… part")
    until = parts.get("UNTIL", [None])[0]
    if until is not None and not isinstance(until, date):       # a datetime is one, too
        raise BadInput("the pattern's RRULE makes no sense: UNTIL is no date")
    return Rule(frequency, interval, tuple(sorted(by.items())),
                tuple(sorted({_weekday(one) for one in parts.get("BYDAY", ())})),
                _week_start(parts), _positive(parts, "COUNT"), until)


def _require_known(frequency: str, interval: int, by: set[str]) -> None:
    if frequency not in _FREQUENCIES:
        raise BadInput(f"the pattern's RRULE makes no sense: FREQ={frequency}")
    if frequency in ("SECONDLY", "MINUTELY") and by:
        raise BadInput(f"FREQ={frequency} with {', '.join(sorted(by))} is not supported",
                       remedy="write FREQ=HOURLY or DAILY, with BYHOUR and BYMINUTE")
    if frequency == "HOURLY" and not by <= _HOURLY_KNOWS:
        raise BadInput(f"FREQ=HOURLY with {', '.join(sorted(by - _HOURLY_KNOWS))} is not supported",
                       remedy="write FREQ=DAILY with BYHOUR")
    if frequency == "HOURLY" and interval > 1 and "BYHOUR" in by:
        raise BadInput("FREQ=HOURLY with INTERVAL and BYHOUR is not supported",
                       remedy="write FREQ=DAILY with the hours in BYHOUR")


def _require_few(frequency: str, by: Mapping[str, tuple[int, ...]]) -> None:
    """Numbers are counted, nothing is multiplied out."""
    times = prod(len(by.get(name, (0,))) for name in ("BYHOUR", "BYMINUTE", "BYSECOND"))
    if frequency == "HOURLY" and "BYHOUR" not in by:
        times *= 24
    if times > TIMES_OF_A_DAY:
        raise BadInput(f"the pattern's RRULE names {times} times of a day; the most is "
                       f"{TIMES_OF_A_DAY}", remedy="name fewer in BYHOUR, BYMINUTE, BYSECOND")
    positions = len(by.get("BYSETPOS", ()))
    if positions and times > TIMES_WITH_BYSETPOS:
        raise BadInput(f"the pattern's RRULE has BYSETPOS and names {times} times of a day; with "
                       f"BYSETPOS the most is {TIMES_WITH_BYSETPOS}")
    if positions > POSITIONS:
        raise BadInput(f"the pattern's RRULE has {positions} numbers in BYSETPOS; the most is "
                       f"{POSITIONS}")


def _numbers(parts: Mapping[str, list[Any]], name: str) -> tuple[int, ...]:
    low, high = _RANGES.get(name) or (-_SIGNED[name], _SIGNED[name])
    for part in parts[name]:
        whole = isinstance(part, int)
        if not whole or not low <= part <= high or (name in _SIGNED and part == 0):
            raise BadInput(f"the pattern's RRULE makes no sense: {name}={part}")
    if not parts[name]:
        raise BadInput(f"the pattern's RRULE makes no sense: {name} names nothing")
    return tuple(sorted({int(part) for part in parts[name]}))


def _weekday(one: Any) -> tuple[int, int]:
    text = str(one).upper()
    day, nth = text[-2:], text[:-2]
    try:
        which = int(nth) if nth else 0
        number = _WEEKDAYS.index(day)
    except ValueError as error:
        raise BadInput(f"the pattern's RRULE makes no sense: BYDAY={text}") from error
    if (nth and not which) or abs(which) > 53:
        raise BadInput(f"the pattern's RRULE makes no sense: BYDAY={text}")
    return number, which


def _week_start(parts: Mapping[str, list[Any]]) -> int:
    if "WKST" not in parts:
        return 0
    text = str(parts["WKST"][0]).upper()
    if text not in _WEEKDAYS:
        raise BadInput(f"the pattern's RRULE makes no sense: WKST={text}")
    return _WEEKDAYS.index(text)


def _positive(parts: Mapping[str, list[Any]], name: str) -> int | None:
    if name not in parts:
        return None
    value = parts[name][0]
    if not isinstance(value, int) or value < 1:
        raise BadInput(f"the pattern's RRULE has {name}={value}: it must be 1 or more")
    return min(int(value), _LARGEST)
