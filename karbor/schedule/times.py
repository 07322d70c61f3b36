"""Times: at which moments a trigger is due. Seconds since the epoch, in and out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from karbor.domain.errors import BadInput
from karbor.domain.trigger import Trigger, TriggerProperties
from karbor.schedule.patterns import read

COUNTED = 1000
"""Missed occurrences that are counted one by one; of more it is said that they were more."""


def zone(name: str) -> ZoneInfo:
    """Raises BadInput for a name that the IANA database of this machine does not have."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadInput(f"there is no time zone {name!r}",
                       remedy="name one of the IANA database: Europe/Berlin, UTC") from error


def occurrences(properties: TriggerProperties, after: float) -> Iterator[float]:
    """All that are later than `after`, in order; neither before the start nor after the end.

    Raises BadInput for a pattern or zone that cannot be read (any more).
    """
    pattern = read(properties.format, properties.pattern)
    start, end = properties.start_time, properties.end_time
    # One exactly at the start counts: what is asked for is "later than".
    floor = max(after, start - 0.5)
    for moment in pattern.moments(start, zone(properties.time_zone), floor):
        if end is not None and moment > end:
            return
        if moment >= start:
            yield moment


def next_occurrences(trigger: Trigger | TriggerProperties, after: float, n: int) -> list[float]:
    """The next n that are later than `after`; fewer when the trigger ends. Raises BadInput."""
    properties = trigger.properties if isinstance(trigger, Trigger) else trigger
    return list(islice(occurrences(properties, after), n))


def next_after(properties: TriggerProperties, after: float) -> float | None:
    """The first later than `after`, if there is one. Raises BadInput."""
    return next(occurrences(properties, after), None)


@dataclass(frozen=True)
class Passed:
    """The occurrences from `first` to now: the latest, how many are older than that, and whether
    these are no more than was said; `older` is the last of them."""

    latest: float
    count: int
    exact: bool
    older: float | None


def passed(properties: TriggerProperties, first: float, now: float) -> Passed | None:
    """What has become due since `first`, which is one of them; None if nothing has. However long
    ago that was, the work is bounded. Raises BadInput."""
    found: list[float] = []
    for occurrence in occurrences(properties, first - 0.5):
        if occurrence > now:
            break
        if len(found) > COUNTED:
            older, latest = _last_two(properties, found[-1], now)
            return Passed(latest, COUNTED, False, older)
        found.append(occurrence)
    if not found:
        return None
    return Passed(found[-1], len(found) - 1, True, found[-2] if len(found) > 1 else None)


def _last_two(properties: TriggerProperties, since: float, now: float) -> tuple[float, float]:
    """The last two up to now, where `since` and another one are known. Looking back from now, an
    hour first and then twice as far each time: as often as they come, few are met."""
    back = 3600.0
    while True:
        begin = max(since - 0.5, now - back)
        found: list[float] = []
        for occurrence in occurrences(properties, begin):
            if occurrence > now:
                break
            found = [*found[-1:], occurrence]
        if len(found) == 2:
            return found[0], found[1]
        back *= 2
