"""What a verify found stands in the bank beside the checkpoint, whoever asks for it later."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import pytest
from karbor_testing.bank import MemoryBank

from karbor.checkpoints.repository import VERIFIED
from karbor.domain.checkpoint import Checkpoint, CheckpointState
from karbor.domain.errors import BankReadOnly, BankUnavailable, CloudUnavailable
from karbor.domain.operation import Operation, OperationState, Verb
from karbor.domain.step import Failed, Outcome
from karbor.domain.verification import Verification
from karbor.plugin.bank import Stored
from karbor.plugin.protection import Work
from tests.unit.operations.copying import THING, Look, Pair, Things

_NUMBERS = itertools.count(1)


class Bank(MemoryBank):
    """`fails` is raised so many times when what a verify found is written."""

    fails: BaseException | None = None
    times = 0

    def put(self, key: str, body: Iterable[bytes], *, absent: bool = False) -> Stored:
        if key.endswith(VERIFIED) and self.fails is not None and self.times:
            self.times -= 1
            raise self.fails
        return super().put(key, body, absent=absent)


@pytest.fixture
def bank() -> Bank:
    return Bank()


@pytest.fixture
def pair(bank: Bank) -> Pair:
    return Pair(bank)


def verify(pair: Pair, checkpoint_id: str) -> Operation:
    """As a worker drives it."""
    id = f"verify-{next(_NUMBERS)}"
    pair.journal.add(Operation(id, Verb.VERIFY, "p", {}, {}, {"name": "nightly"}, checkpoint_id,
                               created_at=1.0))
    return pair.drive(id, pair.source)


def damage(bank: Bank, checkpoint_id: str, thing: str = "t1") -> Any:
    """One object of a resource is gone; returns what puts it back."""
    key = f"projects/p/resources/{checkpoint_id}/thing-{thing}/bytes/pieces/2"
    body = b"".join(bank.get(key))
    bank.delete([key])
    return lambda: bank.put(key, [body])


def shown(pair: Pair, checkpoint_id: str) -> Checkpoint:
    return pair.originals.show(checkpoint_id)


def test_what_was_found_is_there_until_a_later_verify_finds_it_well(pair: Pair, bank: Bank) -> None:
    id = pair.protect()
    assert shown(pair, id).verified is None
    good = verify(pair, id)
    found = shown(pair, id).verified
    assert found is not None
    assert (found.operation_id, found.evidence, found.damage) == (good.id, "checksums", ())
    repair = damage(bank, id)
    bad = verify(pair, id)
    assert bad.state is OperationState.FAILED
    found = shown(pair, id).verified
    assert found is not None
    assert (found.operation_id, found.evidence) == (bad.id, "checksums")
    assert [(one.key, one.name) for one in found.damage] == [(f"{THING}#t1", "one")]
    assert "pieces/2" in found.damage[0].what
    assert f"{THING} one: " in shown(pair, id).damage
    assert bad.result["verification"] == found.to_dict()
    # The head is what it was, and the checkpoint can be used for what is left of it.
    assert shown(pair, id).state is CheckpointState.AVAILABLE
    repair()
    last = verify(pair, id)
    found = shown(pair, id).verified
    assert found is not None
    assert (found.operation_id, found.damage, shown(pair, id).damage) == (last.id, (), "")


class Unreachable(Look):
    """Nobody could look."""

    def run(self, work: Work) -> Outcome:
        if work.resource.id == "t1":
            return Failed(CloudUnavailable("503"))
        return super().run(work)


def test_a_verify_that_could_not_look_takes_nothing_back(pair: Pair, bank: Bank,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    id = pair.protect()
    damage(bank, id)
    bad = verify(pair, id)
    monkeypatch.setattr(Things, "proof", Unreachable)
    assert verify(pair, id).state is OperationState.FAILED
    found = shown(pair, id).verified
    assert found is not None
    assert found.operation_id == bad.id
    # More damage is found; that of what was not seen stays known.
    damage(bank, id, "t2")
    worse = verify(pair, id)
    found = shown(pair, id).verified
    assert found is not None
    assert found.operation_id == worse.id
    assert {one.name for one in found.damage} == {"one", "two"}


class Killed(BaseException):
    pass


def test_a_crash_while_it_is_written_loses_nothing(pair: Pair, bank: Bank) -> None:
    id = pair.protect()
    repair = damage(bank, id)
    bad = verify(pair, id)
    repair()
    bank.fails, bank.times = Killed(), 1
    with pytest.raises(Killed):
        verify(pair, id)
    found = shown(pair, id).verified
    assert found is not None
    assert found.operation_id == bad.id     # not half of the new one
    [cut_off] = pair.journal.live("p")
    done = pair.drive(cut_off.id, pair.source)      # another process goes on
    assert done.state is OperationState.DONE
    found = shown(pair, id).verified
    assert found is not None
    assert (found.operation_id, found.damage) == (done.id, ())


def test_a_bank_that_is_away_for_a_moment_is_asked_again(pair: Pair, bank: Bank,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("karbor.engine.driver.backoff", lambda _failures: 0.0)
    id = pair.protect()
    bank.fails, bank.times = BankUnavailable("503"), 2
    assert verify(pair, id).state is OperationState.DONE
    assert shown(pair, id).verified is not None


def test_a_bank_that_takes_nothing_keeps_nobody_from_hearing_it(pair: Pair, bank: Bank) -> None:
    id = pair.protect()
    damage(bank, id)
    bank.fails, bank.times = BankReadOnly("the bank takes nothing"), 99
    bad = verify(pair, id)
    assert bad.state is OperationState.FAILED
    assert "takes nothing" in bad.result["not_recorded"]
    assert bad.result["verification"]["damage"]


def test_what_an_older_verify_found_does_not_replace_what_a_later_one_did(pair: Pair) -> None:
    id = pair.protect()
    later, earlier = Verification("b", 20.0, "checksums"), Verification("a", 10.0, "status")
    pair.originals.note_verified(id, later)
    assert pair.originals.note_verified(id, earlier) == later
    assert shown(pair, id).verified == later


def test_it_goes_with_the_checkpoint_and_not_into_a_copy(pair: Pair, bank: Bank) -> None:
    id = pair.protect()
    damage(bank, id)()
    verify(pair, id)
    copied = pair.copy(id)
    assert copied.state is OperationState.DONE
    assert pair.copies.show(copied.checkpoint_id).verified is None
    pair.originals.clear(id)
    assert list(bank.list("projects/p/checkpoints/")) == []
    assert pair.originals.note_verified(id, Verification("late", 9e9)).at == 9e9
    assert list(bank.list("projects/p/checkpoints/")) == []      # nothing comes back
