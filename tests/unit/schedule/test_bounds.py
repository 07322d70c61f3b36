"""No pattern costs much: neither to check nor to ask, however it is made; and what is accepted
keeps the distance that the operator wants for ever, not for its first hundred times only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Any

import pytest
from dateutil.rrule import rrulestr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from karbor.domain.errors import BadInput
from karbor.domain.trigger import PatternFormat, TriggerProperties
from karbor.schedule import days, patterns, recurrence
from karbor.schedule.properties import Limits, parse
from karbor.schedule.times import next_occurrences, passed

NOW = datetime(2026, 11, 26, 14, 0, 0, tzinfo=UTC).timestamp()
LIMITS = Limits()
LOOKED_AT = 800
WORK = 200_000
"""Calls of functions that one check may take. A search from day to day would take some 146,000 for
each of its steps; this is what a tenth of a second is enough for."""
HOURS = ",".join(map(str, range(24)))
MINUTES = ",".join(map(str, range(60)))
BOMB = f"FREQ=DAILY;BYHOUR={HOURS};BYMINUTE={MINUTES};BYSECOND={MINUTES};COUNT=99999999"


def event(*rules: str) -> str:
    return "\n".join(["BEGIN:VEVENT", *(f"RRULE:{one}" for one in rules), "END:VEVENT"])


def calendar(*rules: str, start: str = "1970-01-01 00:00:00") -> dict[str, Any]:
    return {"format": "calendar", "pattern": event(*rules), "start_time": start}


def crontab(text: str) -> dict[str, Any]:
    return {"format": "crontab", "pattern": text, "start_time": "1970-01-01 00:00:00"}


@pytest.fixture(scope="module", autouse=True)
def calendar_of_the_process() -> None:
    """What every process works out once, whatever the patterns."""
    for one in range(1, 13):
        days.month(one)
    for one in range(1, 32):
        days.day_of_month(one)
        days.day_of_month(-one)
    for one in range(1, 367):
        days.day_of_year(one)
        days.day_of_year(-one)
    for one in range(1, 54):
        days.week_of_year(one, 0)
        days.week_of_year(-one, 0)
    days.months(), days.years()


def work(done: Callable[[], object]) -> int:
    """Calls that it makes, of Python's functions and of C's; counted, for clocks differ."""
    patterns.read.cache_clear()
    recurrence.expanded.cache_clear()
    calls = 0

    def count(_frame: object, kind: str, _argument: object) -> None:
        nonlocal calls
        calls += kind in ("call", "c_call")
        if calls > 2 * WORK:
            raise TimeoutError("far too much work")

    sys.setprofile(count)
    try:
        done()
    finally:
        sys.setprofile(None)
    return calls


def checked(raw: dict[str, Any]) -> TriggerProperties | None:
    try:
        return parse(raw, NOW, LIMITS)
    except BadInput:
        return None


@pytest.mark.parametrize(("raw", "said"), [
    (calendar(BOMB), "86400 times of a day; the most is 1440"),
    (calendar(f"FREQ=HOURLY;BYMINUTE={MINUTES};BYSECOND={MINUTES}"), "86400 times of a day"),
    (calendar(f"FREQ=DAILY;BYHOUR={HOURS};BYMINUTE={MINUTES}"), "due again after 60 s"),
    (calendar("FREQ=SECONDLY"), "due again after 1 s"),
    (calendar(*["FREQ=SECONDLY"] * 10), "comes 86400 times a day; the most is 1440"),
    (calendar(*["FREQ=MINUTELY"] * 10), "due again after 60 s"),
    (calendar(*(f"FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;BYHOUR={one}" for one in range(20))),
     "20 RRULEs; the most is 10"),
    (calendar(*(f"FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;BYHOUR={one}" for one in range(10))),
     "never becomes due"),
    (calendar("FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=1", "FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=2",
              "FREQ=WEEKLY;BYDAY=FR,SA;BYSETPOS=1"), "more than two RRULEs with BYSETPOS"),
    (calendar(f"FREQ=YEARLY;BYHOUR={HOURS};BYDAY=MO;BYSETPOS=1"), "24 times of a day; with"),
    (calendar("FREQ=YEARLY;BYDAY=MO;BYSETPOS=" + ",".join(map(str, range(1, 120)))),
     "119 numbers in BYSETPOS"),
    (crontab("0 0 */29 2 1#5"), "never becomes due"),
])
def test_bombs_are_refused_at_once(raw: dict[str, Any], said: str) -> None:
    def attempt() -> None:
        with pytest.raises(BadInput, match=said):
            parse(raw, NOW, LIMITS)

    assert work(attempt) < WORK


@pytest.mark.parametrize("raw", [
    calendar(f"FREQ=DAILY;BYHOUR={HOURS};COUNT=9999999"),
    calendar("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=SU"),
    calendar("FREQ=YEARLY;INTERVAL=100", start="2026-11-27 00:00:00"),
    calendar("FREQ=SECONDLY;INTERVAL=3601;COUNT=999999999"),
    calendar("FREQ=DAILY;INTERVAL=99999999", start="2026-11-27 00:00:00"),
    calendar(*("FREQ=WEEKLY;WKST=SU;BYHOUR=2,8;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYSETPOS="
               + ",".join(map(str, range(1, 101))) for _ in range(2))),
    crontab("0 0 29 2 1"),
    calendar("FREQ=DAILY;BYYEARDAY=" + ",".join(map(str, [*range(1, 367), *range(-366, 0)]))),
    calendar("FREQ=YEARLY;BYWEEKNO=" + ",".join(map(str, [*range(1, 54), *range(-53, 0)]))),
    calendar("FREQ=YEARLY;BYDAY=" + ",".join(
        f"{nth}{day}" for nth in [*range(1, 54), *range(-53, 0)]
        for day in ("MO", "TU", "WE", "TH", "FR", "SA", "SU"))),
])
def test_what_comes_rarely_or_often_is_accepted_for_little(raw: dict[str, Any]) -> None:
    assert work(lambda: parse(raw, NOW, LIMITS)) < WORK


BY = st.sampled_from(["BYHOUR", "BYMINUTE", "BYSECOND", "BYMONTH", "BYMONTHDAY", "BYYEARDAY",
                      "BYWEEKNO", "BYSETPOS"])
NUMBERS = st.one_of(
    st.lists(st.integers(-366, 366), min_size=1, max_size=12),
    st.sampled_from([list(range(24)), list(range(60)), list(range(1, 367)), list(range(1, 13))]))
DAYS = st.lists(st.sampled_from(["MO", "TU", "1WE", "-1FR", "5SU", "SA", "53MO"]), max_size=7)


@st.composite
def any_rule(draw: st.DrawFn) -> str:
    parts = ["FREQ=" + draw(st.sampled_from(
        ["SECONDLY", "MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))]
    parts += [f"{name}={','.join(map(str, numbers))}" for name, numbers in
              draw(st.dictionaries(BY, NUMBERS, max_size=4)).items()]
    if some := draw(DAYS):
        parts.append("BYDAY=" + ",".join(some))
    for name, value in (("INTERVAL", draw(st.sampled_from([0, 1, 2, 7, 23, 10**12]))),
                        ("COUNT", draw(st.sampled_from([0, 1, 1000, 10**8])))):
        if value:
            parts.append(f"{name}={value}")
    return ";".join(parts)


CRON_FIELD = st.lists(st.sampled_from(
    ["*", "0", "1", "29", "31", "*/2", "*/30", "2-5", "L", "LW", "MON#5", "5L", "FEB", "7"]),
    min_size=1, max_size=3).map(",".join)


@settings(max_examples=120, deadline=None)
@given(st.one_of(st.lists(any_rule(), min_size=1, max_size=10).map(lambda rules: calendar(*rules)),
                 st.lists(CRON_FIELD, min_size=5, max_size=5).map(" ".join).map(crontab)))
def test_whatever_is_sent_costs_little_to_check_and_to_ask(raw: dict[str, Any]) -> None:
    found: list[TriggerProperties | None] = []
    assert work(lambda: found.append(checked(raw))) < WORK
    if found[0] is not None:
        assert work(lambda: next_occurrences(found[0], NOW, 5)) < WORK
        assert work(lambda: passed(found[0], NOW - 86400.0, NOW)) < WORK


def stored(pattern: str) -> TriggerProperties:
    """As an older Karbor accepted it."""
    return TriggerProperties(PatternFormat.CALENDAR, pattern, 0.0)


def test_a_bomb_that_was_stored_before_says_so_instead_of_going_off() -> None:
    def ask() -> None:
        with pytest.raises(BadInput, match="times of a day"):
            next_occurrences(stored(event(BOMB)), NOW, 5)

    assert work(ask) < WORK
    mild = stored(event(f"FREQ=DAILY;BYHOUR={HOURS};COUNT=9999999"))
    assert work(lambda: next_occurrences(mild, NOW, 5)) < WORK
    never = stored(event(*(f"FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;BYHOUR={one}"
                           for one in range(10))))
    assert work(lambda: next_occurrences(never, NOW, 5)) < WORK


@pytest.mark.parametrize(("raw", "gap"), [
    # One meeting after some hundred times that lie days apart.
    (calendar("FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=1;BYHOUR=0",
              "FREQ=YEARLY;INTERVAL=100;BYMONTH=2;BYMONTHDAY=28;BYHOUR=23;BYMINUTE=30",
              start="1970-01-01 00:00:00"), 1800),
    (calendar("FREQ=WEEKLY;INTERVAL=51;BYDAY=MO;BYHOUR=2",
              "FREQ=WEEKLY;INTERVAL=52;BYDAY=MO;BYHOUR=2;BYMINUTE=10"), 600),
    (calendar("FREQ=DAILY;BYHOUR=0", "FREQ=MONTHLY;BYMONTHDAY=-1;BYHOUR=23;BYMINUTE=59"), 60),
    (calendar("FREQ=HOURLY;INTERVAL=6", "FREQ=YEARLY;BYHOUR=6;BYMINUTE=5"), 300),
    (calendar("FREQ=HOURLY;INTERVAL=5;BYMINUTE=0", "FREQ=YEARLY;BYHOUR=23;BYMINUTE=59"), 60),
    (crontab("0,1 3 29 2 *"), 60),
])
def test_the_shortest_time_between_two_counts_whenever_it_comes(
        raw: dict[str, Any], gap: int) -> None:
    with pytest.raises(BadInput, match=f"due again after {gap} s; this cloud allows 3600 s"):
        parse(raw, NOW, LIMITS)


@pytest.mark.parametrize("rules", [
    ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYHOUR=22", "FREQ=WEEKLY;BYDAY=SA,SU;BYHOUR=21;BYMINUTE=30"),
    ("FREQ=MONTHLY;BYDAY=1SU;BYHOUR=3", "FREQ=MONTHLY;BYDAY=3SU;BYHOUR=3;BYMINUTE=30"),
    ("FREQ=DAILY;BYHOUR=2", "FREQ=DAILY;BYHOUR=2"),
    ("FREQ=HOURLY;INTERVAL=6", "FREQ=DAILY;BYHOUR=3"),
])
def test_rules_that_never_meet_are_accepted(rules: tuple[str, ...]) -> None:
    assert parse(calendar(*rules), NOW, LIMITS)


def test_hours_that_elapse_beside_another_rule_cannot_be_told_apart() -> None:
    with pytest.raises(BadInput, match="18000 s each: how near they come to each other"):
        parse(calendar("FREQ=HOURLY;INTERVAL=5", "FREQ=DAILY;BYHOUR=3"), NOW, LIMITS)


SMALL = st.sampled_from([
    "FREQ=DAILY", "FREQ=DAILY;INTERVAL=9;BYHOUR=1,17", "FREQ=DAILY;BYMONTH=2,7;BYMONTHDAY=-1,13",
    "FREQ=DAILY;BYDAY=MO,FR;BYHOUR=3,9;BYSETPOS=-1", "FREQ=WEEKLY", "FREQ=WEEKLY;INTERVAL=3",
    "FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=SU,MO", "FREQ=WEEKLY;BYDAY=MO,TU,SA;BYSETPOS=2,-1",
    "FREQ=WEEKLY;WKST=WE;BYDAY=MO,TU,SA;BYHOUR=4,8;BYSETPOS=1,4", "FREQ=MONTHLY",
    "FREQ=MONTHLY;INTERVAL=5;BYDAY=2TU,-1FR", "FREQ=MONTHLY;BYMONTHDAY=31,-2;BYHOUR=0,23",
    "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1,1", "FREQ=YEARLY", "FREQ=YEARLY;INTERVAL=3",
    "FREQ=YEARLY;BYDAY=20MO,-3TH", "FREQ=YEARLY;BYMONTH=3,10;BYDAY=-1SU", "FREQ=YEARLY;BYDAY=WE",
    "FREQ=YEARLY;BYWEEKNO=20,-1;BYDAY=MO", "FREQ=YEARLY;BYWEEKNO=1;WKST=SU;BYDAY=TU",
    "FREQ=YEARLY;BYYEARDAY=1,100,-1", "FREQ=YEARLY;BYDAY=MO,TU;BYSETPOS=7,-7;BYHOUR=6",
    "FREQ=HOURLY;BYMINUTE=5", "FREQ=HOURLY;INTERVAL=5;BYMINUTE=5,45", "FREQ=HOURLY;BYHOUR=3,22",
    "FREQ=HOURLY;INTERVAL=36;BYMINUTE=0;BYDAY=MO,TH;BYMONTH=3",
    "FREQ=YEARLY;BYMONTHDAY=13;BYDAY=FR",
    "FREQ=DAILY;COUNT=7", "FREQ=MONTHLY;BYDAY=2TU,-1FR;BYHOUR=5,7;COUNT=9"])


@settings(max_examples=80, deadline=None)
@given(SMALL, st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)))
def test_the_times_are_those_that_dateutil_finds(text: str, start: datetime) -> None:
    """Another reading of RFC 5545, from day to day. Of a period that has begun before the start it
    takes BYSETPOS for what is left of it, which the RFC does not: so not the first month."""
    start = start.replace(microsecond=0)
    begin = start + timedelta(days=366 if "BYSETPOS" in text else 0)
    mine = TriggerProperties(PatternFormat.CALENDAR, event(text),
                             start.replace(tzinfo=UTC).timestamp())
    theirs = rrulestr(text, dtstart=start).xafter(begin - timedelta(seconds=1), count=40)
    assert list(islice(_walls(mine, begin), 40)) == list(theirs)


def _walls(properties: TriggerProperties, begin: datetime) -> Iterator[datetime]:
    after = begin.replace(tzinfo=UTC).timestamp() - 1
    for one in next_occurrences(properties, after, 40):
        yield datetime.fromtimestamp(one, UTC).replace(tzinfo=None)


@settings(max_examples=40, deadline=None)
@given(st.lists(SMALL.filter(lambda text: "SETPOS" not in text), min_size=1, max_size=3),
       st.integers(2, 3 * 86400))
def test_the_shortest_time_is_that_of_the_times_themselves(rules: list[str], below: int) -> None:
    """Among the next hundreds, no two are nearer than what was told of all of them."""
    pattern = patterns.read(PatternFormat.CALENDAR, event(*rules))
    properties = stored(event(*rules))
    assume(sum("HOURLY" in one for one in rules) < 2)       # others are too intricate together
    told = pattern.nearest(0.0, NOW, below)
    some = next_occurrences(properties, NOW, LOOKED_AT)
    seen = min((int(after - before) for before, after in pairwise(some)), default=None)
    if seen is not None and seen < below:
        assert told is not None
        assert told <= seen
        if len(some) < LOOKED_AT:
            assert told == seen
