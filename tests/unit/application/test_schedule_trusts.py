"""Rights of scheduled operations: whatever dies in between, nothing stands in Keystone unseen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from karbor.application.schedule_trusts import COMING, GOING, GRACE, ScheduleTrusts, first_written
from karbor.domain.caller import Caller
from karbor.domain.errors import Conflict, KeystoneUnreachable, NotFound, TokenRejected
from karbor.domain.operation import Operation, Verb
from karbor.domain.plan import Plan
from karbor.domain.scheduled_operation import OperationType, ScheduledOperation
from karbor.domain.trigger import PatternFormat, Trigger, TriggerProperties
from karbor.store.connect import connect
from karbor.store.operations import Operations
from karbor.store.plans import Plans
from karbor.store.quotas import Quotas
from karbor.store.scheduled_operations import ScheduledOperations
from karbor.store.triggers import Triggers
from karbor.store.upgrade import upgrade

ANNA, BERT = Caller("anna", "p"), Caller("bert", "p")


@dataclass
class Keystone:
    """Trusts by id; both sides: what a user makes, and what Karbor removes."""

    standing: set[str] = field(default_factory=set)
    made: int = 0
    wrong: Exception | None = None
    away: Exception | None = None

    def choose(self, needed: float) -> Mapping[str, Any]:
        return {"rung": "trust", "grant": {"id": "", "expires_at": "then"}, "until": 9e9}

    def wants(self, credential: Mapping[str, Any]) -> str:
        return "wanted" if credential["grant"] else ""

    def grant(self, credential: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.wrong:
            raise self.wrong
        self.made += 1
        id = f"trust-{self.made}"
        self.standing.add(id)
        return {**credential, "grant": {**credential["grant"], "id": id}}

    def end(self, credential: Mapping[str, Any]) -> None:
        if self.away:
            raise self.away
        grant = credential["grant"]
        # One without an id is found by the second in which it ends.
        self.standing -= {grant["id"]} if grant["id"] else set(self.standing)


@dataclass
class World:
    keystone: Keystone
    records: ScheduledOperations
    operations: Operations
    now: float = 1000.0

    def __post_init__(self) -> None:
        service: Any = SimpleNamespace(authority=self.keystone, records=self.operations)
        self.rights = ScheduleTrusts(service, self.records, lambda: self.now)

    def written(self) -> ScheduledOperation:
        """A new one, as it stands before anything is made for it."""
        one = ScheduledOperation(
            "s", "p", "nightly", OperationType.PROTECT, "t", {"plan_id": "x", "provider_id": "y"},
            ANNA.to_dict(), first_written(self.keystone, {}), self.now)
        self.records.add(one)
        return one

    def granted(self) -> ScheduledOperation:
        return self.rights.grant(self.written(), self.keystone, ANNA)

    def run(self, trust: str) -> Operation:
        grant = {"grant": {"id": trust, "lent": True}}
        one = Operation("op", Verb.PROTECT, "p", {}, grant, {}, "c",
                        created_at=1.0)
        self.operations.add(one)
        return one

    @property
    def credential(self) -> Mapping[str, Any]:
        return self.records.show("p", "s").credential


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    engine: sa.Engine = connect(f"sqlite:///{tmp_path / 'karbor.sqlite'}")
    upgrade(engine)
    Plans(engine, Quotas(engine, {"plans": -1, "checkpoints": -1})).add(Plan("x", "p", "x", "y"))
    Triggers(engine).add(Trigger("t", "p", "t", TriggerProperties(
        PatternFormat.CRONTAB, "0 2 * * *", 0.0), 0.0))
    yield World(Keystone(), ScheduledOperations(engine), Operations(engine))
    engine.dispose()


def test_what_is_made_is_written_down_before_and_after(world: World) -> None:
    assert COMING in world.written().credential
    assert "rung" not in world.credential
    world.rights.grant(world.records.show("p", "s"), world.keystone, ANNA)
    assert world.credential["grant"]["id"] == "trust-1"
    assert {COMING, GOING} & set(world.credential) == set()
    world.rights.end(world.records.show("p", "s"))
    assert world.keystone.standing == set()


@pytest.mark.parametrize("made", [False, True])
def test_what_a_killed_process_was_making_is_removed(world: World, *, made: bool) -> None:
    one = world.written()
    if made:
        world.keystone.grant(one.credential[COMING])    # and then it died
    world.rights.sweep()
    assert world.records.show("p", "s")     # it may still be at it
    world.now += GRACE + 1
    world.rights.sweep()
    with pytest.raises(NotFound):
        world.records.show("p", "s")
    assert world.keystone.standing == set()


def test_what_is_refused_leaves_nothing(world: World) -> None:
    world.keystone.wrong = TokenRejected("the role is gone")
    with pytest.raises(TokenRejected):
        world.granted()
    with pytest.raises(NotFound):
        world.records.show("p", "s")


def test_a_keystone_that_is_not_heard_is_asked_again_later(world: World) -> None:
    world.keystone.wrong = world.keystone.away = KeystoneUnreachable("nobody answers")
    with pytest.raises(KeystoneUnreachable):
        world.granted()
    assert COMING in world.credential       # it may have been made
    world.keystone.away = None
    world.now += GRACE + 1
    world.rights.sweep()
    with pytest.raises(NotFound):
        world.records.show("p", "s")


def test_whoever_takes_it_over_gives_new_rights_and_the_old_ones_go(world: World) -> None:
    one = world.granted()
    taken = world.rights.give(one, world.keystone, BERT)
    assert taken.caller["user_id"] == "bert"
    assert world.credential["grant"]["id"] == "trust-2"
    assert world.keystone.standing == {"trust-2"}


def test_rights_that_an_operation_runs_on_go_when_it_is_over(world: World) -> None:
    one = world.granted()
    world.run("trust-1")
    assert world.rights.in_use("p", one.credential) == "op"
    taken = world.rights.give(one, world.keystone, BERT)
    assert world.keystone.standing == {"trust-1", "trust-2"}
    assert taken.credential[GOING]["grant"]["id"] == "trust-1"
    with pytest.raises(Conflict, match="still runs on the rights"):
        world.rights.give(taken, world.keystone, ANNA)
    world.operations.refuse("op", {"message": "over"}, 2.0)
    world.rights.sweep()
    assert world.keystone.standing == {"trust-2"}
    assert GOING not in world.credential


def test_a_take_over_that_fails_leaves_it_as_it_was(world: World) -> None:
    one = world.granted()
    world.keystone.wrong = TokenRejected("no")
    with pytest.raises(TokenRejected):
        world.rights.give(one, world.keystone, BERT)
    now = world.records.show("p", "s")
    assert (now.caller["user_id"], now.credential["grant"]["id"]) == ("anna", "trust-1")
    assert COMING not in now.credential


def test_what_somebody_else_changes_meanwhile_is_not_lost(world: World) -> None:
    one = world.granted()
    world.records.replace(ScheduledOperation(**{**vars(one), "name": "renamed"}))
    world.rights.give(one, world.keystone, BERT)
    assert world.records.show("p", "s").name == "renamed"
