"""What an operator's monitoring reads of the database, and what that costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from karbor.domain.checkpoint_record import CheckpointRecord, RecordStatus
from karbor.domain.operation import Operation, OperationState, Verb
from karbor.domain.plan import Plan
from karbor.domain.verification import Damage, Verification
from karbor.store.checkpoint_tables import CHECKPOINTS
from karbor.store.checkpoints import CheckpointRecords
from karbor.store.connect import connect, writing
from karbor.store.operations import Operations
from karbor.store.plans import Plans
from karbor.store.quotas import Quotas
from karbor.store.statistics import Statistics
from karbor.store.tables import METADATA


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = connect(f"sqlite:///{tmp_path / 'karbor.sqlite'}")
    METADATA.create_all(engine)
    yield engine
    engine.dispose()


def operation(id: str, verb: Verb, state: OperationState, at: float, **more: Any) -> Operation:
    credential = more.pop("credential", {})
    return Operation(id, verb, "p", {}, credential, {}, state=state, created_at=at, **more)


def plan(engine: sa.Engine, id: str, at: float) -> None:
    Plans(engine, Quotas(engine, {"plans": -1, "checkpoints": -1})).add(
        Plan(id, "p", f"name of {id}", "prov", created_at=at))


def record(id: str, status: RecordStatus, at: float, **more: Any) -> CheckpointRecord:
    return CheckpointRecord(id, "p", "prov", id, status, at, **more)


def test_operations_are_counted_by_verb_and_state_with_the_oldest(engine: sa.Engine) -> None:
    records = Operations(engine)
    for number in (3, 1, 2):
        records.add(operation(f"q{number}", Verb.PROTECT, OperationState.QUEUED, number))
    records.add(operation("d", Verb.DELETE, OperationState.DONE, 9.0))
    found = {
        (one.verb, one.state): (one.count, one.oldest) for one in Statistics(engine).operations()
    }
    assert found == {(Verb.PROTECT, OperationState.QUEUED): (3, 1.0),
                     (Verb.DELETE, OperationState.DONE): (1, 9.0)}


def test_what_an_operation_has_left_counts_before_it_is_written_down(engine: sa.Engine) -> None:
    records, operations = CheckpointRecords(engine), Operations(engine)
    plan(engine, "plan", 5.0)
    for id, verb, state in (("done", Verb.PROTECT, OperationState.DONE),
                            ("failed", Verb.PROTECT, OperationState.FAILED),
                            ("running", Verb.PROTECT, OperationState.RUNNING),
                            ("gone", Verb.DELETE, OperationState.DONE),
                            ("refused", Verb.DELETE, OperationState.FAILED),
                            ("partly", Verb.DELETE, OperationState.FAILED)):
        operations.add(operation(id, verb, state, 10.0, result=(
            {"unhidden": "available"} if id == "refused" else {})))
        status = RecordStatus.DELETING if verb is Verb.DELETE else RecordStatus.PROTECTING
        records.add(record(id, status, 10.0, plan_id="plan", operation_id=id))
    figures = Statistics(engine)
    before, plans = figures.checkpoints(), figures.plans()
    assert before == {("prov", RecordStatus.AVAILABLE): 2, ("prov", RecordStatus.ERROR): 1,
                      ("prov", RecordStatus.PROTECTING): 1,
                      ("prov", RecordStatus.ERROR_DELETING): 1}
    assert [(one.good, one.last_good) for one in plans] == [(2, 10.0)]
    assert records.settle() == 5
    assert (figures.checkpoints(), figures.plans()) == (before, plans)


def test_a_plan_is_as_old_as_its_last_good_checkpoint_or_as_itself(engine: sa.Engine) -> None:
    records = CheckpointRecords(engine)
    plan(engine, "kept", 1.0)
    plan(engine, "never", 2.0)
    for id, status, at in (("c1", RecordStatus.AVAILABLE, 10.0),
                           ("c2", RecordStatus.AVAILABLE, 20.0),
                           ("c3", RecordStatus.ERROR, 30.0), ("c4", RecordStatus.DELETED, 40.0)):
        records.add(record(id, status, at, plan_id="kept"))
    records.add(replace(record("c5", RecordStatus.AVAILABLE, 50.0, plan_id="kept"),
                        project_id="another"))
    found = {one.id: one for one in Statistics(engine).plans()}
    assert (found["kept"].name, found["kept"].project_id) == ("name of kept", "p")
    assert (found["kept"].good, found["kept"].since) == (2, 20.0)
    assert (found["never"].good, found["never"].since) == (0, 2.0)
    together = Statistics(engine).all_plans()
    assert (together.count, together.without, together.since) == (2, 1, 2.0)


def test_without_any_plan_there_is_no_time(engine: sa.Engine) -> None:
    together = Statistics(engine).all_plans()
    assert (together.count, together.without, together.since) == (0, 0, None)


def test_credentials_of_live_operations_by_rung(engine: sa.Engine) -> None:
    records = Operations(engine)
    for id, state, deadline, until in (
            ("a", OperationState.RUNNING, 100.0, 5e9), ("b", OperationState.QUEUED, 90.0, None),
            ("c", OperationState.DONE, 1.0, 1.0)):
        records.add(operation(id, Verb.PROTECT, state, 0.0, credential={
            "rung": "token", "deadline": deadline, "until": until, "sealed": "gAAAA-secret"}))
    records.add(operation("d", Verb.PROTECT, OperationState.RUNNING, 0.0))
    found = {
        one.kind: (one.count, one.leaves, one.ends) for one in Statistics(engine).credentials()
    }
    assert found == {"token": (2, 90.0, 5e9), "": (1, None, None)}


def test_ten_thousand_checkpoints_cost_no_statement_more(engine: sa.Engine) -> None:
    sent: list[str] = []

    @sa.event.listens_for(engine, "before_cursor_execute")
    def count(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("SELECT"):
            sent.append(statement)

    def ask() -> int:
        sent.clear()
        figures = Statistics(engine)
        for one in (figures.operations, figures.checkpoints, figures.plans, figures.all_plans,
                    figures.credentials):
            one()
        return len(sent)

    for number in range(50):
        plan(engine, f"plan{number}", 1.0)
    assert ask() == 5
    with writing(engine) as connection:
        connection.execute(sa.insert(CHECKPOINTS), [
            {"id": f"c{number}", "project_id": "p", "provider_id": "prov", "name": "", "reason": "",
             "plan_id": f"plan{number % 50}", "status": "available", "origin": {},
             "operation_id": "", "created_at": float(number)} for number in range(10_000)])
    assert ask() == 5
    assert sum(one.good for one in Statistics(engine).plans()) == 10_000


def test_what_verifies_found_counts(engine: sa.Engine) -> None:
    records = CheckpointRecords(engine)
    plan(engine, "plan", 5.0)
    for number, found in enumerate((
            Verification("v", 100.0, "checksums"), None,
            Verification("v", 200.0, "", (Damage("k", "T", "1", "one", "it is gone"),)))):
        id = f"c{number}"
        records.add(record(id, RecordStatus.AVAILABLE, 10.0 + number, plan_id="plan"))
        if found is not None:
            records.note_verified("p", id, found)
    records.add(record("bad", RecordStatus.ERROR, 20.0, plan_id="plan"))
    figures = Statistics(engine)
    assert figures.verified() == {("prov", "good"): 1, ("prov", "never"): 1, ("prov", "damaged"): 1}
    # The newest is damaged: it protects nothing.
    [one] = figures.plans()
    assert (one.good, one.last_good, one.verified) == (2, 11.0, 100.0)
