"""Rule days: the days and the times of the day that a Rule names, for all years at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import reduce
from itertools import product
from math import gcd
from operator import or_

from karbor.schedule import days
from karbor.schedule.rule_text import Rule

Group = tuple[int, Sequence[int]]
"""A set of days, and the seconds of the day at which each of them has one."""

_OF_DAYS = ("BYMONTHDAY", "BYYEARDAY", "BYWEEKNO")


def days_and_times(rule: Rule, start: datetime) -> list[Group]:
    """From whole periods on: also what lies before `start` in its own period. The groups have no
    time in common on one day."""
    if rule.frequency == "HOURLY":
        return _hourly(rule, start)
    chosen = _days(rule, start)
    times = _times(rule.part("BYHOUR") or (start.hour,), rule, start)
    positions = rule.part("BYSETPOS")
    return _positioned(chosen, times, positions, _periods(rule, start)) if positions else [
        (chosen, times)]


def _times(hours: Sequence[int], rule: Rule, start: datetime) -> list[int]:
    minutes = rule.part("BYMINUTE") or (start.minute,)
    seconds = rule.part("BYSECOND") or (start.second,)
    return [3600 * hour + 60 * minute + second
            for hour, minute, second in product(hours, minutes, seconds)]


def _hourly(rule: Rule, start: datetime) -> list[Group]:
    chosen = _narrowed(days.ALL, rule, nth=False)
    if rule.interval == 1:
        return [(chosen, _times(rule.part("BYHOUR") or range(24), rule, start))]
    # Day d has the hour h when 24 d + h - (hour of the start) is a multiple of the interval.
    common = gcd(24, rule.interval)
    step = rule.interval // common
    inverse = pow(24 // common, -1, step) if step > 1 else 0
    first = days.index(start.date())
    found: list[Group] = []
    for hour in range(24):
        if (start.hour - hour) % common == 0:
            later = (start.hour - hour) // common * inverse % step
            found.append((chosen & days.every(step, first + later), _times((hour,), rule, start)))
    return found


def _days(rule: Rule, start: datetime) -> int:
    day = start.date()
    plain = not rule.by_day and not any(rule.part(name) for name in _OF_DAYS)
    nth = False
    if rule.frequency == "DAILY":
        found = days.every(rule.interval, days.index(day))
    elif rule.frequency == "WEEKLY":
        found = days.every_week(rule.interval, day, rule.week_start)
        if plain:
            found &= days.weekday(day.weekday())
    elif rule.frequency == "MONTHLY":
        found = days.every_month(rule.interval, day)
        nth = True
        if plain:
            found &= days.day_of_month(day.day)
    else:
        found = days.every_year(rule.interval, day)
        nth = True
        if plain:
            found &= days.day_of_month(day.day)
            if not rule.part("BYMONTH"):
                found &= days.month(day.month)
    return _narrowed(found, rule, nth=nth)


def _narrowed(found: int, rule: Rule, *, nth: bool) -> int:
    """By every BY… part that is about days. `nth`: whether weekdays may be counted."""
    for name, chosen in (("BYMONTH", days.month), ("BYMONTHDAY", days.day_of_month),
                         ("BYYEARDAY", days.day_of_year)):
        if numbers := rule.part(name):
            found &= reduce(or_, map(chosen, numbers))
    if numbers := rule.part("BYWEEKNO"):
        found &= reduce(or_, (days.week_of_year(number, rule.week_start) for number in numbers))
    if rule.by_day:
        in_month = rule.frequency == "MONTHLY" or bool(rule.part("BYMONTH"))
        counted = days.weekday_of_month if in_month else days.weekday_of_year
        found &= reduce(or_, (counted(day, which) if which and nth else days.weekday(day)
                              for day, which in rule.by_day))
    return found


def _periods(rule: Rule, start: datetime) -> Iterator[tuple[int, int]]:
    """Index of the first day and number of days, in order, without gaps."""
    if rule.frequency == "DAILY":
        return iter(())
    if rule.frequency == "WEEKLY":
        begin = (days.index(start.date()) - (start.weekday() - rule.week_start)) % 7
        return ((first, 7) for first in range(begin - 7, days.COUNT, 7))
    if rule.frequency == "MONTHLY":
        return ((first, length) for _, _, first, length in days.months())
    return ((first, length) for _, first, length in days.years())


def _positioned(chosen: int, times: Sequence[int], positions: Sequence[int],
                periods: Iterator[tuple[int, int]]) -> list[Group]:
    """Of what each period has, only those at these places (from 1, or from -1 backwards). Periods
    that look alike are worked out once."""
    times = sorted(times)
    spans = list(periods)
    if not spans:       # each day is a period
        return [(chosen, [one for place in positions for one in _at(times, place)])]
    begin = spans[0][0]
    written = format(chosen, f"0{days.COUNT}b")[::-1]       # the first day comes first
    known: dict[str, dict[int, str]] = {}
    parts: list[dict[int, str]] = []
    for first, length in spans:
        alike = ("0" * -first + written[max(0, first):first + length]).ljust(length, "0")
        if alike not in known:
            known[alike] = _chosen(alike, times, positions)
        parts.append(known[alike])
    found: list[Group] = []
    for second in sorted({one for part in known.values() for one in part}):
        text = "".join(part.get(second) or "0" * length
                       for part, (_, length) in zip(parts, spans, strict=True))
        whole = int(text[::-1], 2)
        found.append(((whole << begin if begin >= 0 else whole >> -begin) & days.ALL, [second]))
    return found


def _chosen(days_of: str, times: Sequence[int], positions: Sequence[int]) -> dict[int, str]:
    """Time → the days of one period at which it is chosen."""
    there = [number for number, one in enumerate(days_of) if one == "1"]
    marks: dict[int, list[str]] = {}
    size = len(there) * len(times)
    for place in positions:
        number = place - 1 if place > 0 else size + place
        if 0 <= number < size:
            at, which = divmod(number, len(times))
            marks.setdefault(times[which], ["0"] * len(days_of))[there[at]] = "1"
    return {second: "".join(one) for second, one in marks.items()}


def _at(times: Sequence[int], place: int) -> Sequence[int]:
    number = place - 1 if place > 0 else len(times) + place
    return times[number:number + 1] if number >= 0 else ()
