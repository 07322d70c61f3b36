"""Protect, restore, verify and delete over a toy cloud, a bank in memory and the real driver."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from karbor_testing.bank import Fault, FaultyBank, MemoryBank
from karbor_testing.journal import MemoryJournal

from karbor.checkpoints.deferred_deletions import DeferredDeletions
from karbor.checkpoints.repository import CheckpointRepository
from karbor.domain.checkpoint import CheckpointState, Evidence
from karbor.domain.errors import (
    AmbiguousName,
    BadInput,
    BankReadOnly,
    CloudError,
    CloudForbidden,
    CloudUnavailable,
    Conflict,
    NewerFormat,
    NotFound,
    ObjectDamaged,
    ObjectMissing,
    RemoteFailed,
)
from karbor.domain.identifiers import time_ordered_uuid
from karbor.domain.operation import Operation, OperationState, Verb, Wanted
from karbor.domain.resource import Resource
from karbor.domain.step import Again, Done, Failed, Hook, Outcome
from karbor.engine.driver import Driver
from karbor.operations.execution_context import ExecutionContext, Provider
from karbor.operations.runner import OperationRunner
from karbor.plugin.checked import checked_protection
from karbor.plugin.protectable import DiscoveryLists
from karbor.plugin.protection import Obstacle, Protection, Stage, Stages, Task, Work

BOX, THING = "Toy::Box", "Toy::Thing"


class ToyCloud:
    """Things by kind and id, each with its mark; ready at the second look."""

    user_id, project_id, project_name = "u", "p", "toys"

    def __init__(self) -> None:
        self.things: dict[str, dict[str, dict[str, Any]]] = {}
        self.failing: set[str] = set()
        self.needed: set[str] = set()       # ids that cannot be deleted yet
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    def make(self, kind: str, mark: str) -> str:
        with self._lock:
            id = f"{kind}{next(self._ids)}"
            self.things.setdefault(kind, {})[id] = {"mark": mark, "looks": 1, "status": "creating"}
            return id

    def look(self, kind: str, id: str) -> Mapping[str, Any] | None:
        thing = self.things.get(kind, {}).get(id)
        if thing and thing["status"] == "creating":
            thing["looks"] -= 1
            if thing["looks"] < 0:
                thing["status"] = "error" if kind in self.failing else "ready"
        return dict(thing) if thing else None

    def asked(self, id: str) -> dict[str, str]:
        return {"service": "toys", "request": "POST /things", "request_id": f"req-{id}"}

    def ensure_credential(self, seconds: float) -> float | None:
        return None

    def interval(self, kind: str) -> float:
        return 0.0

    def first_poll_delay(self, kind: str) -> float:
        return 0.0

    def left(self) -> dict[str, int]:
        return {kind: len(ids) for kind, ids in self.things.items() if ids}


class Make(Stage):
    ready = frozenset({"ready"})

    def create(self, work: Any) -> str:
        return str(work.cloud.make(self.kind, work.mark))

    def find(self, work: Any) -> list[str]:
        return [id for id, thing in work.cloud.things.get(self.kind, {}).items()
                if thing["mark"] == work.mark]

    def delete(self, work: Any, id: str) -> None:
        work.cloud.things[self.kind].pop(id, None)


TAKEN = {"t1": "2026-11-30T22:15:00.000000", "t2": "2026-11-30T22:15:03+00:00"}


class Snapshot(Make):
    name, kind, temporary = "snapshot", "snapshots", True

    def finished(self, work: Work, id: str, seen: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"id": id, "created_at": TAKEN.get(work.resource.id)}


class Backup(Make):
    name, kind = "backup", "backups"


class Remade(Make):
    name, kind = "remade", "remade"


class ReadBack(Task):
    name = "proof"

    def run(self, work: Work) -> Outcome:
        backup = work.kept("backup")["id"]
        cloud: Any = work.cloud
        if backup not in cloud.things.get("backups", {}):
            return Failed(RemoteFailed(f"backup {backup} is gone"))
        return Done({"evidence": Evidence.OBJECTS, "unproved": "no bytes were read"})


class Remove(Task):
    name = "remove"

    def run(self, work: Work) -> Outcome:
        backup = work.kept("backup")["id"]
        cloud: Any = work.cloud
        if backup in cloud.needed:
            return Done({"deferred": {"id": backup}})
        cloud.things["backups"].pop(backup, None)
        return Done()


class ThingProtection(Protection):
    types = frozenset({THING})
    obstacle: tuple[Obstacle, ...] = ()

    def protect(self, resource: Resource) -> Stages:
        return {Hook.PREPARE_FINISH: [Snapshot()], Hook.MAIN: [Backup()]}

    def restore(self, resource: Resource) -> Stages:
        return {Hook.MAIN: [Remade()]}

    def verify(self, resource: Resource) -> Stages:
        return {Hook.MAIN: [ReadBack()]}

    def remove(self, resource: Resource) -> Stages:
        return {Hook.MAIN: [Remove()]}

    def delete_deferred(self, facts: Mapping[str, Any], cloud: Any) -> bool:
        if facts["id"] in cloud.needed:
            return False
        cloud.things["backups"].pop(facts["id"], None)
        return True

    def protect_obstacles(self, resources: Sequence[Resource], cloud: Any) -> Sequence[Obstacle]:
        return self.obstacle

    def restore_obstacles(self, resources: Sequence[Resource], target: Any) -> Sequence[Obstacle]:
        return self.obstacle


class BoxProtection(Protection):
    types = frozenset({BOX})


class Things:
    type, parents = THING, frozenset({BOX})

    def list(self, listings: DiscoveryLists) -> Sequence[Resource]:
        return [Resource(THING, "t1", "one"), Resource(THING, "t2", "two")]

    def dependents(self, parents: Sequence[Resource], listings: DiscoveryLists
                   ) -> Mapping[str, Sequence[Resource]]:
        return {parent.key: self.list(listings) for parent in parents}


class Toys:
    """One of everything, and ways to ask for operations."""

    def __init__(self) -> None:
        self.cloud, self.bank, self.journal = ToyCloud(), MemoryBank(), MemoryJournal()
        self.protection = ThingProtection()
        self._now = itertools.count(1_800_000_000)
        self._ids = itertools.count(1)
        provider = Provider("prov", "toys", self.bank,
                            {THING: self.protection, BOX: BoxProtection()})
        connect: Any = lambda operation: self.cloud  # noqa: E731
        self.setting = ExecutionContext(
            provider, {THING: Things()}, connect, lambda: float(next(self._now))
        )

    @property
    def checkpoints(self) -> CheckpointRepository:
        return CheckpointRepository(self.bank, "p")

    def run(self, verb: Verb, request: dict[str, Any], checkpoint: str) -> Operation:
        id = f"op{next(self._ids)}"
        self.journal.add(Operation(id, verb, "p", {}, {}, request, checkpoint, created_at=1.0))
        Driver(self.journal, OperationRunner(self.setting)).drive(id)
        return self.journal.operation(id)

    def protect(self, name: str = "nightly") -> Operation:
        resources = [Resource(BOX, "b", "box").to_dict()]
        return self.run(Verb.PROTECT, {"resources": resources, "name": name},
                        time_ordered_uuid(float(next(self._now))))


@pytest.fixture
def toys() -> Toys:
    return Toys()


def test_a_protected_application_is_available_and_leaves_nothing_temporary(toys: Toys) -> None:
    operation = toys.protect()
    assert operation.state is OperationState.DONE
    found = toys.checkpoints.find("nightly")
    assert found.state is CheckpointState.AVAILABLE
    assert found.evidence is Evidence.OBJECTS   # of the box itself nothing is kept
    thing = found.kept[f"{THING}#t1"]
    assert thing.evidence is Evidence.OBJECTS
    assert thing.unproved == "no bytes were read"
    assert set(thing.saved) == {"backup"}
    assert found.skew == 3.0
    assert toys.cloud.left() == {"backups": 2}


def test_a_skew_is_what_the_storage_tells_or_nothing(toys: Toys, monkeypatch: pytest.MonkeyPatch
                                                     ) -> None:
    """Requests may be answered in any order, and much later than they were sent."""
    monkeypatch.delitem(TAKEN, "t2")
    toys.protect()
    assert toys.checkpoints.find("nightly").skew is None


def test_a_protect_that_fails_says_why_and_removes_all_it_made(toys: Toys) -> None:
    toys.cloud.failing.add("backups")
    operation = toys.protect()
    assert operation.state is OperationState.FAILED
    found = toys.checkpoints.find("nightly")
    assert found.state is CheckpointState.ERROR
    assert "Toy::Thing" in found.reason
    assert "went to state error" in found.reason
    error = operation.error or {}
    assert (error["service"], error["request"]) == ("toys", "POST /things")
    assert error["request_id"].startswith("req-backups")    # of the thing that failed later
    assert toys.cloud.left() == {}
    assert [one.key.rsplit("/", 1)[1] for one in toys.bank.list()] == ["begin.json", "head.json"]


def test_obstacles_are_told_before_anything_is_made(toys: Toys) -> None:
    toys.protection.obstacle = (Obstacle("no backup service", "start one"),)
    operation = toys.protect()
    assert operation.state is OperationState.FAILED
    assert (operation.error or {})["obstacles"][0]["what"] == "no backup service"
    assert toys.cloud.left() == {}
    assert list(toys.bank.list()) == []


def test_what_would_never_be_read_back_is_not_protected(toys: Toys) -> None:
    toys.protection.verify = lambda resource: {}  # type: ignore[method-assign]
    operation = toys.protect()
    assert operation.state is OperationState.FAILED
    assert "read back" in (operation.error or {})["obstacles"][0]["what"]
    assert toys.cloud.left() == {}


def test_a_checkpoint_is_restored_and_says_what_was_made(toys: Toys) -> None:
    checkpoint = toys.protect().checkpoint_id
    operation = toys.run(Verb.RESTORE, {}, checkpoint)
    assert operation.state is OperationState.DONE
    assert toys.cloud.left() == {"backups": 2, "remade": 2}
    assert {one["old_id"] for one in operation.result["restored"]} == {"t1", "t2"}


@pytest.mark.parametrize("keep", [False, True])
def test_what_a_failed_restore_made_is_removed_unless_it_is_to_be_kept(
        toys: Toys, keep: bool) -> None:
    checkpoint = toys.protect().checkpoint_id
    toys.cloud.failing.add("remade")
    operation = toys.run(Verb.RESTORE, {"keep": keep}, checkpoint)
    assert operation.state is OperationState.FAILED
    assert ("remade" in toys.cloud.left()) is keep
    assert operation.result["kept" if keep else "removed"]


def test_a_damaged_checkpoint_is_told_resource_by_resource(toys: Toys) -> None:
    checkpoint = toys.protect().checkpoint_id
    first = toys.checkpoints.show(checkpoint).kept[f"{THING}#t1"].saved["backup"]["id"]
    del toys.cloud.things["backups"][first]
    operation = toys.run(Verb.VERIFY, {}, checkpoint)
    assert operation.state is OperationState.FAILED
    lines = {one["id"]: one for one in operation.result["verified"]}
    assert "is gone" in lines["t1"]["error"]
    assert lines["t2"]["evidence"] == Evidence.OBJECTS


def test_an_error_checkpoint_is_not_restored(toys: Toys) -> None:
    toys.cloud.failing.add("backups")
    checkpoint = toys.protect().checkpoint_id
    operation = toys.run(Verb.RESTORE, {}, checkpoint)
    assert (operation.error or {})["error"] == Conflict.__name__
    assert toys.cloud.left() == {}


@pytest.mark.parametrize("fails", [False, True])
def test_a_deleted_checkpoint_leaves_nothing(toys: Toys, fails: bool) -> None:
    if fails:
        toys.cloud.failing.add("backups")
    checkpoint = toys.protect().checkpoint_id
    operation = toys.run(Verb.DELETE, {}, checkpoint)
    assert operation.state is OperationState.DONE
    assert list(toys.bank.list()) == []
    assert toys.cloud.left() == {}
    with pytest.raises(NotFound):
        toys.checkpoints.find(checkpoint)


def test_a_backup_that_others_build_upon_is_removed_when_the_last_of_them_goes(
        toys: Toys) -> None:
    first, second = toys.protect("first").checkpoint_id, toys.protect("second").checkpoint_id
    kept = [one.saved["backup"]["id"] for one in toys.checkpoints.show(first).kept.values()
            if one.saved]
    toys.cloud.needed.update(kept)
    operation = toys.run(Verb.DELETE, {}, first)
    assert {one["id"] for one in operation.result["deferred"]} == set(kept)
    assert [one.name for one in toys.checkpoints.list()] == ["second"]
    assert len(DeferredDeletions(toys.bank, "p").all()) == 2

    toys.cloud.needed.clear()
    operation = toys.run(Verb.DELETE, {}, second)
    assert set(operation.result["swept"]) == set(kept)
    assert toys.cloud.left() == {}
    assert list(toys.bank.list()) == []


class Label(Task):
    """Something that a protection writes into the bank."""

    name = "label"

    def run(self, work: Work) -> Outcome:
        work.bank.put("label", [b"fragile"])
        return Done()


@pytest.mark.parametrize("nth", [2, 3, 4])
def test_a_bank_that_becomes_read_only_stops_a_protect_where_it_is(toys: Toys, nth: int) -> None:
    """The first put notes what is being protected, the last that it is available."""
    fault = Fault("put", nth=nth, error=lambda: BankReadOnly("the bank is mounted read-only"))
    toys.bank = FaultyBank(toys.bank, fault)
    toys.setting = replace(toys.setting, provider=replace(toys.setting.provider, bank=toys.bank))
    toys.protection.protect = lambda resource: {    # type: ignore[method-assign]
        Hook.PREPARE_FINISH: [Snapshot()], Hook.MAIN: [Backup(), Label()]}
    with pytest.raises(BankReadOnly):
        toys.protect()
    assert fault.struck == 1
    operation = toys.journal.operation("op1")
    assert operation.state is OperationState.RUNNING
    made = dict(toys.cloud.things.get("backups", {}))

    Driver(toys.journal, OperationRunner(toys.setting)).drive("op1")
    assert toys.journal.operation("op1").state is OperationState.DONE
    assert made.items() <= toys.cloud.things["backups"].items()
    assert toys.cloud.left() == {"backups": 2}
    found = toys.checkpoints.find("nightly")
    assert found.state is CheckpointState.AVAILABLE


def test_a_bank_that_stays_read_only_ends_a_protect_at_its_deadline(toys: Toys) -> None:
    toys.bank = FaultyBank(toys.bank, Fault(
        "put", key="label", times=9, error=lambda: BankReadOnly("the bank is mounted read-only")))
    toys.setting = replace(toys.setting, provider=replace(toys.setting.provider, bank=toys.bank))
    toys.protection.protect = lambda resource: {    # type: ignore[method-assign]
        Hook.MAIN: [Backup(), Label()]}
    with pytest.raises(BankReadOnly):
        toys.protect()
    late = time.time() + 1_000_000
    driver = Driver(toys.journal, OperationRunner(toys.setting), clock=lambda: late)
    assert driver.drive("op1") is OperationState.FAILED
    assert "the bank is mounted read-only" in (toys.journal.operation("op1").error or {})["message"]
    assert toys.cloud.left() == {}


class HiddenMeanwhile(ReadBack):
    """Another Karbor, with records of its own, begins to delete the checkpoint."""

    def __init__(self, checkpoints: CheckpointRepository) -> None:
        self.checkpoints = checkpoints

    def run(self, work: Work) -> Outcome:
        for identity in self.checkpoints.ids():
            self.checkpoints.hide(identity, 1.0)
        return super().run(work)


def test_a_protect_does_not_succeed_when_its_checkpoint_is_being_deleted(toys: Toys) -> None:
    toys.protection.verify = (      # type: ignore[method-assign]
        lambda resource: {Hook.MAIN: [HiddenMeanwhile(toys.checkpoints)]})
    operation = toys.protect()
    assert operation.state is OperationState.FAILED
    assert "is deleting in its bank and cannot become available" in (
        operation.error or {})["message"]
    assert toys.cloud.left() == {}
    assert list(toys.bank.list()) == []


@pytest.mark.parametrize("concluded", [CheckpointState.AVAILABLE, CheckpointState.ERROR])
@pytest.mark.parametrize("wanted", [CheckpointState.AVAILABLE, CheckpointState.ERROR])
def test_a_checkpoint_is_concluded_once(toys: Toys, concluded: CheckpointState,
                                        wanted: CheckpointState) -> None:
    if concluded is CheckpointState.ERROR:
        toys.cloud.failing.add("backups")
    checkpoint = toys.checkpoints.show(toys.protect().checkpoint_id)
    assert checkpoint.state is concluded
    if wanted is concluded:
        toys.checkpoints.conclude(checkpoint)
    else:
        with pytest.raises(Conflict, match=f"is {concluded} in its bank and cannot become"):
            toys.checkpoints.conclude(replace(checkpoint, state=wanted))
    again = toys.checkpoints.show(checkpoint.id)
    assert (again.state, again.finished_at) == (concluded, checkpoint.finished_at)


def test_a_checkpoint_of_a_later_format_is_refused(toys: Toys) -> None:
    checkpoint = toys.protect().checkpoint_id
    key = f"projects/p/checkpoints/{checkpoint}/head.json"
    head = json.loads(b"".join(toys.bank.get(key)))
    toys.bank.put(key, [json.dumps({**head, "format": 99}).encode()])
    with pytest.raises(NewerFormat, match="99"):
        toys.checkpoints.show(checkpoint)


def test_a_head_that_is_no_json_is_damage(toys: Toys) -> None:
    checkpoint = toys.protect().checkpoint_id
    toys.bank.put(f"projects/p/checkpoints/{checkpoint}/head.json", [b"\x00"])
    with pytest.raises(ObjectDamaged):
        toys.checkpoints.show(checkpoint)


def test_a_name_that_failed_checkpoints_bear_too_means_the_available_one(toys: Toys) -> None:
    failed = []
    for _ in range(2):
        toys.cloud.failing.add("backups")
        failed.append(toys.protect().checkpoint_id)
        toys.cloud.failing.clear()
    with pytest.raises(AmbiguousName, match=f"{failed[1]} .error."):
        toys.checkpoints.find("nightly")
    good = toys.protect().checkpoint_id
    assert toys.checkpoints.find("nightly").id == good
    with pytest.raises(AmbiguousName, match=rf"{failed[0]} \(error\), .*{good} \(available\)"):
        toys.checkpoints.find("nightly", whatever_state=True)
    toys.protect()
    with pytest.raises(AmbiguousName):
        toys.checkpoints.find("nightly")


def test_checkpoints_are_listed_in_the_order_of_their_making(toys: Toys) -> None:
    for name in ("a", "b", "c"):
        toys.protect(name)
    assert [one.name for one in toys.checkpoints.list()] == ["a", "b", "c"]
    assert list(CheckpointRepository(toys.bank, "other").list()) == []


def test_projects_that_share_a_bank_cannot_name_each_others_checkpoints(toys: Toys) -> None:
    operation = toys.protect("mine")
    theirs = CheckpointRepository(toys.bank, "other")
    for word in ("mine", operation.checkpoint_id, operation.checkpoint_id[:8],
                 f"../p/checkpoints/{operation.checkpoint_id}",
                 f"../../p/checkpoints/{operation.checkpoint_id}"):
        with pytest.raises(NotFound):
            theirs.find(word)
    for strange in (operation.checkpoint_id, f"../../p/checkpoints/{operation.checkpoint_id}"):
        with pytest.raises((ObjectMissing, BadInput)):
            theirs.show(strange)
    assert DeferredDeletions(toys.bank, "other").all() == []


def cut_off(toys: Toys) -> Operation:
    """A protect that was killed after it had written its checkpoint down, before the journal knew
    the plan."""
    resources = [Resource(BOX, "b", "box").to_dict()]
    operation = Operation("cut", Verb.PROTECT, "p", {}, {}, {
        "resources": resources, "name": "cut"}, time_ordered_uuid(1.0), created_at=1.0)
    toys.journal.add(operation)
    OperationRunner(toys.setting).plan(operation)
    assert toys.checkpoints.find("cut").state is CheckpointState.PROTECTING
    return operation


def test_a_protect_cut_off_while_planning_can_be_cancelled(toys: Toys) -> None:
    operation = cut_off(toys)
    toys.journal.want("p", "cut", Wanted.CANCEL)
    Driver(toys.journal, OperationRunner(toys.setting)).drive(operation.id)
    assert toys.journal.operation("cut").state is OperationState.CANCELLED
    assert list(toys.bank.list()) == []


def test_a_protect_cut_off_while_planning_that_cannot_go_on_leaves_nothing(toys: Toys) -> None:
    operation = cut_off(toys)
    toys.protection.obstacle = (Obstacle("no backup service any more", "start one"),)
    Driver(toys.journal, OperationRunner(toys.setting)).drive(operation.id)
    assert toys.journal.operation("cut").state is OperationState.FAILED
    assert list(toys.bank.list()) == []


def test_the_deletion_of_a_failed_checkpoint_goes_on_where_it_was_cut_off(toys: Toys) -> None:
    toys.cloud.failing.add("backups")
    checkpoint = toys.protect().checkpoint_id
    toys.checkpoints.hide(checkpoint, 1.0)
    assert toys.run(Verb.DELETE, {}, checkpoint).state is OperationState.DONE
    assert list(toys.bank.list()) == []


@pytest.mark.parametrize("kind", [CloudForbidden, CloudUnavailable])
def test_a_deletion_succeeds_although_an_older_one_cannot_be_tidied_up(
        toys: Toys, kind: type[CloudError]) -> None:
    checkpoint = toys.protect().checkpoint_id
    DeferredDeletions(toys.bank, "p").add(THING, "b0", {})

    def forbidden(facts: Mapping[str, Any], cloud: Any) -> bool:
        raise kind("not now", service="toys", request="DELETE /things/b0")

    toys.protection.delete_deferred = forbidden  # type: ignore[method-assign]
    operation = toys.run(Verb.DELETE, {}, checkpoint)
    assert operation.state is OperationState.DONE
    assert "DELETE /things/b0" in operation.result["not_swept"]
    assert list(toys.checkpoints.list(hidden=True)) == []
    assert len(DeferredDeletions(toys.bank, "p").all()) == 1


@pytest.mark.parametrize(("answer", "words"), [
    ({"id": "1"}, "returned a dict instead of Done, Again or Failed"),
    (Again(handle={"when": {1}}), "gave its handle as something that is not JSON")])
def test_a_stage_that_returns_the_wrong_thing_ends_its_step_and_is_named(
        toys: Toys, monkeypatch: pytest.MonkeyPatch, answer: Any, words: str) -> None:
    """It ended the driver, and the operation stayed interrupted at every resume."""
    toys.setting = replace(toys.setting, provider=replace(toys.setting.provider, protections={
        **toys.setting.provider.protections,
        THING: checked_protection(toys.protection, "toy-plugin")}))
    monkeypatch.setattr(ReadBack, "run", lambda _self, _work: answer)
    operation = toys.protect()
    assert operation.state is OperationState.FAILED
    error = operation.error or {}
    assert error["message"].startswith(
        f"the protection plugin toy-plugin, in its stage proof, {words}")
    assert error["resource"].startswith("Toy::Thing")
    assert toys.cloud.left() == {}
