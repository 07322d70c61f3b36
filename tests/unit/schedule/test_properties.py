"""What a trigger may say, what is refused with which words, and how it is shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from karbor.domain.errors import BadInput
from karbor.domain.trigger import PatternFormat
from karbor.schedule.properties import Limits, parse, written
from karbor.schedule.times import next_after

LIMITS = Limits()
NOW = datetime(2026, 11, 26, 14, 0, 0, 500000, tzinfo=UTC).timestamp()
DAILY = "BEGIN:VEVENT\nRRULE:FREQ=DAILY;INTERVAL=1;\nEND:VEVENT"


def calendar(pattern: object = DAILY, **more: Any) -> dict[str, Any]:
    return {"format": "calendar", "pattern": pattern, **more}


@pytest.mark.parametrize("pattern", [
    DAILY, DAILY.replace("\n", "\r\n"), DAILY.replace("\n", "\\n"), DAILY.replace("\n", "\\r\\n"),
    DAILY.replace("\n", "\r\n").encode(), f"BEGIN:VCALENDAR\n{DAILY}\nEND:VCALENDAR",
    f"\n{DAILY}\n", DAILY.replace("RRULE", "DTSTART:20200101T050505\nRRULE"),
])
def test_a_calendar_is_read_however_its_lines_end(pattern: object) -> None:
    found = parse(calendar(pattern, start_time="2026-11-01 02:00:00"), NOW, LIMITS)
    assert next_after(found, NOW) == datetime(2026, 11, 27, 2, tzinfo=UTC).timestamp()
    assert "\r" not in found.pattern


def test_only_the_first_event_counts() -> None:
    two = DAILY + "\nBEGIN:VEVENT\nRRULE:FREQ=NEVER\nEND:VEVENT"
    assert next_after(parse(calendar(two), NOW, LIMITS), NOW)


def test_without_a_start_it_begins_now() -> None:
    found = parse(calendar(), NOW, LIMITS)
    assert written(found) == {"format": "calendar", "pattern": DAILY.strip(),
                              "start_time": "2026-11-26 14:00:00"}
    assert next_after(found, NOW) == int(NOW) + 86400


@pytest.mark.parametrize(("text", "shown"), [
    ("2026-12-01 02:00:00", "2026-12-01 02:00:00"),
    ("2026-12-01T02:00:00", "2026-12-01 02:00:00"),
    ("2026-12-01T02:00", "2026-12-01 02:00:00"),
    ("2026-12-01T02:00:00Z", "2026-12-01 03:00:00"),
    ("2026-12-01T02:00:00+05:00", "2025-11-30 22:00:00".replace("2025", "2026")),
])
def test_times_are_on_the_clock_of_the_trigger_unless_they_name_a_zone(
        text: str, shown: str) -> None:
    found = parse(calendar(start_time=text, time_zone="Europe/Berlin", window=900,
                           end_time="2027-12-01 02:00:00"), NOW, LIMITS)
    assert written(found) == {
        "format": "calendar", "pattern": DAILY, "start_time": shown, "window": "900",
        "end_time": "2027-12-01 02:00:00", "time_zone": "Europe/Berlin"}
    again = parse({**written(found), "window": 900}, NOW, LIMITS)
    assert again == found


def test_the_zone_of_dtstart_counts_where_no_other_is_named() -> None:
    pattern = DAILY.replace("RRULE", "DTSTART;TZID=Europe/Berlin:20200101T000000\nRRULE")
    assert parse(calendar(pattern), NOW, LIMITS).time_zone == "Europe/Berlin"
    assert parse(calendar(pattern, time_zone="Asia/Tokyo"), NOW, LIMITS).time_zone == "Asia/Tokyo"
    with pytest.raises(BadInput, match="no time zone 'Nowhere'"):
        parse(calendar(pattern.replace("Europe/Berlin", "Nowhere")), NOW, LIMITS)


def test_a_crontab_is_read_by_its_own_format() -> None:
    found = parse({"format": "crontab", "pattern": "0 2 * * *"}, NOW, LIMITS)
    assert found.format is PatternFormat.CRONTAB


@pytest.mark.parametrize(("raw", "said"), [
    ({"format": "event", "pattern": DAILY}, "calendar or crontab, not 'event'"),
    ({"pattern": DAILY}, "calendar or crontab, not None"),
    ({"format": "calendar"}, "no pattern"),
    (calendar(5), "no pattern"),
    (calendar(b"\xff"), "UTF-8"),
    (calendar("0 2 * * *"), "no iCalendar"),
    (calendar(""), "no VEVENT"),
    (calendar("BEGIN:VTODO\nEND:VTODO"), "no VEVENT"),
    (calendar("BEGIN:VEVENT\nSUMMARY:x\nEND:VEVENT"), "no RRULE"),
    (calendar("BEGIN:VEVENT\nRRULE:INTERVAL=2\nEND:VEVENT"), "no FREQ"),
    (calendar("BEGIN:VEVENT\nRRULE:FREQ=NEVER\nEND:VEVENT"), "RRULE cannot be read"),
    (calendar("BEGIN:VEVENT\nRRULE:FREQ=DAILY;INTERVAL=0\nEND:VEVENT"), "INTERVAL=0"),
    (calendar("BEGIN:VEVENT\nRRULE:FREQ=DAILY;COUNT=0\nEND:VEVENT"), "COUNT=0"),
    (calendar("BEGIN:VEVENT\nRRULE:FREQ=DAILY;BYHOUR=99\nEND:VEVENT"), "makes no sense"),
    (calendar("BEGIN:VEVENT\nRRULE:FREQ=HOURLY;BYHOUR=99\nEND:VEVENT"), "makes no sense"),
    (calendar("BEGIN:VEVENT\nRRULE:FREQ=HOURLY;INTERVAL=2;BYHOUR=9\nEND:VEVENT"), "INTERVAL and"),
    (calendar("BEGIN:VEVENT\nRRULE:FREQ=WEEKLY;BYDAY=\nEND:VEVENT"), "RRULE"),
    (calendar("BEGIN:VEVENT\nRRULE:FREQ=YEARLY;BYEASTER=1\nEND:VEVENT"),
     "cannot be read|does not know"),
    (calendar("BEGIN:VEVENT\nRRULE:FREQ=SECONDLY;BYHOUR=2\nEND:VEVENT"), "SECONDLY with BYHOUR"),
    (calendar("BEGIN:VEVENT\nRRULE:FREQ=HOURLY;BYMONTHDAY=30\nEND:VEVENT"), "BYMONTHDAY"),
    (calendar("BEGIN:VEVENT\nRRULE:FREQ=MONTHLY;BYMONTHDAY=30;BYMONTH=2\nEND:VEVENT"),
     "never becomes due"),
    (calendar("BEGIN:VEVENT\nRRULE:FREQ=DAILY\nEXDATE:20270101T000000\nEND:VEVENT"), "EXDATE"),
    (calendar("BEGIN:VEVENT\nRRULE:FREQ=MINUTELY;INTERVAL=59\nEND:VEVENT"),
     "due again after 3540 s; this cloud allows 3600 s"),
    ({"format": "crontab", "pattern": "* * * *"}, "has 4 fields"),
    ({"format": "crontab", "pattern": "0 0 2 * * *"}, "has 6 fields"),
    ({"format": "crontab", "pattern": "0 25 * * *"}, "no crontab: Bad hour"),
    ({"format": "crontab", "pattern": "0 0 31 2 *"}, "no crontab: Bad day-of-month"),
    ({"format": "crontab", "pattern": "0,1 3 1 * *"}, "due again after 60 s"),
    ({"format": "crontab", "pattern": DAILY}, "fields"),
    (calendar(start_time="tomorrow"), "no time"),
    (calendar(start_time=1700000000), "no time"),
    (calendar(start_time="2026-13-01 00:00:00"), "no time"),
    (calendar(start_time="0001-01-01 00:00:00"), "1970"),
    (calendar(start_time="2026-12-01 00:00:00", end_time="2026-12-01 00:00:00"),
     "end_time is not later"),
    (calendar(start_time="2020-01-01 00:00:00", end_time="2021-01-01 00:00:00"),
     "never becomes due"),
    (calendar(window="900"), "no whole number"),
    (calendar(window=True), "no whole number"),
    (calendar(window=899), "900 to 1800 s"),
    (calendar(window=1801), "900 to 1800 s"),
    (calendar(time_zone="Mars"), "no time zone 'Mars'"),
    (calendar(time_zone=7), "no name"),
    (calendar(colour="red"), "no property colour"),
])
def test_what_is_wrong_is_said(raw: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        parse(raw, NOW, LIMITS)


@pytest.mark.parametrize("now", [
    datetime(2027, 3, 27, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC),
    datetime(2026, 10, 24, tzinfo=UTC)])
def test_the_season_does_not_decide_whether_a_trigger_is_too_frequent(now: datetime) -> None:
    raw = {"format": "crontab", "pattern": "30 2,3,4 * * *", "time_zone": "Europe/Berlin"}
    assert parse(raw, now.timestamp(), LIMITS)


def test_an_operator_may_allow_seconds() -> None:
    every = "BEGIN:VEVENT\nRRULE:FREQ=SECONDLY\nEND:VEVENT"
    limits = Limits(min_interval=1, min_window=2, max_window=5)
    found = parse(calendar(every, window=3), NOW, limits)
    assert (limits.window(found), next_after(found, NOW)) == (3, int(NOW) + 1)
    assert limits.window(parse(calendar(every), NOW, limits)) == 2
