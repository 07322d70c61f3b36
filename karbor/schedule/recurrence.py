"""Recurrence: one RRULE of RFC 5545, anchored at a trigger's start, as moments in time.

A rule is worked out for all the years that Karbor counts at once, as sets of days and times of the
day (see `karbor.schedule.local_times`): nothing is searched day by day, so no rule can cost more
than another by coming rarely, often or never.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import takewhile
from zoneinfo import ZoneInfo

from karbor.domain.errors import BadInput
from karbor.schedule.days import ALL
from karbor.schedule.local_times import DAY_SECONDS, LocalTimes, place
from karbor.schedule.rule_days import days_and_times
from karbor.schedule.rule_text import HOURLY, TIMES_OF_A_DAY, UNIT_SECONDS, Rule

_SLACK = timedelta(days=2)      # more than clocks are ever moved
_EXPANDED = 32      # rules that are held worked out, each up to half a MiB


@dataclass(frozen=True)
class Recurrence:
    rule: Rule

    def moments(self, anchor: float, zone: ZoneInfo, after: float) -> Iterator[float]:
        """Those later than `after` (seconds since the epoch), in order."""
        if self.elapses:
            found = self._elapsed(anchor, after)
        else:
            begin = datetime.fromtimestamp(after, zone).replace(tzinfo=None) - _SLACK
            times = expanded(self.rule, datetime.fromtimestamp(anchor, zone).replace(tzinfo=None))
            found = (one for one in _real(times.from_day(place(begin)[0]), zone) if one > after)
        last = _moment_of(self.rule.until, zone) if self.rule.until is not None else None
        return found if last is None else takewhile(lambda one: one <= last, found)

    @property
    def elapses(self) -> bool:
        """Every so many hours means hours that have passed, whatever happens to the clocks."""
        return self.rule.frequency in HOURLY and not self.rule.by_clock

    @property
    def step(self) -> int:
        """Of one that elapses: seconds."""
        return self.rule.interval * UNIT_SECONDS[self.rule.frequency]

    def _elapsed(self, anchor: float, after: float) -> Iterator[float]:
        number = max(0, int((after - anchor) // self.step))
        while self.rule.count is None or number < self.rule.count:
            moment = anchor + number * self.step
            if moment > after:
                yield moment
            number += 1

    def local_times(self, anchor: float) -> LocalTimes | None:
        """Return what it names where nobody moves the clocks; None for one that elapses in steps
        which do not make up a day. Raise BadInput for one that elapses more often in a day than a
        rule may name times: comparing them all would take long."""
        start = datetime.fromtimestamp(anchor, UTC).replace(tzinfo=None)
        if not self.elapses:
            local_times = expanded(self.rule, start)
        elif DAY_SECONDS % self.step == 0:
            if DAY_SECONDS // self.step > TIMES_OF_A_DAY:
                raise BadInput(f"the pattern has several RRULEs, and one of them comes "
                               f"{DAY_SECONDS // self.step} times a day; the most is "
                               f"{TIMES_OF_A_DAY}", remedy="write it as the trigger's only RRULE")
            second = place(start)[1]
            local_times = LocalTimes.made([(ALL, [
                (second + one) % DAY_SECONDS for one in range(0, DAY_SECONDS, self.step)])]
                ).starting(start)
            if self.rule.count is not None:
                local_times = local_times.first(self.rule.count)
        else:
            return None
        if self.rule.until is None:
            return local_times
        last = datetime.fromtimestamp(_moment_of(self.rule.until, ZoneInfo("UTC")), UTC)
        return local_times.ending(last.replace(tzinfo=None))


@lru_cache(maxsize=_EXPANDED)
def expanded(rule: Rule, start: datetime) -> LocalTimes:
    """From the start on, COUNT included. UNTIL is a moment, so that is for whoever has a zone."""
    start = start.replace(microsecond=0)
    local_times = LocalTimes.made(days_and_times(rule, start)).starting(start)
    return local_times if rule.count is None else local_times.first(rule.count)


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
