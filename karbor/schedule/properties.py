"""Properties: a trigger's, as the API writes them, checked; and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Any

from karbor.domain.errors import BadInput
from karbor.domain.trigger import PatternFormat, TriggerProperties
from karbor.schedule.patterns import plain, read, zone_of
from karbor.schedule.times import next_after, zone

TIME = "%Y-%m-%d %H:%M:%S"
KEYS = {"format", "pattern", "start_time", "end_time", "window", "time_zone"}
_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?")


@dataclass(frozen=True)
class Limits:
    """What the operator allows ([schedule] of the configuration), in seconds."""

    min_interval: float = 3600.0
    min_window: int = 900
    max_window: int = 1800

    def window(self, properties: TriggerProperties) -> int:
        """For how long an occurrence may be begun late."""
        return self.min_window if properties.window is None else properties.window


def parse(raw: Mapping[str, Any], now: float, limits: Limits) -> TriggerProperties:
    """From the API's words. Raises BadInput with what is wrong.

    A time without a zone is on the trigger's clock, so in UTC unless it names another. DTSTART of a
    calendar pattern is ignored, as in Karbor 1.x: the rule is anchored at `start_time`. Only its
    TZID counts, where there is no `time_zone`: whoever wrote it meant that clock.
    """
    if strange := sorted(set(raw) - KEYS):
        raise BadInput(f"a trigger has no property {', '.join(strange)}",
                       remedy=f"there are: {', '.join(sorted(KEYS))}")
    format = _format(raw.get("format"))
    if not isinstance(raw.get("pattern"), str | bytes):
        raise BadInput("the trigger has no pattern")
    pattern = plain(raw["pattern"])
    read(format, pattern)
    named = raw.get("time_zone")
    if named is not None and not isinstance(named, str):
        raise BadInput(f"time_zone is {named!r}, which is no name")
    name = named or (zone_of(pattern) if format is PatternFormat.CALENDAR else "") or "UTC"
    start = _time("start_time", raw.get("start_time"), name)
    end = _time("end_time", raw.get("end_time"), name)
    properties = TriggerProperties(
        format=format, pattern=pattern, start_time=float(int(now)) if start is None else start,
        end_time=end, window=_window(raw.get("window"), limits), time_zone=name)
    if end is not None and end <= properties.start_time:
        raise BadInput("end_time is not later than start_time")
    _require_times(properties, now, limits)
    return properties


def _format(raw: object) -> PatternFormat:
    try:
        return PatternFormat(str(raw))
    except ValueError as error:
        raise BadInput(f"the format of a pattern is calendar or crontab, not {raw!r}") from error


def _window(raw: object, limits: Limits) -> int | None:
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, int):
        raise BadInput(f"window is {raw!r}, which is no whole number of seconds")
    if not limits.min_window <= raw <= limits.max_window:
        raise BadInput(f"window is {raw} s; this cloud allows {limits.min_window} to "
                       f"{limits.max_window} s")
    return raw


def _time(key: str, raw: object, zone_name: str) -> float | None:
    """`2026-11-01 02:00:00`, with T in between and with a zone as well. A time that clocks show
    twice is the first one."""
    if raw is None or raw == "":
        return None
    wrong = BadInput(f"{key} is {raw!r}, which is no time", remedy="write 2026-11-01 02:00:00")
    if not isinstance(raw, str) or not _ISO.fullmatch(raw.strip()):
        raise wrong
    try:
        when = datetime.fromisoformat(raw.strip())
    except ValueError as error:
        raise wrong from error
    if not 1970 <= when.year < 2370:
        raise BadInput(f"{key} is {raw!r}: Karbor counts from 1970 to 2369")
    where = zone(zone_name)
    return (when if when.tzinfo else when.replace(tzinfo=where)).timestamp()


def _require_times(properties: TriggerProperties, now: float, limits: Limits) -> None:
    """One that never fires would be taken for one that protects."""
    if next_after(properties, now) is None:
        raise BadInput("the trigger never becomes due: its pattern names no time between its start "
                       "(or now) and its end")
    # On clocks that nobody moves: otherwise the answer would depend on the season.
    nearest = read(properties.format, properties.pattern).nearest(
        properties.start_time, max(now, properties.start_time - 1), ceil(limits.min_interval))
    if nearest is not None:
        raise BadInput(f"the trigger is due again after {nearest} s; this cloud allows "
                       f"{limits.min_interval:.0f} s and more")


def written(properties: TriggerProperties) -> dict[str, str]:
    """As Karbor 1.x shows them: all strings, times on the trigger's clock; `window`, `end_time`
    and `time_zone` only where they were said (UTC need not be)."""
    where = zone(properties.time_zone)

    def at(moment: float) -> str:
        return datetime.fromtimestamp(moment, UTC).astimezone(where).strftime(TIME)

    out = {"format": str(properties.format), "pattern": properties.pattern,
           "start_time": at(properties.start_time)}
    if properties.end_time is not None:
        out["end_time"] = at(properties.end_time)
    if properties.window is not None:
        out["window"] = str(properties.window)
    if properties.time_zone != "UTC":
        out["time_zone"] = properties.time_zone
    return out
