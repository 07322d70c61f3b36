"""One body for every journal: what a driver, and the commands beside it, rely on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from karbor_testing.journal import MemoryJournal

from karbor.domain.errors import AmbiguousName, Conflict, Fenced, NotFound
from karbor.domain.operation import Operation, OperationState, Verb, Wanted
from karbor.domain.step import Hook, Progress, Step, StepState
from karbor.engine.concurrency_limits import ConcurrencyLimits, Limit, Living
from karbor.engine.driver import apply
from karbor.engine.journal import Journal, Settlement
from karbor.store.connect import connect
from karbor.store.journal import SqlJournal
from karbor.store.operations import Operations
from karbor.store.upgrade import upgrade

S = OperationState


@dataclass
class Books:
    journal: Journal
    records: Any        # Operations or MemoryJournal: add, list, show, want
    another: Callable[[], Journal]      # a second journal on the same data


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def books(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Books]:
    if request.param == "memory":
        memory = MemoryJournal()
        yield Books(memory, memory, lambda: memory)
        return
    url = f"sqlite:///{tmp_path / 'karbor.sqlite'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_url")
    engines = [connect(url)]
    upgrade(engines[0])

    def another() -> Journal:
        engines.append(connect(url))
        return SqlJournal(engines[-1])

    yield Books(SqlJournal(engines[0]), Operations(engines[0]), another)
    for engine in engines:
        engine.dispose()


def operation(id: str = "op-1", project: str = "p", **more: Any) -> Operation:
    return replace(Operation(id, Verb.PROTECT, project, caller={"user_id": "u"},
                             credential={"rung": 0, "sealed": "gAAAA"},
                             request={"resources": ["OS::Nova::Server#1"]}, created_at=1.5), **more)


def step(number: int, **more: Any) -> Step:
    return replace(Step(number, f"OS::Cinder::Volume#{number}", Hook.MAIN, "backup"), **more)


def running(books: Books, count: int = 3, id: str = "op-1") -> int:
    """An operation with `count` steps in state RUNNING; its fence."""
    books.records.add(operation(id))
    fence = books.journal.claim(id)
    books.journal.move(id, fence, S.PLANNING, now=2.0)
    books.journal.planned(id, fence, {"graph": {}}, [step(n) for n in range(1, count + 1)], "cp-1")
    return fence


def sharing(books: Books, id: str, project: str = "p", provider: str = "one", *, count: int = 6,
            limit: str = "backups") -> int:
    """A running operation of a provider whose steps all want a place; its fence."""
    books.records.add(operation(id, project, request={"provider_id": provider}))
    fence = books.journal.claim(id)
    books.journal.move(id, fence, S.PLANNING, now=2.0)
    books.journal.planned(id, fence, {}, [step(n, limit=limit) for n in range(1, count + 1)], "cp")
    return fence


def everything(books: Books, id: str = "op-1") -> tuple[Operation, list[Step]]:
    return books.journal.operation(id), books.journal.steps(id)


def test_an_operation_comes_back_as_it_was_added(books: Books) -> None:
    whole = operation(plan={"a": [1, {"b": None}]}, result={"x": 1.5}, error={"message": "é"},
                      finished_at=2.25, wanted=Wanted.CANCEL, state=S.FAILED, checkpoint_id="c")
    books.records.add(whole)
    assert books.journal.operation("op-1") == whole
    with pytest.raises(Conflict):
        books.records.add(whole)


def test_steps_come_back_as_they_were_planned_in_order_of_their_numbers(books: Books) -> None:
    books.records.add(operation())
    fence = books.journal.claim("op-1")
    books.journal.move("op-1", fence, S.PLANNING, now=2.0)
    full = step(2, needs=(1, 3), limit="backup", carries=True, releases=1,
                state=StepState.RUNNING, entries=2, wake_at=1700000000.125, failures=1,
                handle={"id": "b"}, saved={"size": 1}, progress=Progress(1, 2, "bytes", "x"),
                error={"message": "m"}, entered_at=1700000000.25, finished_at=3.0)
    books.journal.planned("op-1", fence, {"graph": 1}, [step(3), full, step(1)], "cp-7")
    assert books.journal.steps("op-1") == [step(1), full, step(3)]
    found = books.journal.operation("op-1")
    assert (found.plan, found.checkpoint_id, found.state) == ({"graph": 1}, "cp-7", S.RUNNING)


def test_what_is_not_there_is_not_found(books: Books) -> None:
    for ask in (books.journal.operation, books.journal.claim, books.journal.wanted):
        with pytest.raises(NotFound):
            ask("no-such")
    with pytest.raises(NotFound):
        books.journal.move("no-such", 1, S.PLANNING, now=1.0)
    assert books.journal.steps("no-such") == []


def test_fences_rise(books: Books) -> None:
    books.records.add(operation())
    books.records.add(operation("op-2"))
    first = books.journal.claim("op-1")
    assert first > 0
    assert books.another().claim("op-1") > first
    assert books.journal.claim("op-2") == first


@pytest.mark.parametrize("write", [
    lambda journal, fence: journal.planned("op-1", fence, {"new": 1}, [step(9)], "cp-2"),
    lambda journal, fence: journal.enter("op-1", fence, [1, 2], 5.0),
    lambda journal, fence: journal.settle("op-1", fence, [Settlement(1, StepState.DONE)]),
    lambda journal, fence: journal.settle("op-1", fence, []),
    lambda journal, fence: journal.move("op-1", fence, S.UNDOING, now=5.0, error={"m": 1}),
], ids=["planned", "enter", "settle", "settle-nothing", "move"])
def test_after_a_later_claim_a_write_changes_nothing(
        books: Books, write: Callable[[Journal, int], None]) -> None:
    old = running(books)
    books.another().claim("op-1")
    before = everything(books)
    with pytest.raises(Fenced):
        write(books.journal, old)
    assert everything(books) == before


def test_a_fence_nobody_was_given_is_refused(books: Books) -> None:
    books.records.add(operation("unclaimed"))
    with pytest.raises(Fenced):
        books.journal.move("unclaimed", 0, S.PLANNING, now=1.0)
    fence = running(books)
    with pytest.raises(Fenced):
        books.journal.enter("op-1", fence + 1, [1], 5.0)


def test_an_operation_is_planned_once_and_only_when_planning(books: Books) -> None:
    books.records.add(operation())
    fence = books.journal.claim("op-1")
    with pytest.raises(Conflict):
        books.journal.planned("op-1", fence, {}, [step(1)], "cp")
    assert everything(books)[1] == []
    books.journal.move("op-1", fence, S.PLANNING, now=1.0)
    books.journal.planned("op-1", fence, {}, [step(1)], "cp")
    with pytest.raises(Conflict):
        books.journal.planned("op-1", fence, {}, [step(2)], "cp")
    assert [one.number for one in books.journal.steps("op-1")] == [1]


def test_entering_counts_and_remembers_the_first_time(books: Books) -> None:
    fence = running(books)
    books.journal.enter("op-1", fence, iter([1, 3]), 5.0)
    one, two, three = books.journal.steps("op-1")
    assert (one.state, one.entries, one.entered_at) == (StepState.ENTERED, 1, 5.0)
    assert (three.state, three.entries, three.entered_at) == (StepState.ENTERED, 1, 5.0)
    assert two == step(2)
    books.journal.settle("op-1", fence, [Settlement(1, StepState.RUNNING, handle={"id": "b"})])
    books.journal.enter("op-1", fence, [1], 6.0)
    one = books.journal.steps("op-1")[0]
    assert (one.state, one.entries, one.entered_at) == (StepState.ENTERED, 2, 5.0)
    assert one.handle == {"id": "b"}


def test_an_undoing_step_stays_undoing_when_entered(books: Books) -> None:
    fence = running(books)
    books.journal.settle("op-1", fence, [Settlement(1, StepState.UNDOING)])
    books.journal.enter("op-1", fence, [1], 6.0)
    assert books.journal.steps("op-1")[0].state is StepState.UNDOING


def places(provider: int, project: int, living: Living = lambda ids: ids) -> ConcurrencyLimits:
    return ConcurrencyLimits({"backups": Limit(provider, project)}, living)


def test_places_are_shared_by_the_operations_of_a_project_and_of_a_provider(books: Books) -> None:
    first, second, other, elsewhere = (
        sharing(books, "op-1"), sharing(books, "op-2"), sharing(books, "op-3", "q"),
        sharing(books, "op-4", "q", provider="two"))
    enter, few = books.journal.enter, places(5, 3)
    assert enter("op-1", first, [1, 2], 5.0, few) == {1, 2}
    assert enter("op-2", second, [1, 2], 5.0, few) == {1}       # three of the project
    assert enter("op-3", other, [1, 2, 3], 5.0, few) == {1, 2}  # five of the provider
    assert enter("op-4", elsewhere, [1, 2, 3, 4], 5.0, few) == {1, 2, 3}
    assert [one.state for one in books.journal.steps("op-2")][:2] == [
        StepState.ENTERED, StepState.WAITING]
    assert enter("op-1", first, [1], 6.0, few) == {1}           # it has its place already
    books.journal.settle("op-1", first, [Settlement(1, StepState.RUNNING)])
    assert enter("op-2", second, [2], 6.0, few) == set()        # a backup in Cinder has one, too
    books.journal.settle("op-1", first, [Settlement(1, StepState.DONE)])
    assert enter("op-2", second, [2, 3], 7.0, few) == {2}


def test_places_are_not_taken_by_what_is_over_or_nobody_drives(books: Books) -> None:
    first, second, third = (sharing(books, f"op-{n}") for n in (1, 2, 3))
    few = places(2, 2)
    assert books.journal.enter("op-1", first, [1, 2], 5.0, few) == {1, 2}
    assert books.journal.enter("op-2", second, [1], 5.0, few) == set()
    assert books.journal.enter("op-2", second, [1], 5.0, places(2, 2, lambda ids: ())) == {1}
    books.journal.move("op-1", first, S.UNDOING, now=6.0)       # Cinder may still be at it
    assert books.journal.enter("op-3", third, [1], 6.0, few) == set()
    books.journal.move("op-1", first, S.FAILED, now=7.0)
    assert books.journal.enter("op-3", third, [1], 7.0, few) == {1}


def test_steps_of_other_kinds_and_without_a_limit_are_never_kept_waiting(books: Books) -> None:
    fence = running(books)
    other = sharing(books, "op-2", limit="transfers")
    assert books.journal.enter("op-1", fence, [1, 2, 3], 5.0, places(1, 1)) == {1, 2, 3}
    assert books.journal.enter("op-2", other, [1, 2], 5.0, places(1, 1)) == {1, 2}


def test_what_a_step_said_of_its_waiting_is_forgotten_when_it_is_entered(books: Books) -> None:
    fence = sharing(books, "op-1")
    books.journal.settle("op-1", fence, [
        Settlement(1, StepState.WAITING, progress=Progress(text="waits")),
        Settlement(2, StepState.RUNNING, progress=Progress(text="works"))])
    books.journal.enter("op-1", fence, [1, 2], 5.0)
    one, two = books.journal.steps("op-1")[:2]
    assert (one.progress, two.progress) == (None, Progress(text="works"))


def test_no_place_is_given_twice_however_many_ask_at_once(books: Books) -> None:
    count = 6
    fences = {f"op-{n}": sharing(books, f"op-{n}", project=f"p{n % 2}") for n in range(count)}
    journals = [books.another() for _ in range(count)]
    start = threading.Barrier(count)

    def ask(which: int) -> int:
        start.wait()
        id = f"op-{which}"
        return sum(len(journals[which].enter(id, fences[id], [number], 5.0, places(7, 4)))
                   for number in range(1, 7))

    with ThreadPoolExecutor(count) as pool:
        entered = list(pool.map(ask, range(count)))
    assert sum(entered) == 7
    assert sum(entered[::2]) <= 4
    assert sum(entered[1::2]) <= 4


@pytest.mark.parametrize("state", [StepState.DONE, StepState.FAILED, StepState.UNDONE,
                                   StepState.LEFT])
def test_a_step_that_is_over_is_not_entered_and_then_none_is(books: Books, state: StepState
                                                             ) -> None:
    fence = running(books)
    books.journal.settle("op-1", fence, [Settlement(2, state)])
    before = everything(books)
    with pytest.raises(Conflict):
        books.journal.enter("op-1", fence, [1, 2], 6.0)
    with pytest.raises(NotFound):
        books.journal.enter("op-1", fence, [1, 99], 6.0)
    assert everything(books) == before


def test_settling_leaves_what_is_none(books: Books) -> None:
    fence = running(books)
    books.journal.settle("op-1", fence, [
        Settlement(1, StepState.RUNNING, wake_at=9.5, failures=2, handle={"id": "b"},
                   saved={"size": 3}, progress=Progress(1, 2, "GiB"), error={"message": "slow"}),
        Settlement(2, StepState.DONE, saved={"s": [1]}, finished_at=8.0)])
    books.journal.settle("op-1", fence, [Settlement(1, StepState.ENTERED)])
    one, two, three = books.journal.steps("op-1")
    assert one == step(1, state=StepState.ENTERED, handle={"id": "b"}, saved={"size": 3},
                       progress=Progress(1, 2, "GiB"), error={"message": "slow"})
    assert two == step(2, state=StepState.DONE, saved={"s": [1]}, finished_at=8.0)
    assert three == step(3)
    books.journal.settle("op-1", fence, [Settlement(1, StepState.RUNNING, handle={})])
    assert books.journal.steps("op-1")[0].handle == {}


def test_a_settlement_that_cannot_be_written_takes_the_others_with_it(books: Books) -> None:
    fence = running(books)
    before = everything(books)
    with pytest.raises(NotFound):
        books.journal.settle("op-1", fence, [Settlement(1, StepState.DONE),
                                             Settlement(99, StepState.DONE)])
    assert everything(books) == before


@pytest.mark.parametrize("before", list(S))
def test_only_legal_moves_are_made(books: Books, before: OperationState) -> None:
    for after in S:
        id = f"{before}-{after}"
        books.records.add(operation(id, state=before))
        fence = books.journal.claim(id)
        if before.may_become(after):
            books.journal.move(id, fence, after, now=7.0, error={"message": "e"}, result={"r": 1})
            found = books.journal.operation(id)
            assert (found.state, found.error, found.result) == (after, {"message": "e"}, {"r": 1})
            assert found.finished_at == (7.0 if after.over else None)
        else:
            with pytest.raises(Conflict):
                books.journal.move(id, fence, after, now=7.0)
            assert books.journal.operation(id) == operation(id, state=before)


def test_a_move_without_error_and_result_keeps_them(books: Books) -> None:
    fence = running(books)
    books.journal.move("op-1", fence, S.UNDOING, now=5.0, error={"message": "e"}, result={"a": 1})
    books.journal.move("op-1", fence, S.FAILED, now=6.0)
    found = books.journal.operation("op-1")
    assert (found.error, found.result, found.finished_at) == ({"message": "e"}, {"a": 1}, 6.0)


def test_a_driver_hears_that_the_user_wants_it_cancelled(books: Books) -> None:
    fence = running(books)
    assert books.journal.wanted("op-1") is Wanted.RUN
    books.records.want("p", "op-1", Wanted.CANCEL)
    assert books.another().wanted("op-1") is Wanted.CANCEL
    books.journal.move("op-1", fence, S.DONE, now=5.0)
    with pytest.raises(Conflict):
        books.records.want("p", "op-1", Wanted.RUN)


def test_projects_do_not_see_each_other(books: Books) -> None:
    books.records.add(operation("op-mine", "mine"))
    books.records.add(operation("op-theirs", "theirs"))
    assert [one.id for one in books.records.list("mine")] == ["op-mine"]
    assert books.records.show("mine", "op-").id == "op-mine"
    for ask in (lambda: books.records.show("mine", "op-theirs"),
                lambda: books.records.show("mine", "op-t"),
                lambda: books.records.want("mine", "op-theirs", Wanted.CANCEL)):
        with pytest.raises(NotFound):
            ask()
    assert books.journal.wanted("op-theirs") is Wanted.RUN


def test_lists_are_newest_first_and_filtered(books: Books) -> None:
    for number in range(4):
        books.records.add(operation(f"op-{number}", created_at=float(number // 2),
                                    verb=Verb.RESTORE if number == 2 else Verb.PROTECT,
                                    state=S.DONE if number == 3 else S.QUEUED))

    def ids(**how: Any) -> list[str]:
        return [one.id for one in books.records.list("p", **how)]

    assert ids() == ["op-3", "op-2", "op-1", "op-0"]
    assert ids(limit=2) == ["op-3", "op-2"]
    assert ids(verb=Verb.RESTORE) == ["op-2"]
    assert ids(verb=Verb.PROTECT, state=S.QUEUED, limit=1) == ["op-1"]


def test_the_beginning_of_an_id_is_enough_if_only_one_has_it(books: Books) -> None:
    for id in ("abc1", "abc2", "abc", "x%y", "x_z"):
        books.records.add(operation(id))
    assert books.records.show("p", "abc2").id == "abc2"
    assert books.records.show("p", "abc").id == "abc"
    assert books.records.show("p", "x%").id == "x%y"
    with pytest.raises(AmbiguousName):
        books.records.show("p", "ab")
    for nothing in ("zz", "", "a%c"):
        with pytest.raises(NotFound):
            books.records.show("p", nothing)


def test_threads_settle_their_own_steps_without_loss(books: Books) -> None:
    count, threads = 80, 8
    fence = running(books, count)
    start = threading.Barrier(threads)

    def work(which: int) -> None:
        start.wait()
        for number in range(1 + which, count + 1, threads):
            books.journal.enter("op-1", fence, [number], float(number))
            books.journal.settle("op-1", fence, [
                Settlement(number, StepState.DONE, saved={"n": number})])

    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(work, which) for which in range(threads)]:
            future.result()
    for one in books.journal.steps("op-1"):
        assert (one.state, one.entries, one.saved) == (StepState.DONE, 1, {"n": one.number})


def test_of_many_claimants_only_the_last_can_write(books: Books) -> None:
    running(books)
    journals = [books.another() for _ in range(6)]
    start = threading.Barrier(len(journals))

    def rival(journal: Journal) -> tuple[int, bool]:
        start.wait()
        fence = journal.claim("op-1")
        start.wait()        # everybody has claimed: only the highest fence may go on
        try:
            journal.enter("op-1", fence, [1], 9.0)
        except Fenced:
            return fence, False
        return fence, True

    with ThreadPoolExecutor(len(journals)) as pool:
        told = sorted(pool.map(rival, journals))
    assert len({fence for fence, _ in told}) == len(journals)
    assert [wrote for _, wrote in told] == [False] * (len(journals) - 1) + [True]
    assert books.journal.steps("op-1")[0].entries == 1


def test_settling_follows_the_law_of_the_driver(books: Books) -> None:
    """The driver keeps its own copy of each step: it must never differ from the journal's."""
    fence = running(books, 1)
    mine = books.journal.steps("op-1")[0]
    for one in (Settlement(1, StepState.RUNNING, 3.0, 1, {"a": 1}, None, Progress(1, 3)),
                Settlement(1, StepState.RUNNING, error={}),
                Settlement(1, StepState.FAILED, error={"message": "x"}, finished_at=4.0),
                Settlement(1, StepState.UNDOING, handle={}),
                Settlement(1, StepState.UNDONE, finished_at=5.0)):
        books.journal.settle("op-1", fence, [one])
        mine = apply(mine, one)
        assert books.journal.steps("op-1") == [mine]
