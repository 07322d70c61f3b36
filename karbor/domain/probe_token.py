"""Probe tokens: tokens kept only to see for how long after its end Keystone still knows a token.

No API of Keystone tells its window, and whatever an operator configured may be cut short (by keys
that are rotated away). So a token is laid aside and asked about later; what the answers say
together is here. Pure: times are seconds since the epoch by Keystone's clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

INEXACT = 2.0
"""Seconds by which a measured window may be wrong: Keystone cuts times to seconds, and is asked
about once in one."""


@dataclass(frozen=True)
class ProbeToken:
    """One token laid aside. `ends` is its end of life; `sealed` the token itself, sealed, and empty
    once nothing more can be learnt from it. `good_at` and `bad_at` are when it was last found known
    and first found unknown; `cause` is why."""

    id: str
    auth_url: str
    ends: float
    sealed: str = ""
    good_at: float | None = None
    bad_at: float | None = None
    cause: str = ""


@dataclass(frozen=True)
class WindowBounds:
    """What is known of a window, in seconds: it lasts at least, and at most (None: unknown)."""

    at_least: float = 0.0
    at_most: float | None = None


def bounds(probe_tokens: Iterable[ProbeToken]) -> WindowBounds:
    """Return how long the window is at least and at most, by these probe tokens. The later word
    counts where two contradict: a window may be changed, and a token that was revoked looks like
    one whose window is over until a younger one is found to have lived longer.
    """
    seen = list(probe_tokens)
    goods = [
        (probe_token.good_at, probe_token.good_at - probe_token.ends)
        for probe_token in seen
        if probe_token.good_at is not None
    ]
    bads = [
        (probe_token.bad_at, probe_token.bad_at - probe_token.ends)
        for probe_token in seen
        if probe_token.bad_at is not None
    ]
    known = [age for at, age in goods
             if not any(bad_at > at and bad <= age for bad_at, bad in bads)]
    over = [age for at, age in bads
            if not any(good_at > at and good >= age for good_at, good in goods)]
    at_least = max([0.0, *known])
    at_most = min(over, default=None)
    return WindowBounds(at_least, None if at_most is None else max(at_least, at_most))



def usable(configured: float, seen: WindowBounds) -> float:
    """Return how much of a window to build upon, in seconds: what was configured, unless the
    window was seen to be shorter; then what was seen to last."""
    return seen.at_least if is_short(configured, seen) else configured


def is_short(configured: float, seen: WindowBounds) -> bool:
    """Return whether a window was seen to be shorter than it was said to be."""
    return seen.at_most is not None and seen.at_most + INEXACT < configured
