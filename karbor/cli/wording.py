"""Numbers, times and ids in the words of people."""

from __future__ import annotations

import time

from karbor.domain.resource import Resource
from karbor.operations.selection import short

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def size(count: float) -> str:
    """1536 → `1.5 KiB`."""
    for unit in _UNITS:
        if count < 1024 or unit == _UNITS[-1]:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError


def duration(seconds: float) -> str:
    """75 → `1 min 15 s`; below ten seconds with a decimal."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for length, unit, lesser, word in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"),
                                       (60, "min", 1, "s")):
        if whole >= length:
            rest = whole % length // lesser
            return f"{whole // length} {unit}" + (f" {rest} {word}" if rest else "")
    return f"{whole} s"


def moment(when: float | None) -> str:
    """Local time, to the second; `-` for none."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when)) if when is not None else "-"


def clock(when: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(when))


def thing(resource: Resource) -> str:
    """`server web-1`."""
    return f"{short(resource.type)} {resource.name or resource.id}"


def count(number: int, one: str, several: str = "") -> str:
    """`1 resource`, `3 resources`."""
    return f"{number} {one if number == 1 else several or one + 's'}"
