"""Which checkpoints go, and what may never happen whatever the rules and the history are."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karbor.domain.checkpoint import CheckpointState
from karbor.domain.errors import BadInput
from karbor.domain.retention import BY_SCHEDULE, DAY, Candidate, Rules, judge

C = CheckpointState
BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NOW = at("2026-11-26 12:00")


def one(id: str, days_ago: float, state: CheckpointState = C.AVAILABLE, *,
        by: str = BY_SCHEDULE, of: str = "s") -> Candidate:
    return Candidate(id, NOW - days_ago * DAY, state, by, of)


def gone(candidates: list[Candidate], rules: Rules, now: float = NOW) -> list[str]:
    return sorted(verdict.checkpoint_id for verdict in judge(
        candidates, "s", rules, now=now, zone=UTC) if not verdict.kept)


def why(candidates: list[Candidate], rules: Rules) -> dict[str, str]:
    return {verdict.checkpoint_id: verdict.reason
            for verdict in judge(candidates, "s", rules, now=NOW, zone=UTC)}


FIVE = [one(str(number), 4 - number + 0.5) for number in range(5)]   # 0 the oldest, 4 the newest


def test_the_newest_are_kept_in_whatever_order_the_bank_lists_them() -> None:
    """Karbor 1.x deleted 3 and 4 here."""
    for listed in (FIVE, FIVE[::-1], [FIVE[one] for one in (2, 0, 4, 1, 3)]):
        assert gone(listed, Rules(max_backups=3)) == ["0", "1"]
    assert why(FIVE, Rules(max_backups=3))["1"] == (
        "3 newer ones are there, max_backups is 3")


@pytest.mark.parametrize(("rules", "expected"), [
    (Rules(), []),
    (Rules(max_backups=5), []),
    (Rules(max_backups=1), ["0", "1", "2", "3"]),
    (Rules(retention_duration=2), ["0", "1", "2"]),
    (Rules(max_backups=4, retention_duration=2), ["0", "1", "2"]),
    (Rules(max_backups=1, retention_duration=3), ["0", "1", "2", "3"]),
    (Rules(keep_daily=2), ["0", "1", "2"]),
    (Rules(max_backups=1, keep_daily=3), ["0", "1"]),
    (Rules(keep_yearly=1), ["0", "1", "2", "3"]),
])
def test_rules(rules: Rules, expected: list[str]) -> None:
    assert gone(FIVE, rules) == expected


def test_age_counts_to_the_second() -> None:
    two = [one("old", 2.0), one("new", 0.5)]
    assert gone(two, Rules(retention_duration=2)) == []
    assert gone(two, Rules(retention_duration=2), NOW + 1) == ["old"]


def test_the_last_good_one_stays_however_old() -> None:
    assert gone([one("a", 400), one("b", 300)], Rules(retention_duration=7)) == ["a"]
    assert why([one("b", 300)], Rules(max_backups=1, retention_duration=7)) == {
        "b": "the newest good one"}


def test_what_others_made_is_neither_counted_nor_removed() -> None:
    others = [one("by-hand", 0.1, by="manual"), one("of-another", 0.2, of="other"),
              one("old-by-hand", 900, by="manual", of="")]
    assert gone([*FIVE, *others], Rules(max_backups=3)) == ["0", "1"]
    assert why(others, Rules(max_backups=1)) == dict.fromkeys(
        ("by-hand", "of-another", "old-by-hand"), "not made by this scheduled operation")


def test_failed_ones_go_once_a_good_one_is_newer() -> None:
    assert gone([one("bad", 2, C.ERROR), one("good", 1)], Rules(max_backups=9)) == ["bad"]
    assert gone([one("bad", 2, C.ERROR), one("good", 3)], Rules(max_backups=9)) == []
    assert gone([one("bad", 2, C.ERROR)], Rules(max_backups=1)) == []


def test_nothing_goes_while_new_ones_fail() -> None:
    failing = [*FIVE, one("older-bad", 4.2, C.ERROR), one("bad", 0.2, C.ERROR),
               one("running", 0.1, C.PROTECTING)]
    assert gone(failing, Rules(max_backups=1, retention_duration=1)) == []
    assert "the newest protect (bad) failed" in why(failing, Rules(max_backups=1))["0"]


def test_a_damaged_one_takes_the_place_of_no_good_one() -> None:
    damaged = [replace(each, damaged=True) if each.id in ("4", "2") else each for each in FIVE]
    assert gone(damaged, Rules(max_backups=2)) == ["0"]
    told = why(damaged, Rules(max_backups=1))
    assert told["4"] == "damaged, and no newer one is good"
    assert told["3"] == "the newest good one"
    assert gone(damaged, Rules(max_backups=1)) == ["0", "1", "2"]
    assert gone([replace(each, damaged=True) for each in FIVE], Rules(max_backups=1)) == []


def test_what_is_being_made_or_deleted_is_left_alone() -> None:
    some = [one("deleting", 9, C.DELETING), one("running", 0.1, C.PROTECTING), *FIVE]
    assert gone(some, Rules(max_backups=4)) == ["0"]
    assert "deleting" not in why(some, Rules(max_backups=4))


def test_fathers_and_grandfathers() -> None:
    """Daily for a year: the newest of the last 3 days, 2 weeks, 3 months and both years."""
    year = [Candidate(f"{number:03}", at("2026-11-26 02:00") - (399 - number) * DAY,
                      C.AVAILABLE, BY_SCHEDULE, "s") for number in range(400)]
    rules = Rules(keep_daily=3, keep_weekly=2, keep_monthly=3, keep_yearly=2)
    going = set(gone(year, rules))
    kept = [datetime.fromtimestamp(one.created_at, UTC).strftime("%Y-%m-%d") for one in year
            if one.id not in going]
    assert kept == ["2025-12-31", "2026-09-30", "2026-10-31", "2026-11-22", "2026-11-24",
                    "2026-11-25", "2026-11-26"]
    assert why(year, rules)["395"] == "the newest of week 2026-W47 (2 of 2)"


def test_days_end_on_the_clocks_of_the_trigger() -> None:
    two = [Candidate("a", at("2026-11-24 23:30"), C.AVAILABLE, BY_SCHEDULE, "s"),
           Candidate("b", at("2026-11-25 00:30"), C.AVAILABLE, BY_SCHEDULE, "s")]
    rules = Rules(keep_daily=5)
    assert [one.kept for one in judge(two, "s", rules, now=NOW, zone=UTC)] == [True, True]
    assert [one.kept for one in judge(two, "s", rules, now=NOW, zone=BERLIN)] == [True, False]


@pytest.mark.parametrize(("raw", "rules"), [
    ({}, Rules()),
    ({"max_backups": "2", "retention_duration": "30", "plan_id": "x"}, Rules(2, 30)),
    ({"max_backups": 0, "retention_duration": -1, "keep_daily": None, "keep_weekly": ""}, Rules()),
    ({"keep_monthly": 12.0, "keep_yearly": "5"}, Rules(keep_monthly=12, keep_yearly=5)),
])
def test_rules_are_read_as_programs_send_them(raw: dict[str, object], rules: Rules) -> None:
    assert Rules.from_definition(raw) == rules


@pytest.mark.parametrize("raw", ["two", True, 1.5, [], "1.5"])
def test_what_is_no_number_is_named(raw: object) -> None:
    with pytest.raises(BadInput, match=r"max_backups is .* no whole number"):
        Rules.from_definition({"max_backups": raw})


HISTORIES = st.lists(st.tuples(
    st.floats(0, 800), st.sampled_from([C.AVAILABLE] * 4 + list(C)),
    st.sampled_from([BY_SCHEDULE] * 4 + ["manual"]), st.sampled_from(["s", "s", "other"])),
    max_size=30).map(lambda made: [
        one(f"{number:02}", days, state, by=by, of=of)
        for number, (days, state, by, of) in enumerate(made)])
NUMBERS = st.integers(0, 4)
RULES = st.builds(Rules, NUMBERS, st.integers(0, 60), NUMBERS, NUMBERS, NUMBERS, NUMBERS)


@settings(max_examples=40)
@given(HISTORIES, RULES)
def test_whatever_happened_the_newest_good_one_and_foreign_ones_stay(
        history: list[Candidate], rules: Rules) -> None:
    going = set(gone(history, rules))
    own = [one for one in history if one.created_by == BY_SCHEDULE
           and one.scheduled_operation_id == "s"]
    assert going <= {one.id for one in own if one.state in (C.AVAILABLE, C.ERROR)}
    good = sorted((one for one in own if one.state is C.AVAILABLE),
                  key=lambda one: (one.created_at, one.id))
    if good:
        assert good[-1].id not in going
    else:
        assert not going
    if rules.none:
        assert not going & {one.id for one in good}
    # By number alone, no good one goes before an older one that stays.
    if rules == Rules(max_backups=rules.max_backups):
        stays = [one.id not in going for one in good]
        assert stays == sorted(stays)


@settings(max_examples=40)
@given(HISTORIES, RULES)
def test_what_is_left_needs_no_more_removal(history: list[Candidate], rules: Rules) -> None:
    going = set(gone(history, rules))
    assert gone([one for one in history if one.id not in going], rules) == []


@settings(max_examples=40)
@given(HISTORIES, RULES)
def test_every_checkpoint_has_one_verdict_with_a_reason(
        history: list[Candidate], rules: Rules) -> None:
    verdicts = judge(history, "s", rules, now=NOW, zone=BERLIN)
    assert sorted(one.checkpoint_id for one in verdicts) == sorted(
        one.id for one in history if one.state is not C.DELETING)
    assert all(one.reason for one in verdicts)
