"""Moments as Karbor 1.x writes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import overload


@overload
def moment(seconds: float) -> str: ...
@overload
def moment(seconds: None) -> None: ...
@overload
def moment(seconds: float | None) -> str | None: ...
def moment(seconds: float | None) -> str | None:
    """Of seconds since the epoch: in UTC, with microseconds, without a zone."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
