"""A checkpoint copied from the bank of one provider into that of another."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from karbor_testing.bank import FaultyBank, MemoryBank

from karbor.checkpoints import section_copy
from karbor.domain.checkpoint import CheckpointState, Evidence
from karbor.domain.errors import Fenced
from karbor.domain.operation import OperationState, Verb, Wanted
from karbor.domain.resource import Resource
from karbor.plugin.bank import Stored
from karbor.plugin.protection import UNSAID, Protection
from karbor.protections.cinder.volume_backup_plugin import VolumeBackup
from karbor.protections.cinder.volume_snapshot_plugin import VolumeSnapshot
from karbor.protections.glance.image_plugin import ImageProtection
from karbor.protections.neutron.network_plugin import NetworkProtection
from karbor.protections.noop import Noop
from karbor.protections.nova.server_plugin import ServerProtection
from karbor.protections.project import ProjectProtection
from tests.unit.operations.copying import BODY, BOX, THING, Boxes, Counted, Keep, Pair, Things


@pytest.fixture
def pair() -> Pair:
    return Pair()


def bodies(bank: Any, checkpoint_id: str) -> dict[str, bytes]:
    prefix = f"projects/p/resources/{checkpoint_id}/"
    return {one.key.removeprefix(prefix): b"".join(bank.get(one.key))
            for one in bank.list(prefix)}


def test_the_copy_is_a_checkpoint_of_its_own_with_the_same_bytes(pair: Pair) -> None:
    original = pair.originals.show(pair.protect())
    operation = pair.copy(original.id)
    assert operation.state is OperationState.DONE, operation.error
    made = pair.copies.show(operation.checkpoint_id)
    assert made.id > original.id
    assert bodies(pair.target.bank, made.id) == bodies(pair.source.bank, original.id) != {}
    assert (made.state, made.name, made.provider_id, made.operation_id) == (
        CheckpointState.AVAILABLE, "nightly", "id-second", operation.id)
    assert made.graph
    assert original.graph
    assert made.graph.to_dict() == original.graph.to_dict()
    assert (made.parameters, made.skew) == (original.parameters, original.skew)
    assert made.kept == original.kept
    assert made.evidence is Evidence.CHECKSUMS
    assert made.origin == {**original.origin, "copied_from": {
        "checkpoint_id": original.id, "provider_id": "id-first",
        "taken_at": original.created_at}}
    size = sum(len(body) + 2 for body in BODY.values()) * 2
    assert operation.result == {"checkpoint_id": made.id, "source_id": original.id,
                                "resources": 3, "objects": 6, "bytes": size,
                                "evidence": "checksums"}
    assert (replace(pair.originals.show(original.id), graph=None)
            == replace(original, graph=None))


def test_a_copy_of_a_copy_still_says_when_its_data_was_taken(pair: Pair) -> None:
    original = pair.originals.show(pair.protect())
    copy = pair.copy(original.id).checkpoint_id
    pair.source, pair.target = pair.target, pair.provider("third", MemoryBank())
    second = pair.copies.show(pair.copy(copy).checkpoint_id)
    assert second.origin["copied_from"] == {
        "checkpoint_id": copy, "provider_id": "id-second", "taken_at": original.created_at}


def test_the_copy_is_verified_and_deleted_without_the_original(pair: Pair) -> None:
    original = pair.protect()
    copy = pair.copy(original).checkpoint_id
    pair.originals.clear(original)
    for verb in (Verb.VERIFY, Verb.DELETE):
        id = pair.add(verb, {"name": "nightly"})
        pair.journal._operations[id] = pair.journal.operation(id).__class__(
            **{**vars(pair.journal.operation(id)), "checkpoint_id": copy})
        assert pair.drive(id, pair.target).state is OperationState.DONE
    assert pair.target.bank.list() == []


def test_many_objects_are_copied_page_by_page(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(section_copy, "PAGE", 2)
    operation = pair.copy(pair.protect())
    assert operation.state is OperationState.DONE
    steps = pair.journal.steps(operation.id)
    assert [one.entries for one in steps if one.resource.startswith(THING)
            and one.stage == "section-copied"] == [3, 3]     # the last one sees an empty page
    assert operation.result["objects"] == 6


def test_a_bank_that_lists_less_than_it_was_asked_for_is_copied_whole(
        pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    original = pair.protect()
    before = MemoryBank.list

    def short(bank: MemoryBank, prefix: str = "", *, after: str = "", limit: int = 1000
              ) -> list[Stored]:
        return before(bank, prefix, after=after, limit=min(limit, 1))

    monkeypatch.setattr(MemoryBank, "list", short)
    operation = pair.copy(original)
    assert operation.state is OperationState.DONE
    assert operation.result["objects"] == 6
    monkeypatch.undo()
    copied = [one.key for one in pair.target.bank.list() if "/resources/" in one.key]
    assert len(copied) == 6


# ---------------------------------------------------------------- what is refused
def test_what_a_service_holds_is_refused_by_name(pair: Pair) -> None:
    original = pair.protect()
    protections: dict[str, Protection] = {THING: Things(), BOX: Boxes()}
    protections[THING].holder = "Cinder"    # type: ignore[attr-defined]
    pair.change("source", protections=protections)
    operation = pair.copy(original)
    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    assert [(one["what"], one["resource"]) for one in operation.error["obstacles"]] == [
        ("thing one is held by Cinder, not by the bank", f"{THING}#t1"),
        ("thing two is held by Cinder, not by the bank", f"{THING}#t2")]
    assert pair.target.bank.list() == []


class OtherThings(Things):
    """Keeps them in another way."""


@pytest.mark.parametrize(("changes", "why"), [
    ({"id": "id-first"}, "is the one that has it"),
    ({"protections": {BOX: Boxes()}}, f"provider second has no protection for {THING}"),
    ({"protections": {BOX: Boxes(), THING: OtherThings()}},
     "OtherThings instead of Things")])
def test_a_provider_that_could_not_restore_it_gets_no_copy(pair: Pair, changes: dict[str, Any],
                                                           why: str) -> None:
    original = pair.protect()
    pair.change("target", **changes)
    id = pair.ask(original)
    operation = pair.drive(id, pair.target)
    assert operation.error is not None
    assert why in operation.error["obstacles"][0]["what"]
    assert pair.target.bank.list() == []


def test_two_providers_with_one_bank_are_found_out(pair: Pair) -> None:
    pair.change("target", bank=FaultyBank(pair.source.bank))
    before = len(pair.source.bank.list())
    original = pair.protect()
    operation = pair.copy(original)
    assert operation.error is not None
    assert "has this very checkpoint" in operation.error["obstacles"][0]["what"]
    assert len(pair.source.bank.list()) == before + 2 + 6


def test_a_checkpoint_in_error_is_not_copied(pair: Pair) -> None:
    original = pair.protect()
    id = pair.ask(original)
    pair.originals.hide(original, 1.0)
    operation = pair.drive(id, pair.target)
    assert operation.error is not None
    assert "is deleting" in operation.error["message"]


def test_who_holds_what_the_protections_here_keep() -> None:
    one = Resource(THING, "x")
    assert {type(each).__name__: each.held_by(one) for each in (
        ImageProtection(), NetworkProtection(), ServerProtection(), ProjectProtection(), Noop(),
        VolumeBackup(), VolumeSnapshot())} == {
        "ImageProtection": "", "NetworkProtection": "", "ServerProtection": "",
        "ProjectProtection": "", "Noop": "", "VolumeBackup": "Cinder",
        "VolumeSnapshot": "Cinder"}

    class Silent(Protection):
        types = frozenset({THING})

        def protect(self, resource: Resource) -> Any:
            return {"main": [Keep()]}

    assert Silent().held_by(one) == UNSAID
    assert Boxes().held_by(one) == ""


# ---------------------------------------------------------------- damage
def failed(pair: Pair, original: str) -> str:
    """The copy fails, leaves a checkpoint in error without bytes; why it did."""
    operation = pair.copy(original)
    assert operation.state is OperationState.FAILED
    left = pair.copies.show(operation.checkpoint_id)
    assert left.state is CheckpointState.ERROR
    assert left.origin["copied_from"]["checkpoint_id"] == original
    assert bodies(pair.target.bank, left.id) == {}
    return left.reason


@pytest.mark.parametrize("how", ["flip", "cut"])
def test_a_damaged_original_is_not_copied(pair: Pair, how: str) -> None:
    original = pair.protect()
    pair.source.bank.damage(  # type: ignore[attr-defined]
        f"projects/p/resources/{original}/thing-t2/record.json", how)
    assert "Toy::Thing two" in failed(pair, original)


class Forgetful(MemoryBank):
    """Loses a bit of one object as soon as it has confirmed it."""

    def put(self, key: str, body: Iterable[bytes], *, absent: bool = False) -> Stored:
        stored = super().put(key, body, absent=absent)
        if key.endswith("thing-t1/bytes/pieces/2"):
            self.damage(key, "flip")
        return stored


@pytest.mark.parametrize("proof", [Things.proof, Counted])
def test_a_bank_that_alters_what_it_is_given_has_no_copy(
        pair: Pair, monkeypatch: pytest.MonkeyPatch, proof: type) -> None:
    """Also where the protection's own proof reads no bytes."""
    monkeypatch.setattr(Things, "proof", proof)
    original = pair.protect()
    pair.change("target", bank=Forgetful())
    assert "Toy::Thing one" in failed(pair, original)


def test_an_original_that_is_deleted_meanwhile_is_no_success(
        pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """By another machine, of which the journal knows nothing: what is left of it looks whole."""
    original = pair.protect()
    before = section_copy.Compared.run

    def run(self: Any, work: Any) -> Any:
        pair.originals.hide(original, 2.0)
        return before(self, work)

    monkeypatch.setattr(section_copy.Compared, "run", run)
    assert "is deleting" in failed(pair, original)


# ---------------------------------------------------------------- killed
class Life:
    """A process that dies at one call of a bank or the journal: `after` it was carried out, or
    before. From then on nothing of it reaches anything."""

    def __init__(self, at: int, *, after: bool) -> None:
        self._at, self._after = at, after
        self._calls = 0
        self._lock = threading.Lock()
        self.dead = False

    def guard(self, real: Any) -> Any:
        return Guarded(real, self)

    def call(self, method: Any, *given: Any, **more: Any) -> Any:
        with self._lock:
            self._calls += 1
            if self.dead or (self._calls == self._at and not self._after):
                self.dead = True
                raise Fenced("killed")
            try:
                return method(*given, **more)
            finally:
                if self._calls == self._at:     # whatever came of it: an error is an answer too
                    self.dead = True
                    raise Fenced("killed")


class Guarded:
    def __init__(self, real: Any, life: Life) -> None:
        self._real, self._life = real, life

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)
        return lambda *given, **more: self._life.call(method, *given, **more)


def killed(pair: Pair, id: str, at: int, *, after: bool) -> bool:
    """Whether it died of it."""
    life = Life(at, after=after)
    kept = pair.source, pair.target, pair.journal
    pair.change("source", bank=life.guard(pair.source.bank))
    pair.change("target", bank=life.guard(pair.target.bank))
    pair.journal = life.guard(pair.journal)
    try:
        pair.drive(id, pair.target)
    except Fenced:
        assert life.dead
    finally:
        pair.source, pair.target, pair.journal = kept
    return life.dead


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("wanted", list(Wanted))
def test_killed_at_every_call_it_goes_on_or_is_undone(*, after: bool, wanted: Wanted) -> None:
    """Of both banks and the journal: killed there, the next process finishes it or removes it."""
    for at in range(1, 500):
        pair = Pair()
        original = pair.protect()
        before = pair.source.bank.list()
        id = pair.ask(original)
        if not killed(pair, id, at, after=after):
            break
        over = pair.journal.operation(id).state.over
        if wanted is Wanted.CANCEL and not over:
            pair.journal.want("p", id, wanted)
        operation = pair.journal.operation(id) if over else pair.drive(id, pair.target)
        assert pair.source.bank.list() == before
        copies = [one for one in pair.copies.list(hidden=True)
                  if one.state is not CheckpointState.ERROR]
        if operation.state is OperationState.DONE:
            assert [one.id for one in copies] == [operation.checkpoint_id]
            assert copies[0].state is CheckpointState.AVAILABLE
            assert bodies(pair.target.bank, copies[0].id) == bodies(pair.source.bank, original)
        else:
            assert (operation.state, wanted) == (OperationState.CANCELLED, Wanted.CANCEL)
            assert copies == []
            assert bodies(pair.target.bank, operation.checkpoint_id) == {}
    assert 40 < at < 500
