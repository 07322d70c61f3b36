"""Times as operation logs and messages say them."""

from __future__ import annotations

from datetime import UTC, datetime


def span_text(seconds: float) -> str:
    """A length of time, rounded to what matters."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def moment_text(at: float) -> str:
    """A moment (seconds since the epoch), in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
