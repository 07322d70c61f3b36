"""Numbers, times and ids in the words of people."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from karbor.domain.resource import Resource
from karbor.operations.selection import short

if TYPE_CHECKING:
    from karbor.cmd.embedded import Driver

SHORT_ID = 8        # characters of an id that people tell apart
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def size(count: float) -> str:
    """Return a number of bytes for people: 1536 → `1.5 KiB`."""
    for unit in _UNITS:
        if count < 1024 or unit == _UNITS[-1]:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError


def duration(seconds: float) -> str:
    """Return seconds for people: 75 → `1 min 15 s`; below ten seconds with a decimal."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for length, unit, lesser, word in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"),
                                       (60, "min", 1, "s")):
        if whole >= length:
            rest = whole % length // lesser
            return f"{whole // length} {unit}" + (f" {rest} {word}" if rest else "")
    return f"{whole} s"


def lapse(begun: float, over: float) -> str:
    """Return how long something took. A clock that was set back meanwhile does not tell."""
    if over < begun:
        return "an unknown time (the clock was set back)"
    return duration(over - begun)


def moment(when: float | None) -> str:
    """Return a moment in local time, to the second; `-` for none."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when)) if when is not None else "-"


def driven_by(driver: Driver) -> str:
    """Return who drives an operation: `process 4711 on worker-1`, and what to do with it when it
    gives no sign of life."""
    who = f"process {driver.pid or '(not known)'} on {driver.machine or 'an unknown machine'}"
    if driver.silent_since is None:
        return who
    return (f"{who}, silent since {moment(driver.silent_since)}; if it is stopped or hangs, end it "
            f"there with: kill -9 {driver.pid}")


def clock(when: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(when))


def thing(resource: Resource) -> str:
    """Return type and name of a resource: `server web-1`."""
    return f"{short(resource.type)} {resource.name or resource.id}"


def cut(text: str, longest: int) -> str:
    """Return one line of at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[:longest - 1] + "…"


def titles(resources: Iterable[Resource]) -> dict[str, str]:
    """Return a name for each resource, by key: `server web-1`, and with as much of its id as tells
    it from others of its type and name, `volume data (6f1c2a90)`."""
    alike: dict[str, list[Resource]] = {}
    for resource in resources:
        alike.setdefault(thing(resource), []).append(resource)
    found: dict[str, str] = {}
    for title, those in alike.items():
        for resource in those:
            found[resource.key] = (
                title if len(those) == 1 else f"{title} ({_apart(resource, those)})"
            )
    return found


def _apart(resource: Resource, those: Sequence[Resource]) -> str:
    """Return what of the ids of a resource no other one of `those` has."""
    others = [each for each in those if each.key != resource.key]
    if all(each.id[:SHORT_ID] != resource.id[:SHORT_ID] for each in others):
        return resource.id[:SHORT_ID]
    if all(each.id != resource.id for each in others):
        return resource.id
    return f"{resource.id[:SHORT_ID]} in {resource.within[:SHORT_ID]}"


def ids(handle: Mapping[str, Any]) -> str:
    """Return what a step holds on to in words: `6f1c2a90-…`, or `network 1a… web-net, router 2b…`.
    """
    if handle.get("id"):
        return str(handle["id"])
    made = [" ".join(filter(None, (str(one.get("kind", "")).removesuffix("s").replace("-", " "),
                                   str(one.get("id", "")), str(one.get("name") or ""))))
            for one in handle.get("created") or () if isinstance(one, Mapping)]
    if not made and "created" not in handle:
        made = [f"{name.replace('_', ' ')} {value}" for name, value in handle.items()
                if isinstance(value, str | int) and not isinstance(value, bool) and value != ""]
    return ", ".join(made) or ("nothing" if "created" in handle else "its id is not known")


def count(number: int, one: str, several: str = "") -> str:
    """Return a number with its noun: `1 resource`, `3 resources`."""
    return f"{number} {one if number == 1 else several or one + 's'}"
