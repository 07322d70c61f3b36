"""Times as texts: in messages, in operation logs, in the REST API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import overload


def span_text(seconds: float) -> str:
    """Return a length of time, rounded to what matters."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def moment_text(at: float) -> str:
    """Return a moment (seconds since the epoch), in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


@overload
def iso_timestamp(seconds: float) -> str: ...
@overload
def iso_timestamp(seconds: None) -> None: ...
@overload
def iso_timestamp(seconds: float | None) -> str | None: ...
def iso_timestamp(seconds: float | None) -> str | None:
    """Write a moment (seconds since the epoch) as Karbor 1.x does: UTC, with microseconds, without
    a zone."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
