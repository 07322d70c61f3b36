"""What probe_tokens say together of a window."""

from __future__ import annotations

from karbor.domain.probe_token import INEXACT, ProbeToken, WindowBounds, bounds, usable

HOUR = 3600.0


def one(ends: float, good: float | None = None, bad: float | None = None) -> ProbeToken:
    """Found known and unknown so many seconds after the beginning of time."""
    return ProbeToken("c", "http://keystone.test:5000/v3", ends, "", good, bad)


def test_nothing_is_known_of_a_cloud_that_was_never_examined() -> None:
    assert bounds([]) == WindowBounds(0.0, None)
    assert bounds([one(100)]) == WindowBounds(0.0, None)


def test_a_probe_token_that_was_known_and_then_not_gives_both_bounds() -> None:
    assert bounds([one(0, good=20 * HOUR, bad=31 * HOUR)]) == WindowBounds(20 * HOUR, 31 * HOUR)


def test_the_oldest_that_lived_and_the_youngest_that_died_count() -> None:
    assert bounds([one(0, bad=48 * HOUR), one(10 * HOUR, good=48 * HOUR),
                   one(40 * HOUR, good=48 * HOUR)]) == WindowBounds(38 * HOUR, 48 * HOUR)


def test_a_longer_life_seen_later_overrules_an_early_death() -> None:
    """As of one that was revoked, or before the window was made longer."""
    assert bounds([one(0, good=2 * HOUR, bad=3 * HOUR),
                   one(5 * HOUR, good=15 * HOUR)]) == WindowBounds(10 * HOUR, None)


def test_an_early_death_seen_later_overrules_a_longer_life() -> None:
    """As after the window was made shorter."""
    assert bounds([one(0, good=40 * HOUR), one(50 * HOUR, bad=51 * HOUR)]) == WindowBounds(
        0.0, HOUR
    )


def test_a_probe_token_may_come_back_to_life() -> None:
    assert bounds([one(0, good=30 * HOUR, bad=HOUR)]) == WindowBounds(30 * HOUR, None)


def test_what_was_seen_to_be_shorter_counts_for_what_it_lasted() -> None:
    assert usable(100.0, WindowBounds()) == 100.0
    assert usable(100.0, WindowBounds(500.0, None)) == 100.0      # nobody said that it may be used
    assert usable(100.0, WindowBounds(40.0, 60.0)) == 40.0
    assert usable(100.0, WindowBounds(97.0, 100.0 - INEXACT)) == 100.0
