"""One body for SQLite and PostgreSQL: what a service remembers of checkpoints."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from karbor.domain.checkpoint_record import CheckpointRecord, RecordStatus
from karbor.domain.errors import Conflict, NotFound, OverQuota
from karbor.domain.listing import CheckpointFilter, Listing, Sort
from karbor.domain.operation import Operation, OperationState, Verb
from karbor.domain.verification import Damage, Verification
from karbor.store.checkpoints import CheckpointRecords
from karbor.store.connect import connect
from karbor.store.journal import SqlJournal
from karbor.store.operations import Operations
from karbor.store.quotas import Quotas
from karbor.store.upgrade import upgrade

S = RecordStatus
ALL = CheckpointFilter()
GRAPH = {"nodes": [{"type": "T", "id": "1"}]}


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    url = (request.getfixturevalue("postgresql_url") if request.param == "postgresql"
           else f"sqlite:///{tmp_path / 'karbor.sqlite'}")
    engine = connect(url)
    upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def records(engine: sa.Engine) -> CheckpointRecords:
    return CheckpointRecords(engine)


def record(id: str, **more: Any) -> CheckpointRecord:
    return replace(CheckpointRecord(id, "p", "prov", f"name of {id}", S.AVAILABLE, 1.0,
                                    operation_id=f"op-{id}"), **more)


def test_what_is_written_is_read(records: CheckpointRecords) -> None:
    one = record("c", plan_id="plan", reason="r", updated_at=2.0, graph=GRAPH,
                 origin={"created_by": "operation-engine", "extra_info": {"a": "b"}})
    records.add(one)
    assert records.show("p", "c") == records.show(None, "c") == one
    assert records.known("p") == {"c": ("prov", S.AVAILABLE, True)}
    with pytest.raises(NotFound, match=r"Checkpoint c could not be found\."):
        records.show("another", "c")
    with pytest.raises(NotFound):
        records.set_status("another", "c", S.ERROR, "", 1.0)
    with pytest.raises(Conflict):
        records.add(one)
    records.drop("another", "c")
    assert records.count("p") == 1
    records.drop("p", "c")
    assert records.count("p") == 0


def test_lists_have_pages_spans_and_an_order(records: CheckpointRecords) -> None:
    for number in range(6):
        records.add(record(f"c{number}", created_at=float(number), plan_id=f"plan-{number % 2}",
                           provider_id="prov" if number else "elsewhere"))
    records.add(record("gone", status=S.DELETED))
    records.add(record("theirs", project_id="another"))

    def ids(span: CheckpointFilter = ALL, **more: Any) -> list[str]:
        return [one.id for one in records.list(Listing("p", **more), span)]

    assert ids() == ["c5", "c4", "c3", "c2", "c1", "c0"]
    assert ids(limit=2, marker="c4") == ["c3", "c2"]
    assert ids(sort=(Sort("name", descending=False),), limit=2) == ["c0", "c1"]
    assert ids(CheckpointFilter(provider_id="prov", plan_id="plan-0")) == ["c4", "c2"]
    assert ids(CheckpointFilter(since=2.0, before=4.0)) == ["c3", "c2"]
    assert [one.id for one in records.of_plan("p", "plan-0")] == ["c4", "c2", "c0"]
    with pytest.raises(NotFound):
        ids(marker="theirs")
    assert "theirs" in [one.id for one in records.list(Listing(None))]


@pytest.mark.parametrize(("verb", "state", "before", "left"), [
    (Verb.PROTECT, OperationState.DONE, S.PROTECTING, S.AVAILABLE),
    (Verb.PROTECT, OperationState.FAILED, S.PROTECTING, S.ERROR),
    (Verb.PROTECT, OperationState.CANCELLED, S.PROTECTING, S.ERROR),
    (Verb.DELETE, OperationState.DONE, S.DELETING, S.DELETED),
    (Verb.DELETE, OperationState.FAILED, S.DELETING, S.ERROR_DELETING),
    (Verb.DELETE, OperationState.FAILED, S.DELETING, S.AVAILABLE)])
def test_operations_that_are_over_settle_their_checkpoints(
        *, engine: sa.Engine, records: CheckpointRecords, verb: Verb, state: OperationState,
        before: RecordStatus, left: RecordStatus) -> None:
    """A deletion that has removed nothing says in its result what the checkpoint is again."""
    refused = verb is Verb.DELETE and left is S.AVAILABLE
    records.add(record("c", status=before, operation_id="op"))
    Operations(engine).add(Operation("op", verb, "p", {}, {}, {}, "c", created_at=1.0))
    assert records.settle() == 0        # it is under way
    journal = SqlJournal(engine)
    fence = journal.claim("op")
    wrong = {"message": "no space", "resource": "volume data"}
    error = None if state is OperationState.DONE else wrong
    if state is OperationState.DONE:
        for between in (OperationState.PLANNING, OperationState.RUNNING):
            journal.move("op", fence, between, now=2.0)
    journal.move("op", fence, state, now=3.0, error=error,
                 result={"unhidden": "available"} if refused else None)
    assert records.settle() == 1
    found = records.show("p", "c")
    assert (found.status, found.updated_at) == (left, 3.0)
    assert found.reason == ("" if state is OperationState.DONE or refused
                            else "volume data: no space")
    assert records.settle() == 0


def test_what_was_never_begun_is_given_up_and_nothing_else(engine: sa.Engine,
                                                           records: CheckpointRecords) -> None:
    records.add(record("lost", status=S.PROTECTING))
    records.add(record("new", status=S.PROTECTING, created_at=99.0))
    records.add(record("begun", status=S.PROTECTING, operation_id="op"))
    records.add(record("of the bank", status=S.PROTECTING, graph=GRAPH))
    Operations(engine).add(Operation("op", Verb.PROTECT, "p", {}, {}, {}, "begun", created_at=1.0))
    assert records.give_up(50.0) == 1
    assert records.show("p", "lost").status is S.ERROR
    assert "never begun" in records.show("p", "lost").reason
    assert {records.show("p", one).status for one in ("new", "begun", "of the bank")} == {
        S.PROTECTING}


def test_what_the_bank_says_takes_the_place_of_what_was_known(records: CheckpointRecords) -> None:
    records.add(record("c", status=S.PROTECTING))
    records.keep([record("c", graph=GRAPH), record("d")])
    assert records.known("p") == {"c": ("prov", S.AVAILABLE, True),
                                  "d": ("prov", S.AVAILABLE, False)}


def test_a_quota_holds_however_many_come_at_once(engine: sa.Engine) -> None:
    records = CheckpointRecords(engine, Quotas(engine, {"plans": 0, "checkpoints": 3}))
    together = threading.Barrier(6)

    def add(number: int) -> bool:
        together.wait()
        try:
            records.add(record(f"c{number}"))
        except OverQuota:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(add, range(6))) == 3
    records.set_status("p", records.list(Listing("p"))[0].id, S.DELETED, "", 5.0)
    assert records.count("p") == 2
    records.add(record("one more"))
    records.add(record("theirs", project_id="another"))


def test_what_the_last_verify_found_is_remembered(records: CheckpointRecords) -> None:
    records.add(record("c", graph=GRAPH))
    bad = Verification("v2", 20.0, "objects", (Damage("k", "T", "1", "one", "gone"),), ("u",))
    records.note_verified("another", "c", bad)
    assert (records.show("p", "c").verification, records.show("p", "c").damaged) == (None, False)
    records.note_verified("p", "c", bad, "sum")
    records.note_verified("p", "c", Verification("v1", 10.0, "checksums"), "older")
    shown = records.show("p", "c")
    assert (shown.verification, shown.damaged, shown.verified_at) == (bad, True, 20.0)
    assert records.verified("p", "prov") == {"c": "sum"}
    assert records.verified("p", "elsewhere") == records.verified("another", "prov") == {}
    good = Verification("v3", 30.0, "checksums")
    records.note_verified("p", "c", good, "new")
    assert (records.show("p", "c").verification, records.show("p", "c").damaged) == (good, False)
    records.note_verified("p", "nowhere", good)


def test_what_a_verify_found_whose_process_died_as_it_ended(
        records: CheckpointRecords, engine: sa.Engine) -> None:
    records.add(record("c", graph=GRAPH))
    bad = Verification("v", 20.0, "objects", (Damage("k", "T", "1", "one", "gone"),))
    Operations(engine).add(Operation(
        "v", Verb.VERIFY, "p", {}, {}, {}, "c", OperationState.FAILED, created_at=10.0,
        finished_at=21.0, result={"verification": bad.to_dict()}))
    Operations(engine).add(Operation(
        "w", Verb.VERIFY, "p", {}, {}, {}, "c", OperationState.FAILED, created_at=10.0,
        finished_at=30.0))
    assert records.settle_verifies(25.0) == 0
    assert records.settle_verifies(15.0) == 1
    assert records.show("p", "c").verification == bad
    # What the bank says of the same verify stays.
    records.note_verified("p", "c", bad, "sum")
    records.settle_verifies(15.0)
    assert records.verified("p", "prov") == {"c": "sum"}
