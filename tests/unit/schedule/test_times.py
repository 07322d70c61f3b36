"""Moments at which triggers are due: patterns, time zones, clocks that are put forward and back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from karbor.domain.errors import BadInput
from karbor.domain.trigger import PatternFormat, Trigger, TriggerProperties
from karbor.schedule.times import COUNTED, next_after, next_occurrences, occurrences, passed, zone


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def told(moments: list[float], zone_name: str = "UTC") -> list[str]:
    return [datetime.fromtimestamp(one, ZoneInfo(zone_name)).strftime("%m-%d %H:%M %Z")
            for one in moments]


def cron(pattern: str, **more: object) -> TriggerProperties:
    return replace(TriggerProperties(PatternFormat.CRONTAB, pattern, utc("2026-01-01")),
                   **more)  # type: ignore[arg-type]


def rule(text: str, start: str = "2026-01-01 02:30:00", **more: object) -> TriggerProperties:
    begin = datetime.fromisoformat(start).replace(
        tzinfo=ZoneInfo(str(more.get("time_zone", "UTC")))).timestamp()
    rules = "".join(f"RRULE:{one}\n" for one in text.split())
    return replace(TriggerProperties(PatternFormat.CALENDAR,
                                     f"BEGIN:VEVENT\n{rules}END:VEVENT", begin),
                   **more)  # type: ignore[arg-type]


BERLIN = {"time_zone": "Europe/Berlin"}


@pytest.mark.parametrize(("properties", "night", "due"), [
    (cron("30 2 * * *", **BERLIN), "2026-10-24 12:00",
     ["10-25 02:30 CEST", "10-26 02:30 CET"]),
    (cron("30 2 * * *", **BERLIN), "2027-03-27 12:00",
     ["03-28 03:00 CEST", "03-29 02:30 CEST"]),
    (rule("FREQ=DAILY", **BERLIN), "2026-10-24 12:00",
     ["10-25 02:30 CEST", "10-26 02:30 CET"]),
    (rule("FREQ=DAILY", **BERLIN), "2027-03-27 12:00",
     ["03-28 03:30 CEST", "03-29 02:30 CEST"]),
    (rule("FREQ=HOURLY", **BERLIN), "2026-10-25 00:00",
     ["10-25 02:30 CEST", "10-25 02:30 CET", "10-25 03:30 CET"]),
    (rule("FREQ=HOURLY", **BERLIN), "2027-03-28 00:00",
     ["03-28 01:30 CET", "03-28 03:30 CEST", "03-28 04:30 CEST"]),
    (rule("FREQ=HOURLY;BYHOUR=1,2,3;BYMINUTE=15,45", **BERLIN), "2027-03-28 00:00",
     ["03-28 01:15 CET", "03-28 01:45 CET", "03-28 03:15 CEST", "03-28 03:45 CEST",
      "03-29 01:15 CEST"]),
])
def test_clocks_that_are_moved_neither_lose_nor_double_a_run(
        properties: TriggerProperties, night: str, due: list[str]) -> None:
    assert told(next_occurrences(properties, utc(night), len(due)), "Europe/Berlin") == due


def test_asked_within_the_doubled_hour_what_is_past_stays_past() -> None:
    second = utc("2026-10-25 01:15:00")     # 02:15 CET: 02:30 CEST was 45 minutes ago
    for properties in (cron("30 2 * * *", **BERLIN), rule("FREQ=DAILY", **BERLIN)):
        assert told([next_after(properties, second) or 0]) == ["10-26 01:30 UTC"]


@pytest.mark.parametrize(("properties", "due"), [
    (cron("0 2 * * 1"), ["11-30 02:00 UTC", "12-07 02:00 UTC"]),
    (cron("15 3 L * *"), ["11-30 03:15 UTC", "12-31 03:15 UTC"]),
    (rule("FREQ=WEEKLY;BYDAY=MO"), ["11-30 02:30 UTC", "12-07 02:30 UTC"]),
    (rule("FREQ=DAILY;INTERVAL=3;"), ["11-27 02:30 UTC", "11-30 02:30 UTC"]),
    (rule("FREQ=MONTHLY;BYMONTHDAY=-1"), ["11-30 02:30 UTC", "12-31 02:30 UTC"]),
    (rule("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1"),
     ["11-30 02:30 UTC", "12-31 02:30 UTC"]),
    (rule("FREQ=YEARLY", "2020-02-29 01:00:00"), ["02-29 01:00 UTC", "02-29 01:00 UTC"]),
    (rule("FREQ=DAILY;BYHOUR=9 FREQ=DAILY;BYHOUR=21 FREQ=DAILY;BYHOUR=9"),
     ["11-26 21:30 UTC", "11-27 09:30 UTC"]),
    (rule("FREQ=SECONDLY;INTERVAL=86400"), ["11-27 02:30 UTC", "11-28 02:30 UTC"]),
    (rule("FREQ=DAILY;COUNT=331"), ["11-27 02:30 UTC"]),
    (rule("FREQ=DAILY;COUNT=330"), []),
    (rule("FREQ=HOURLY;COUNT=7909"), ["11-26 14:30 UTC"]),
    (rule("FREQ=DAILY;UNTIL=20261127"), ["11-27 02:30 UTC"]),
    (rule("FREQ=DAILY;UNTIL=20261127T023000Z"), ["11-27 02:30 UTC"]),
    (rule("FREQ=DAILY;UNTIL=20261127T022959"), []),
    (rule("FREQ=DAILY", end_time=utc("2026-11-27 02:30")), ["11-27 02:30 UTC"]),
    (rule("FREQ=DAILY", "2026-12-24 00:00:00"), ["12-24 00:00 UTC", "12-25 00:00 UTC"]),
    (cron("0 0 * * *", start_time=utc("2026-12-24")), ["12-24 00:00 UTC", "12-25 00:00 UTC"]),
])
def test_patterns(properties: TriggerProperties, due: list[str]) -> None:
    assert told(next_occurrences(properties, utc("2026-11-26 14:00"), 2)) == due


def test_a_trigger_is_asked_as_its_properties_are() -> None:
    trigger = Trigger("t", "p", "nightly", cron("0 2 * * *"), created_at=0.0)
    assert told(next_occurrences(trigger, utc("2026-11-26 02:00"), 1)) == ["11-27 02:00 UTC"]


def test_what_is_due_now_is_not_due_after_now() -> None:
    daily = rule("FREQ=DAILY", "2026-11-26 14:00:00")
    assert told(next_occurrences(daily, utc("2026-11-26 14:00"), 1)) == ["11-27 14:00 UTC"]
    assert told(next_occurrences(daily, utc("2026-11-26 13:59"), 1)) == ["11-26 14:00 UTC"]


def test_the_format_of_the_trigger_counts() -> None:
    with pytest.raises(BadInput, match="is no iCalendar"):
        next_after(replace(cron("0 2 * * *"), format=PatternFormat.CALENDAR), 0.0)


def test_a_zone_that_is_not_there_is_named() -> None:
    with pytest.raises(BadInput, match="no time zone 'Mars/Phobos'"):
        zone("Mars/Phobos")
    with pytest.raises(BadInput, match="no time zone"):
        zone("../../etc/passwd")


def test_what_never_comes_ends_soon() -> None:
    assert next_after(rule("FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30"), utc("2026-11-26")) is None


FREQUENCIES = st.sampled_from(["HOURLY;BYMINUTE=5,50", "DAILY", "DAILY;BYDAY=MO,WE,SU",
                               "WEEKLY;BYDAY=TU,SA", "WEEKLY;WKST=SU;BYDAY=SU,MO", "MONTHLY"])


@settings(max_examples=60, deadline=None)
@given(FREQUENCIES, st.integers(1, 4), st.integers(0, 400 * 86400))
def test_where_one_begins_to_look_changes_nothing(freq: str, interval: int, later: int) -> None:
    """Rules are looked at from near the time that is asked for, not from their anchor."""
    anchor = utc("2025-03-05 10:20")
    text = f"FREQ={freq};INTERVAL={interval}"
    start = datetime(2025, 3, 5, 10, 20)
    after = anchor + later
    expected = rrulestr(text, dtstart=start).xafter(
        datetime.fromtimestamp(after, UTC).replace(tzinfo=None), count=3)
    assert next_occurrences(rule(text, "2025-03-05 10:20:00"), after, 3) == [
        one.replace(tzinfo=UTC).timestamp() for one in expected]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([cron("30 2,3 * * *", **BERLIN), cron("*/30 1-3 * * *", **BERLIN),
                        rule("FREQ=DAILY;BYHOUR=2,3;BYMINUTE=0,30", **BERLIN),
                        rule("FREQ=HOURLY;INTERVAL=2", **BERLIN)]),
       st.sampled_from(["2026-10-24 22:00", "2027-03-27 22:00"]), st.integers(0, 12 * 3600))
def test_times_ascend_and_are_the_same_wherever_one_begins(
        properties: TriggerProperties, night: str, later: int) -> None:
    begin = utc(night)
    all = list(islice(occurrences(properties, begin), 40))
    assert all == sorted(set(all))
    rest = [one for one in all if one > begin + later]
    assert list(islice(occurrences(properties, begin + later), len(rest))) == rest


def test_what_has_passed_is_the_latest_and_how_many_before() -> None:
    daily = cron("0 2 * * *")
    first = utc("2026-11-20 02:00")
    assert passed(daily, first, first - 1) is None
    one = passed(daily, first, first)
    assert one is not None
    assert (one.latest, one.count, one.exact, one.older) == (first, 0, True, None)
    week = passed(daily, first, utc("2026-11-26 14:00"))
    assert week is not None
    assert (told([week.latest]), week.count, week.exact) == (["11-26 02:00 UTC"], 6, True)
    assert told([week.older or 0]) == ["11-25 02:00 UTC"]


def test_a_year_of_seconds_has_passed_without_counting_them() -> None:
    seconds = rule("FREQ=SECONDLY", "2025-01-01 00:00:00")
    now = utc("2026-11-26 14:00")
    found = passed(seconds, utc("2025-01-01"), now)
    assert found is not None
    assert (found.latest, found.older, found.count, found.exact) == (now, now - 1, COUNTED, False)


@pytest.mark.parametrize("later", [COUNTED - 1, COUNTED, COUNTED + 1, COUNTED + 2])
def test_counting_ends_where_it_says(later: int) -> None:
    first = utc("2026-01-01 02:30")
    found = passed(rule("FREQ=SECONDLY"), first, first + later)
    assert found is not None
    assert (found.latest, found.older) == (first + later, first + later - 1)
    assert (found.count, found.exact) == (min(later, COUNTED), later <= COUNTED)
