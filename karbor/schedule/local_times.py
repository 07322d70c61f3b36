"""Local times: everything that a pattern names on a clock that nobody moves, for all the years that
Karbor counts; how it is walked through, cut, and how near to each other two of them come.

Whatever the pattern, the work is bounded: a set of days is one number (see `karbor.schedule.days`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import reduce
from operator import or_

from karbor.schedule.days import ALL, COUNT, FIRST, index

DAY_SECONDS = 86400
_BEGINNING = datetime.combine(FIRST, time())

DaySecond = tuple[int, int]
"""A day by its index, and the second of that day."""


@dataclass(frozen=True)
class LocalTimes:
    """`groups`: on each of these days, each of these seconds of the day (ascending)."""

    groups: tuple[tuple[int, tuple[int, ...]], ...]

    @classmethod
    def made(cls, groups: Iterable[tuple[int, Sequence[int]]]) -> LocalTimes:
        return cls(tuple((days, tuple(sorted(set(times)))) for days, times in groups
                         if days and times))

    def from_day(self, day: int) -> Iterator[datetime]:
        """All of them in order, from this day on."""
        day = max(0, day)
        rest = reduce(or_, (days for days, _ in self.groups), 0) >> day
        while rest:
            gap = (rest & -rest).bit_length() - 1
            day += gap
            times = sorted({second for days, times in self.groups if days >> day & 1
                            for second in times})
            for second in times:
                yield _BEGINNING + timedelta(days=day, seconds=second)
            rest >>= gap + 1
            day += 1

    def starting(self, moment: datetime) -> LocalTimes:
        """Those that are not before this."""
        day, second = place(moment)
        later = ALL >> (day + 1) << (day + 1) if day >= 0 else ALL
        return self._split(second, later, later | (1 << max(0, day)))

    def ending(self, moment: datetime) -> LocalTimes:
        """Those that are not after this."""
        day, second = place(moment)
        earlier = (1 << max(0, min(day, COUNT))) - 1
        on = 1 << day if 0 <= day < COUNT else 0
        return self._split(second + 1, earlier | on, earlier)

    def _split(self, second: int, days: int, others: int) -> LocalTimes:
        """Return its times before this second on `days`, and the rest of them on `others`."""
        return self.made(
            part for mine, times in self.groups for at in (bisect_left(times, second),)
            for part in ((mine & days, times[:at]), (mine & others, times[at:])))

    def first(self, count: int) -> LocalTimes:
        """So many of them at most. The groups must not overlap."""
        def before(day: int) -> int:
            mask = (1 << day) - 1
            return sum((days & mask).bit_count() * len(times) for days, times in self.groups)

        if before(COUNT) <= count:
            return self
        low, high = 0, COUNT        # the day on which the last one is
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if before(middle + 1) >= count else (middle + 1, high)
        left = count - before(low)
        for number, one in enumerate(self.from_day(low), 1):
            if number == left:
                return self.ending(one)
        raise AssertionError("the last one is on that day")

    def nearest(self, below: int) -> int | None:
        """The shortest time between two of them, in seconds, if that is less than `below`. Exact:
        not the next few are looked at but all."""
        found: int | None = None
        whole = reduce(or_, (days for days, _ in self.groups), 0)
        for apart in range(below // DAY_SECONDS + 2):
            if found is not None and (apart - 1) * DAY_SECONDS >= found:
                break
            if not whole & (whole >> apart):
                continue
            for days, times in self.groups:
                for other_days, other_times in self.groups:
                    best = below if found is None else found
                    # No pair of times can be nearer than the last and the first of them.
                    if (other_times[0] + apart * DAY_SECONDS - times[-1] >= best
                            or not days & (other_days >> apart)):
                        continue
                    gap = _shortest(times, other_times, apart * DAY_SECONDS)
                    if gap is not None and gap < best:
                        found = gap
        return found


def _shortest(times: Sequence[int], others: Sequence[int], later: int) -> int | None:
    """From one of `times` to one of `others`, which are so many seconds later: the shortest way
    that is longer than nothing."""
    shortest: int | None = None
    count = len(others)
    for second in times:
        at = bisect_right(others, second - later)
        if at < count and (shortest is None or others[at] + later - second < shortest):
            shortest = others[at] + later - second
    return shortest


def place(moment: datetime) -> DaySecond:
    """Of a time on a clock, without its zone."""
    return index(moment.date()), moment.hour * 3600 + moment.minute * 60 + moment.second


def together(several: Iterable[LocalTimes]) -> LocalTimes:
    """Return the times of all of them; days with the same times are one group."""
    groups: dict[tuple[int, ...], int] = {}
    for local_times in several:
        for days, times in local_times.groups:
            groups[times] = groups.get(times, 0) | days
    return LocalTimes(tuple((days, times) for times, days in groups.items()))
