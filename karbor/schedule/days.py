"""Days: sets of days, each as the bits of one number.

Karbor counts from 1970 to 2369, and the calendar has a finite number of days in that time. A set of
them is a number with a bit per day (18 KiB), so that "the last Friday of March, every second year"
is a few operations on numbers, however rarely it comes, and whether two sets ever meet is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from functools import lru_cache
from itertools import chain, pairwise

# A year of room on either side: clocks differ, and weeks begin early.
FIRST = date(1969, 1, 1)
LAST = date(2370, 12, 31)
COUNT = (LAST - FIRST).days + 1
ALL = (1 << COUNT) - 1


def index(day: date) -> int:
    """The number of its bit; of a day that is not counted, one beyond the others."""
    return (day - FIRST).days


def every(step: int, first: int) -> int:
    """The days `first`, `first + step`, and so on."""
    found = 1 << first if first < COUNT else 0
    width = step
    while width < COUNT:
        found |= found << width
        width *= 2
    return found & ALL


def of_indices(indices: Iterable[int]) -> int:
    """A set from the numbers of its days; those that are not counted are left out."""
    raw = bytearray(COUNT // 8 + 1)
    for indice in indices:
        if 0 <= indice < COUNT:
            raw[indice >> 3] |= 1 << (indice & 7)
    return int.from_bytes(raw, "little")


@lru_cache(maxsize=1)
def months() -> tuple[tuple[int, int, int, int], ...]:
    """Year, month, index of the first day, number of days."""
    found = []
    for year in range(FIRST.year, LAST.year + 1):
        for month in range(1, 13):
            first = date(year, month, 1)
            following = date(year + month // 12, month % 12 + 1, 1)
            found.append((year, month, index(first), (following - first).days))
    return tuple(found)


@lru_cache(maxsize=1)
def years() -> tuple[tuple[int, int, int], ...]:
    """Year, index of the first day, number of days."""
    return tuple((year, index(date(year, 1, 1)), (date(year + 1, 1, 1) - date(year, 1, 1)).days)
                 for year in range(FIRST.year, LAST.year + 1))


@lru_cache(maxsize=7)
def weekday(number: int) -> int:
    """Monday is 0."""
    return every(7, (number - FIRST.weekday()) % 7)


@lru_cache(maxsize=12)
def month(number: int) -> int:
    return of_indices(day for _, one, first, length in months() if one == number
                      for day in range(first, first + length))


@lru_cache(maxsize=62)
def day_of_month(number: int) -> int:
    """The first is 1, the last -1; months that have no such day are passed over."""
    if number > 0:
        return of_indices([first + number - 1 for _, _, first, length in months()
                           if number <= length])
    return of_indices([first + length + number for _, _, first, length in months()
                       if -number <= length])


@lru_cache(maxsize=128)
def day_of_year(number: int) -> int:
    """The first is 1, the last -1."""
    # Lists, not generators, which are entered anew for each year: a rule may name all 366 days.
    if number > 0:
        return of_indices([first + number - 1 for _, first, length in years() if number <= length])
    return of_indices([first + length + number for _, first, length in years()
                       if -number <= length])


@lru_cache(maxsize=64)
def week_of_year(number: int, week_start: int) -> int:
    """The weeks of that number; week 1 is the first with four days in the year, the last is -1."""
    begins = [first + 7 * (number - 1 if number > 0 else count + number)
              for first, count in _weeks(week_start) if -count <= number <= count]
    return of_indices([begin + day for begin in begins for day in _WEEK])


_WEEK = (0, 1, 2, 3, 4, 5, 6)


@lru_cache(maxsize=7)
def _weeks(week_start: int) -> tuple[tuple[int, int], ...]:
    """The first day of each year's week 1, and how many weeks the year has."""
    firsts = [_first_week(year, week_start) for year in range(FIRST.year, LAST.year + 2)]
    return tuple((first, (following - first) // 7)
                 for first, following in pairwise(firsts))


def _first_week(year: int, week_start: int) -> int:
    fourth = date(year, 1, 4)
    return index(fourth - timedelta(days=(fourth.weekday() - week_start) % 7))


@lru_cache(maxsize=70)
def weekday_of_month(number: int, nth: int) -> int:
    """The second Monday is (0, 2), the last one (0, -1)."""
    return of_indices(_nth_weekdays([(first, length) for _, _, first, length in months()],
                                    number, nth))


@lru_cache(maxsize=64)
def weekday_of_year(number: int, nth: int) -> int:
    return of_indices(_nth_weekdays([(first, length) for _, first, length in years()],
                                    number, nth))


def _nth_weekdays(spans: Sequence[tuple[int, int]], number: int, nth: int) -> list[int]:
    """The days of these spans, each of which has a first day and a length."""
    shift = number - FIRST.weekday()
    if nth > 0:
        return [day for first, length in spans
                for day in (first + (shift - first) % 7 + 7 * (nth - 1),) if day < first + length]
    return [day for first, length in spans for last in (first + length - 1,)
            for day in (last - (last - shift) % 7 + 7 * (nth + 1),) if day >= first]


@lru_cache(maxsize=1)
def last_workday_of_month() -> int:
    """The last day from Monday to Friday."""
    found = []
    for _, _, first, length in months():
        last = first + length - 1
        found.append(last - max(0, (last + FIRST.weekday()) % 7 - 4))
    return of_indices(found)


def every_month(interval: int, begin: date) -> int:
    """All days of every so many months, from that of `begin` on."""
    start = begin.year * 12 + begin.month
    return of_indices(chain.from_iterable(
        range(first, first + length) for year, one, first, length in months()
        if year * 12 + one >= start and (year * 12 + one - start) % interval == 0))


def every_year(interval: int, begin: date) -> int:
    return of_indices(chain.from_iterable(
        range(first, first + length) for year, first, length in years()
        if year >= begin.year and (year - begin.year) % interval == 0))


def every_week(interval: int, begin: date, week_start: int) -> int:
    first = every(7 * interval, index(begin) - (begin.weekday() - week_start) % 7)
    found = first
    for days in range(1, 7):
        found |= first << days
    return found & ALL
