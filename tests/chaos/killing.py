"""One run after the other, each killed at another request."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.chaos.scene import Scene, no_trust_stays, remaining, trusts
from tests.chaos.verbs import Verb


@dataclass(frozen=True)
class Point:
    """One request of one run: the `nth` of its signature. `sure`: every run has it; looks and
    requests that are refused may be more or fewer from run to run."""

    signature: str
    nth: int
    side: str
    sure: bool = True

    def __str__(self) -> str:
        return f"{self.side} {self.signature} ({self.nth})"


@dataclass
class Findings:
    wrong: list[str] = field(default_factory=list)
    missed: list[Point] = field(default_factory=list)       # requests that did not come this time


def kill_at(scene: Scene, verb: Verb, point: Point, findings: Findings) -> None:
    home, double = scene.home, scene.double
    home.bring_back(verb.start)
    start, mark = remaining(double), len(double.ledger())
    argv = verb.begin(scene)
    newest = home.newest()

    def arm(pid: int) -> None:
        double.fault(point.side, pid=pid, signature=point.signature, nth=point.nth)

    try:
        ended = home.karbor(*argv, before=arm)
        double.heal()
        if ended.killed:
            assert trusts(double) <= home.trusts().keys(), "one that nobody knows of"
            ended = verb.finish(scene, argv, newest[0] if newest else None)
        else:
            findings.missed.append(point)
        verb.check(scene, ended, start, mark)
        no_trust_stays(scene, *verb.another)
    except (AssertionError, TimeoutError, KeyError) as error:
        findings.wrong.append(f"{point}: {type(error).__name__} {error}")


def kill_at_each(scenes: list[Scene], verb: Verb, plan: list[Point]) -> Findings:
    """The scenes share the work. What went wrong is told by then, all together."""
    findings = Findings()

    def work(number: int) -> None:
        for point in plan[number::len(scenes)]:
            kill_at(scenes[number], verb, point, findings)

    with ThreadPoolExecutor(len(scenes)) as pool:
        list(pool.map(work, range(len(scenes))))
    assert not findings.wrong, (f"{len(findings.wrong)} of {len(plan)} went wrong:\n"
                                + "\n".join(findings.wrong))
    return findings
