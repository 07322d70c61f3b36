"""The run: build applications, protect them side by side, destroy and restore them, compare."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from dev.devcloud import ports
from dev.endurance import application, tenants
from dev.endurance.application import IMAGE, WEB, Portrait
from dev.endurance.commands import Commands
from dev.endurance.place import Place
from dev.endurance.proof import Passage, Scale
from dev.endurance.slow_road import SlowRoad, slow_road
from dev.endurance.tenants import Tenant

PATIENCE = 900.0        # seconds beyond those that the road takes, for twenty at once on two cores
AT_ONCE = 4             # tenants that the harness itself works for at the same time
T = TypeVar("T")
Chapter = Callable[[str], contextlib.AbstractContextManager[None]]
"""Told of each part of the run when it begins."""


@dataclass
class Report:
    """`faults` says what was not as it should be, by tenant."""

    scale: Scale
    passages: list[Passage] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@contextlib.contextmanager
def silence(_what: str) -> Iterator[None]:
    yield


def play(place: Place, scale: Scale, chapter: Chapter = silence) -> Report:
    """The whole of it; the cloud is left as it was found. Raises Trouble."""
    report = Report(scale)
    shutil.rmtree(place.own, ignore_errors=True)
    place.own.mkdir()
    with chapter("tidying up after an earlier run"):
        _tidy(place)
    try:
        with chapter(f"building {scale.operations} applications, each of its own user"):
            those = tenants.make(place, scale.operations)
            sizes = dict(zip(those, scale.sizes, strict=True))
            before = _each(those, lambda one: application.build(place, one, sizes[one]))
            was = dict(zip(those, before, strict=True))
        with chapter(f"the cloud starts again: tokens of {scale.token_life} s, a window of "
                     f"{scale.window} s, no caches"):
            short = contextlib.ExitStack()
            short.enter_context(place.short_tokens(scale.token_life, scale.window,
                                                   scale.uncached))
        with short, slow_road(place.own / "road", place.host, ports.GLANCE, scale.rate) as road:
            commands = Commands(place, scale.window)
            commands.configure(road)
            _travel(place, report, chapter, commands, was)
            _look_at_road(report, road)
        _look_for_trusts(place, report)
    finally:
        with chapter("tidying up"):
            _tidy(place)
    return report


def _travel(place: Place, report: Report, chapter: Chapter, commands: Commands,
            was: Mapping[Tenant, Portrait]) -> None:
    those, count = list(was), len(was)
    with chapter(f"{count} protects side by side"):
        _operate(report, commands, those, "protect", lambda one: [
            WEB, f"image:{IMAGE}", "--name", one.name])
    if report.faults:
        return
    with chapter("destroying what was protected"):
        _each(those, lambda one: application.destroy(place, one))
    with chapter(f"{count} restores side by side"):
        _operate(report, commands, those, "restore", lambda one: [one.name])
    if report.faults:
        return
    with chapter("comparing every byte and address"):
        after = _each(those, lambda one: application.portrait(place, one))
        report.faults += [f"{one.name}: restored as {new}, it was {was[one]}"
                          for one, new in zip(those, after, strict=True) if new != was[one]]


def _operate(report: Report, commands: Commands, those: Sequence[Tenant], verb: str,
             words: Callable[[Tenant], list[str]]) -> None:
    begun = time.time()
    ended = commands.run([[one.name, verb, *words(one)] for one in those],
                         report.scale.seconds + PATIENCE)
    records = commands.records([one.name for one in those], ended)
    for one, end, record in zip(those, ended, records, strict=True):
        passage = Passage(one.name, verb, begun, end, record)
        report.passages.append(passage)
        report.faults += [f"{one.name}: {verb} {fault}" for fault in passage.faults(report.scale)]


def _look_at_road(report: Report, road: SlowRoad) -> None:
    """The bytes of every disk must have gone over it, no faster than it allows."""
    disks = [one for one in road.journeys() if max(one.up, one.down) >= report.scale.size]
    done = 2 * len(report.passages)
    if len(disks) < done and not report.faults:
        report.faults.append(f"only {len(disks)} disks of {done} went over the slow road")
    fastest = max((max(one.up, one.down) / max(one.seconds, 0.001) for one in disks), default=0.0)
    if fastest > 1.2 * road.rate:
        report.faults.append(f"the slow road was not slow: {fastest:.0f} bytes/s")


def _look_for_trusts(place: Place, report: Report) -> None:
    left = tenants.trusts(place)
    if left:
        report.faults.append(f"{len(left)} trusts are left in Keystone: {', '.join(left)}")


def _tidy(place: Place) -> None:
    with place.connect("admin", "admin") as admin:
        _each(tenants.remaining(admin),
              lambda one: application.destroy(place, one, network_too=True))
        tenants.remove(admin)
    shutil.rmtree(place.own / "state", ignore_errors=True)


def _each(those: Sequence[Tenant], work: Callable[[Tenant], T]) -> list[T]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(work, those))

