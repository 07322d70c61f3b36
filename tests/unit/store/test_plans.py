"""Plans and quotas in the database: what only a database can get wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from karbor.domain.errors import BadInput, NotFound, OverQuota
from karbor.domain.listing import Listing, Sort
from karbor.domain.plan import Plan, Selector
from karbor.store.connect import connect, ping
from karbor.store.plans import Plans
from karbor.store.quotas import Quotas
from karbor.store.upgrade import upgrade

PLAN = Plan("id-1", "p", "name", "provider", "text", "suspended",
            ({"id": "r", "type": "T", "name": None, "extra_info": {"a": [1, None]}},),
            {"T": {"flag": True, "number": 5, "text": "5"}, "T#r": None},
            (Selector("T", tags=("a", "b")), Selector("T", metadata={"k": "v"})), 1.5)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = connect(f"sqlite:///{tmp_path / 'karbor.sqlite'}")
    upgrade(engine)
    yield engine
    engine.dispose()


def plans_of(engine: sa.Engine, limit: int = -1) -> Plans:
    return Plans(engine, Quotas(engine, {"plans": limit, "checkpoints": -1}))


def test_a_plan_comes_back_as_it_was(engine: sa.Engine) -> None:
    plans = plans_of(engine)
    plans.add(PLAN)
    assert plans.show("p", "id-1") == plans.show(None, "id-1") == PLAN
    assert plans.list(Listing("p")) == [PLAN]
    kept = plans.show("p", "id-1").parameters["T"]
    assert kept is not None
    assert type(kept["flag"]) is bool


def test_plans_are_reached_through_their_project(engine: sa.Engine) -> None:
    plans = plans_of(engine)
    plans.add(PLAN)
    for ask in (plans.show, plans.drop, lambda a, b: plans.change(a, b, lambda one: one)):
        with pytest.raises(NotFound):
            ask("other", "id-1")
    assert plans.list(Listing("other")) == []
    with pytest.raises(NotFound):
        plans.list(Listing("other", marker="id-1"))
    assert plans.count("other") == 0


def test_a_change_that_fails_changes_nothing(engine: sa.Engine) -> None:
    plans = plans_of(engine)
    plans.add(PLAN)

    def refuse(plan: Plan) -> Plan:
        raise BadInput(f"not {plan.name}")

    with pytest.raises(BadInput):
        plans.change("p", "id-1", refuse)
    assert plans.change("p", "id-1", lambda one: replace(one, name="new")).name == "new"
    assert plans.show("p", "id-1").name == "new"


def test_only_what_is_never_null_can_be_sorted_by(engine: sa.Engine) -> None:
    for key in ("description", "updated_at", "nosuch"):
        with pytest.raises(BadInput, match=key):
            plans_of(engine).list(Listing("p", sort=(Sort(key),)))


def test_two_requests_cannot_both_take_the_last_place(engine: sa.Engine) -> None:
    plans, together = plans_of(engine, limit=5), threading.Barrier(8)

    def take(number: int) -> bool:
        together.wait()
        try:
            plans.add(replace(PLAN, id=f"id-{number}"))
        except OverQuota:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(take, range(8)))
    assert sum(taken) == plans.count("p") == 5


def test_a_limit_of_the_project_counts_before_that_of_the_class(engine: sa.Engine) -> None:
    quotas = Quotas(engine, {"plans": 50, "checkpoints": -1})
    quotas.set_class("default", {"plans": 20})
    quotas.set("p", {"checkpoints": 3})
    assert quotas.of("p") == {"plans": 20, "checkpoints": 3}
    assert quotas.of("other") == quotas.defaults() == {"plans": 20, "checkpoints": -1}
    quotas.set("p", {"plans": -1})
    quotas.reset("p")
    assert quotas.of("p") == quotas.defaults()


def test_a_database_that_is_there_answers(engine: sa.Engine) -> None:
    ping(engine)
