"""Spans and moments, as the findings tell them."""

from __future__ import annotations

import time


def span(seconds: float) -> str:
    """Return a length of time in words: `48 h`, `90 min`, `30 s`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f}".removesuffix(".0") + " h"


def at(moment: float) -> str:
    """Return a moment in local time, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def listed(names: list[str], longest: int = 6) -> str:
    """Return names in words: `a, b, c and 3 more`."""
    shown = ", ".join(names[:longest])
    return shown if len(names) <= longest else f"{shown} and {len(names) - longest} more"
