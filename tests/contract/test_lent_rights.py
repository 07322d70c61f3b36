"""One body for SQLite and PostgreSQL: a trust stays as long as an operation is accepted on it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from karbor.domain.errors import Conflict, InUse, NotFound, RightsPending
from karbor.domain.operation import Operation, OperationState, Verb
from karbor.domain.plan import Plan
from karbor.domain.scheduled_operation import ENDING, OperationType, ScheduledOperation
from karbor.domain.trigger import PatternFormat, Trigger, TriggerProperties
from karbor.store.connect import connect
from karbor.store.operations import Operations
from karbor.store.plans import Plans
from karbor.store.quotas import Quotas
from karbor.store.scheduled_operations import ScheduledOperations
from karbor.store.triggers import Triggers
from karbor.store.upgrade import upgrade

ONE = ScheduledOperation("s", "p", "nightly", OperationType.PROTECT, "t",
                         {"plan_id": "plan", "provider_id": "prov"}, {"user_id": "u"},
                         {"rung": "trust", "grant": {"id": "trust-1"}}, 1.0)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    url = (request.getfixturevalue("postgresql_url") if request.param == "postgresql"
           else f"sqlite:///{tmp_path / 'karbor.sqlite'}")
    engine = connect(url)
    upgrade(engine)
    Plans(engine, Quotas(engine, {"plans": -1, "checkpoints": -1})).add(
        Plan("plan", "p", "the plan", "prov"))
    Triggers(engine).add(Trigger("t", "p", "t", TriggerProperties(
        PatternFormat.CRONTAB, "0 2 * * *", 0.0), 0.0))
    ScheduledOperations(engine).add(ONE)
    yield engine
    engine.dispose()


def lent(id: str, trust: str = "trust-1", **more: Any) -> Operation:
    return replace(Operation(id, Verb.PROTECT, "p", {}, {"grant": {"id": trust, "lent": True}}, {},
                             f"c-{id}", created_at=1.0), **more)


def test_nothing_is_accepted_on_rights_that_are_not_the_schedules_any_more(engine: sa.Engine
                                                                            ) -> None:
    records, operations = ScheduledOperations(engine), Operations(engine)
    operations.add(lent("first"))
    with pytest.raises(InUse, match="operation first"):
        records.begin_end("p", "s", 2.0)
    assert records.show("p", "s") == ONE
    operations.refuse("first", {"message": "over"}, 2.0)
    for wrong in (lent("theirs", project_id="other"), lent("old", "trust-0")):
        with pytest.raises(RightsPending):
            operations.add(wrong)
    assert ENDING in records.begin_end("p", "s", 3.0).credential
    with pytest.raises(RightsPending):
        operations.add(lent("late"))
    # What is over may be written down all the same, and what runs on rights of its own.
    operations.add(lent("over", state=OperationState.FAILED))
    operations.add(replace(lent("own"), credential={"grant": {"id": "trust-9", "lent": False}}))
    assert [one.id for one in records.unsettled()] == ["s"]


def test_of_a_deletion_and_an_acceptance_at_once_one_is_refused(engine: sa.Engine) -> None:
    records, operations = ScheduledOperations(engine), Operations(engine)
    for number in range(20):
        records.replace(replace(records.show("p", "s"), credential=ONE.credential))
        start, refused = threading.Barrier(2), []

        def accept(id: str = f"op-{number}") -> None:
            start.wait(10)  # noqa: B023 - joined before the next round
            try:
                operations.add(lent(id))
            except RightsPending:
                refused.append("operation")     # noqa: B023

        thread = threading.Thread(target=accept)
        thread.start()
        start.wait(10)
        try:
            records.begin_end("p", "s", 2.0)
        except InUse:
            refused.append("deletion")
        thread.join(30)
        assert len(refused) == 1, number
        operations.refuse(f"op-{number}", {"message": "over"}, 3.0)


def test_a_plan_and_a_schedule_of_it_cannot_pass_each_other(engine: sa.Engine) -> None:
    plans = Plans(engine, Quotas(engine, {"plans": -1, "checkpoints": -1}))
    records = ScheduledOperations(engine)
    with pytest.raises(Conflict, match=r"nightly \(s\)"):
        plans.drop("p", "plan")
    for number in range(20):
        id = f"plan-{number}"
        plans.add(Plan(id, "p", id, "prov"))
        start, refused = threading.Barrier(2), []

        def drop(id: str = id) -> None:
            start.wait(10)  # noqa: B023
            try:
                plans.drop("p", id)
            except Conflict:
                refused.append("drop")      # noqa: B023

        thread = threading.Thread(target=drop)
        thread.start()
        start.wait(10)
        try:
            records.add(replace(ONE, id=f"s-{number}", operation_definition={
                "plan_id": id, "provider_id": "prov"}))
        except NotFound:
            refused.append("schedule")
        thread.join(30)
        assert len(refused) == 1, number
