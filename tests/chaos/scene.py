"""What the chaos tests play with: an application in a double, and a user who protects it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from karbor_testing.openstack import Double

from tests.chaos import application
from tests.chaos.application import Application
from tests.chaos.commands import OVER, Commands, Home

PROTECT = ("protect", "web", "db", "--name", "safe")


@dataclass
class Scene:
    """An application, a home, and what was kept: `built`, `protected`, `destroyed`."""

    home: Home
    double: Double
    app: Application


def build_scene(commands: Commands, double: Double, place: Path) -> Scene:
    home = Home(commands, double, place)
    app = application.build(double)
    double.set(looks={"*": 0})
    assert home.json("operation", "list") == []
    home.keep("built")
    ended = home.karbor(*PROTECT)
    assert ended.code == 0, ended
    assert trusts(double) == set()
    home.keep("protected")
    application.destroy(double, app)
    double.set(looks={"*": 0})
    home.keep("destroyed")
    return Scene(home, double, app)


def created(double: Double, since: int) -> Counter[str]:
    """How many of each kind were ever made since the ledger was so long."""
    return Counter(one["kind"] for one in double.ledger()[since:] if one["event"] == "created")


def remaining(double: Double) -> dict[str, int]:
    """How many there are of each kind of what costs its users something."""
    return {kind: len(records) for kind, records in double.dump().items()
            if kind not in {"keystone.token", "keystone.trust"}}


def trusts(double: Double) -> set[str]:
    """The ends of those that stand in Keystone: no two are alike."""
    return {one["expires_at"] for one in double.dump().get("keystone.trust", {}).values()}


def no_trust_stays(scene: Scene, *another: str) -> None:
    """Each goes with its operation; that of one whose process was killed between the two goes with
    the next operation, whatever that does: it is `another`."""
    left = trusts(scene.double)
    if left:
        assert left <= {end for end, state in scene.home.trusts().items() if state in OVER}
        ended = scene.home.karbor(*another)
        assert ended.code == 0, ended
    assert trusts(scene.double) == set()


def difference(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """How many there are more of each kind, where there are."""
    return {kind: after.get(kind, 0) - before.get(kind, 0) for kind in {**before, **after}
            if after.get(kind, 0) != before.get(kind, 0)}
