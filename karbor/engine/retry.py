"""When to try again."""

from __future__ import annotations

LONGEST = 60.0


def backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row: 1, 2, 4 … 60."""
    return float(min(LONGEST, 2.0 ** max(0, failures - 1)))
