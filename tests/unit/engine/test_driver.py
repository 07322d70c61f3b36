"""The driver on an in-memory journal and a toy world, killed at every write of its journal."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from karbor_testing.journal import MemoryJournal

from karbor.domain.errors import (
    BadInput,
    CloudUnavailable,
    Fenced,
    KarborError,
    RemoteFailed,
    TokenRejected,
    WorkInterrupted,
)
from karbor.domain.operation import Operation, OperationState, Verb, Wanted
from karbor.domain.step import Again, Done, Failed, Hook, Outcome, Step, StepState, Wait
from karbor.engine.concurrency_limits import ConcurrencyLimits, Limit
from karbor.engine.driver import Driver
from karbor.engine.runner import Anew, Planned, StepContext


class World:
    """A remote service: things are made, take some looks to be ready, and can be removed."""

    def __init__(self) -> None:
        self.things: dict[str, int] = {}        # mark → looks until ready
        self.made: list[str] = []
        self.lock = threading.Lock()

    def make(self, mark: str, looks: int) -> None:
        with self.lock:
            self.made.append(mark)
            self.things[mark] = looks

    def look(self, mark: str) -> bool:
        with self.lock:
            self.things[mark] -= 1
            return self.things[mark] < 0


class Toy:
    """A runner over a World: each step makes one thing and waits for it."""

    def __init__(self, world: World, steps: Sequence[Step], *, looks: int = 1,
                 trouble: Mapping[int, Callable[[], Outcome]] | None = None) -> None:
        self.world, self.planned, self.looks = world, steps, looks
        self.trouble = dict(trouble or {})
        self.told: list[str] = []
        self.under_way = 0
        self.most_under_way = 0
        self.patience = 60.0
        self.bounds: dict[str, float] = {}
        self.rests_on: dict[int, int] = {}
        self.fast = True
        self.over: Callable[[], KarborError | None] = lambda: None

    def plan(self, operation: Operation) -> Planned:
        return Planned({"graph": {}}, self.planned, "checkpoint")

    def run(self, operation: Operation, step: Step, step_context: StepContext) -> Outcome:
        if step.releases is None and step.number in self.trouble:
            return self.trouble[step.number]()
        mark = f"{operation.id}/{step.number}"
        if not step.handle:
            if not (step.state is StepState.ENTERED and mark in self.world.things):
                self.world.make(mark, self.looks)
            under_way = sum(one.state in (StepState.ENTERED, StepState.RUNNING)
                            for one in step_context.steps.values())
            self.most_under_way = max(self.most_under_way, under_way)
            return Again(0.0, handle={"mark": mark})
        return Done({"mark": mark}) if self.world.look(mark) else Again(0.0)

    def undo(self, operation: Operation, step: Step, step_context: StepContext) -> Outcome:
        self.world.things.pop(f"{operation.id}/{step.number}", None)
        return Done()

    def undoable(self, operation: Operation, step: Step) -> bool:
        return step.releases is None

    def allowed(self, operation: Operation, step: Step, kind: str) -> float:
        return self.bounds.get(kind, self.patience)

    def anew(self, operation: Operation, step: Step, error: KarborError) -> Anew | None:
        time = int(step.remade.get("counts", {}).get("restart", 0)) + 1
        if not isinstance(error, WorkInterrupted) or time > 2:
            return None
        return Anew("restart", time, 2, rests_on=self.rests_on.get(step.number))

    def label(self, operation: Operation, step: Step) -> str:
        return f"{step.resource}: {step.stage}"

    def ended(self, operation: Operation) -> KarborError | None:
        return self.over()

    def fail_fast(self, operation: Operation) -> bool:
        return self.fast

    def finish(self, operation: Operation, steps: Sequence[Step]) -> Mapping[str, Any]:
        assert all(step.state is StepState.DONE for step in steps)
        self.told.append("finish")
        return {"ok": True}

    def abandon(self, operation: Operation, steps: Sequence[Step], error: Mapping[str, Any]
                ) -> Mapping[str, Any]:
        self.told.append("abandon")
        return {}

    def explain(self, operation: Operation, step: Step, error: KarborError) -> KarborError:
        error.resource = step.resource
        return error


def step(number: int, *needs: int, limit: str = "", releases: int | None = None) -> Step:
    return Step(number, f"r{number}", Hook.MAIN, "thing", needs, limit=limit, releases=releases)


def accepted(journal: MemoryJournal, id: str = "op") -> Operation:
    operation = Operation(id, Verb.PROTECT, "project", {}, {}, {})
    journal.add(operation)
    return operation


CHAIN = [step(0), step(1, 0), step(2, 0), step(3, 1, 2), step(4, 3, releases=0)]


def test_steps_run_in_the_order_of_their_needs_and_the_result_is_kept() -> None:
    world, journal = World(), MemoryJournal()
    runner = Toy(world, CHAIN)
    accepted(journal)
    assert Driver(journal, runner).drive("op") is OperationState.DONE
    assert [mark.split("/")[1] for mark in world.made if mark.endswith(("0", "3"))] == ["0", "3"]
    assert sorted(world.things) == ["op/1", "op/2", "op/3"]     # the temporary one is gone
    assert journal.operation("op").result == {"ok": True}
    assert [one.state for one in journal.steps("op")] == [StepState.DONE] * 5


def test_a_failed_step_ends_the_operation_and_everything_made_is_removed() -> None:
    world, journal = World(), MemoryJournal()
    runner = Toy(world, CHAIN, trouble={3: lambda: Failed(RemoteFailed("no"))})
    accepted(journal)
    assert Driver(journal, runner).drive("op") is OperationState.FAILED
    assert world.things == {}
    assert runner.told == ["abandon"]
    error = journal.operation("op").error or {}
    assert (error["error"], error["resource"]) == ("RemoteFailed", "r3")


def test_a_thing_that_was_released_is_not_removed_again() -> None:
    world, journal = World(), MemoryJournal()
    steps = [*CHAIN, step(5, 4)]
    undone: list[int] = []
    runner = Toy(world, steps, trouble={5: lambda: Failed(RemoteFailed("no"))})
    undo = runner.undo

    def recording(operation: Operation, one: Step, step_context: StepContext) -> Outcome:
        undone.append(one.number)
        return undo(operation, one, step_context)

    runner.undo = recording     # type: ignore[method-assign]
    accepted(journal)
    assert Driver(journal, runner).drive("op") is OperationState.FAILED
    assert undone.count(0) == 1     # by its release, not once more


def test_transient_failures_come_again_and_permanent_ones_do_not() -> None:
    world, journal = World(), MemoryJournal()
    failures = iter([CloudUnavailable("503"), CloudUnavailable("lost")])
    calls: list[int] = []

    def flaky() -> Outcome:
        calls.append(1)
        for error in failures:
            raise error
        return Done({"after": len(calls)})

    accepted(journal)
    runner = Toy(world, [step(0)], trouble={0: flaky})
    assert Driver(journal, runner).drive("op") is OperationState.DONE
    assert len(calls) == 3


def test_a_bug_in_a_plugin_fails_its_operation_and_says_so(
        caplog: pytest.LogCaptureFixture) -> None:
    def bug() -> Outcome:
        raise ZeroDivisionError("oh")

    journal = MemoryJournal()
    accepted(journal)
    assert Driver(journal, Toy(World(), [step(0)], trouble={0: bug})).drive(
        "op") is OperationState.FAILED
    assert "ZeroDivisionError" in (journal.operation("op").error or {})["message"]
    assert "ZeroDivisionError" in caplog.text


def test_a_bug_at_the_end_fails_the_operation_instead_of_every_resume(
        caplog: pytest.LogCaptureFixture) -> None:
    world, journal = World(), MemoryJournal()
    accepted(journal)
    runner = Toy(world, CHAIN)

    def bug(operation: Operation, steps: Sequence[Step]) -> Mapping[str, Any]:
        raise KeyError("id")

    runner.finish = bug     # type: ignore[method-assign]
    assert Driver(journal, runner).drive("op") is OperationState.FAILED
    assert "KeyError" in (journal.operation("op").error or {})["message"]
    assert world.things == {}
    assert "finishing op failed" in caplog.text


def test_what_never_becomes_ready_fails_at_its_deadline() -> None:
    journal = MemoryJournal()
    accepted(journal)
    runner = Toy(World(), [step(0)], looks=10**9)
    runner.patience = 0.2
    assert Driver(journal, runner).drive("op") is OperationState.FAILED
    assert (journal.operation("op").error or {})["error"] == "DeadlinePassed"


def test_only_so_many_limited_steps_are_under_way_at_once() -> None:
    journal = MemoryJournal()
    accepted(journal)
    runner = Toy(World(), [step(i, limit="backups") for i in range(12)], looks=3)
    three = ConcurrencyLimits({"backups": Limit(9, 3)})
    assert Driver(journal, runner, places=three).drive("op") is OperationState.DONE
    assert runner.most_under_way == 3


def test_an_operation_waits_for_the_places_that_another_one_has_and_says_so() -> None:
    journal, world = MemoryJournal(), World()
    begun, go = threading.Event(), threading.Event()

    def hold() -> Outcome:
        begun.set()
        return Done() if go.wait(0.01) else Again(0.01)

    accepted(journal, "first")
    accepted(journal, "second")
    one_place = ConcurrencyLimits({"backups": Limit(1, 1)})
    first = Toy(world, [step(0, limit="backups")], trouble={0: hold})
    second = Toy(world, [step(0, limit="backups"), step(1)])
    with ThreadPoolExecutor(2) as pool:
        ends = [pool.submit(Driver(journal, first, places=one_place).drive, "first")]
        assert begun.wait(30)
        ends.append(pool.submit(Driver(journal, second, places=one_place).drive, "second"))
        end = time.monotonic() + 30
        while not (steps := journal.steps("second")) or steps[1].state is not StepState.DONE:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert steps[0].state is StepState.WAITING
        assert steps[0].progress is not None
        assert steps[0].progress.text == "waits for others: backups has no place free"
        go.set()
        assert [one.result(30) for one in ends] == [OperationState.DONE] * 2
    assert journal.steps("second")[0].progress is None


def test_what_a_killed_operation_had_under_way_keeps_nobody_waiting() -> None:
    journal = MemoryJournal()
    accepted(journal, "killed")
    accepted(journal, "op")
    stopping = threading.Event()

    def stop() -> Outcome:
        stopping.set()
        return Again(0.0)

    killed = Toy(World(), [step(0, limit="backups")], trouble={0: stop})
    driven: set[str] = {"op"}
    places = ConcurrencyLimits({"backups": Limit(1, 1)}, driven.intersection)
    assert Driver(journal, killed, places=places).drive("killed", stopping) is None
    assert journal.steps("killed")[0].state is StepState.RUNNING
    runner = Toy(World(), [step(0, limit="backups")])
    assert Driver(journal, runner, places=places).drive("op") is OperationState.DONE


def test_a_planning_error_touches_nothing_and_ends_the_operation() -> None:
    journal = MemoryJournal()
    accepted(journal)
    runner = Toy(World(), [])

    def refuse(operation: Operation) -> Planned:
        raise BadInput("no such volume")

    runner.plan = refuse    # type: ignore[method-assign]
    assert Driver(journal, runner).drive("op") is OperationState.FAILED
    assert (journal.operation("op").error or {})["message"] == "no such volume"


def test_a_cancelled_operation_is_undone() -> None:
    world, journal = World(), MemoryJournal()
    accepted(journal)
    runner = Toy(world, CHAIN, looks=10**9)
    driver = Driver(journal, runner)
    waiting = runner.run

    def cancel_when_under_way(
        operation: Operation, one: Step, step_context: StepContext
    ) -> Outcome:
        outcome = waiting(operation, one, step_context)
        journal.want("project", "op", Wanted.CANCEL)
        return outcome

    runner.run = cancel_when_under_way  # type: ignore[method-assign]
    assert driver.drive("op") is OperationState.CANCELLED
    assert world.made
    assert world.things == {}


def test_a_stopped_driver_leaves_an_operation_that_another_one_finishes() -> None:
    world, journal = World(), MemoryJournal()
    accepted(journal)
    stopping = threading.Event()
    runner = Toy(world, CHAIN, looks=2)
    going = runner.run

    def stop_soon(operation: Operation, one: Step, step_context: StepContext) -> Outcome:
        if one.number == 1:
            stopping.set()
        return going(operation, one, step_context)

    runner.run = stop_soon  # type: ignore[method-assign]
    assert Driver(journal, runner).drive("op", stopping) is None
    assert not journal.operation("op").state.over
    assert Driver(journal, Toy(world, CHAIN)).drive("op") is OperationState.DONE
    assert len(world.made) == len(set(world.made)) == 4


def test_a_driver_that_was_overtaken_touches_nothing_any_more() -> None:
    world, journal = World(), MemoryJournal()
    accepted(journal)
    runner = Toy(world, CHAIN)
    going = runner.run

    def overtaken(operation: Operation, one: Step, step_context: StepContext) -> Outcome:
        journal.claim("op")
        return going(operation, one, step_context)

    runner.run = overtaken  # type: ignore[method-assign]
    with pytest.raises(Fenced):
        Driver(journal, runner).drive("op")
    assert len(world.made) == 1     # the entry under way; nothing after it


def test_without_fail_fast_every_step_is_tried() -> None:
    journal = MemoryJournal()
    accepted(journal)
    runner = Toy(World(), [step(0), step(1), step(2, 0)],
                 trouble={0: lambda: Failed(RemoteFailed("damaged"))})
    runner.fast = False
    assert Driver(journal, runner).drive("op") is OperationState.FAILED
    states = {one.number: one.saved for one in journal.steps("op")}
    assert states[1] == {"mark": "op/1"}
    assert states[2] == {}


class Killed(BaseException):
    """The process is gone: nothing may catch it."""


class Mortal:
    """A journal whose process dies at its n-th write, before or after the write took effect."""

    WRITES = ("claim", "planned", "enter", "settle", "move")

    def __init__(self, inner: MemoryJournal, die_at: int, after: bool) -> None:
        self._inner, self._left, self._after = inner, die_at, after

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name not in self.WRITES:
            return method

        def write(*args: Any, **kwargs: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise Killed
            out = method(*args, **kwargs)
            if self._left == 0:
                raise Killed
            return out

        return write


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("fails", [False, True], ids=["succeeds", "fails"])
def test_killed_at_any_write_the_next_driver_finishes_and_makes_nothing_twice(
        after: bool, fails: bool) -> None:
    trouble = {3: lambda: Failed(RemoteFailed("no"))} if fails else {}
    for die_at in range(1, 200):
        world, journal = World(), MemoryJournal()
        accepted(journal)
        try:
            Driver(Mortal(journal, die_at, after), Toy(world, CHAIN, trouble=trouble)).drive("op")
        except Killed:
            pass
        else:
            assert die_at > 10      # there were that many writes to die at
            return
        end = Driver(journal, Toy(world, CHAIN, trouble=trouble)).drive("op")
        if journal.operation("op").state.over and end is None:
            end = journal.operation("op").state
        assert end is (OperationState.FAILED if fails else OperationState.DONE)
        assert len(world.made) == len(set(world.made)), f"made twice when killed at {die_at}"
        assert sorted(world.things) == ([] if fails else ["op/1", "op/2", "op/3"])
    pytest.fail("never ran to its end")


def test_replace_is_enough_to_read_a_step() -> None:
    assert replace(step(0), state=StepState.DONE).state.touched
    assert not step(0).state.touched


def test_an_operation_whose_credential_ends_is_undone_and_says_so() -> None:
    world = World()
    runner = Toy(world, [step(0), step(1, 0), step(2, 1), step(3, 2)], looks=2)
    runner.over = lambda: TokenRejected("its time is over") if len(world.made) == 2 else None
    journal = MemoryJournal()
    accepted(journal)
    assert Driver(journal, runner).drive("op") is OperationState.FAILED
    assert journal.operation("op").error == TokenRejected("its time is over").facts()
    assert (len(world.made), world.things) == (2, {})


class Restarted:
    """A service that loses the first things of a step: their ids end in errors, as the service says
    when it is back. Nothing may be made while an earlier thing of the step is still there."""

    def __init__(self, number: int, times: int) -> None:
        self.number, self.left = number, times

    def into(self, runner: Toy) -> Toy:
        going, self.world = runner.run, runner.world

        def run(operation: Operation, one: Step, step_context: StepContext) -> Outcome:
            mark = f"{operation.id}/{one.number}"
            if not one.handle:
                assert mark not in self.world.things or one.state is StepState.ENTERED
            elif one.number == self.number and self.left > self.world.made.count(mark) - 1:
                return Failed(WorkInterrupted("backup b went to state error: reset on restart"))
            return going(operation, one, step_context)

        runner.run = run        # type: ignore[method-assign]
        return runner


def test_a_step_whose_service_was_restarted_is_made_anew_and_it_is_told(
        caplog: pytest.LogCaptureFixture) -> None:
    world, journal = World(), MemoryJournal()
    accepted(journal)
    runner = Restarted(1, times=2).into(Toy(world, CHAIN))
    assert Driver(journal, runner).drive("op") is OperationState.DONE
    assert world.made.count("op/1") == 3
    assert sorted(world.things) == ["op/1", "op/2", "op/3"]     # one of each
    told = [text for _, text in journal.events("project", "op")]
    assert told == [f"r1: thing is made anew ({time} of 2): backup b went to state error: reset on "
                    "restart" for time in (1, 2)]
    assert all(text in caplog.text for text in told)
    assert journal.steps("op")[1].remade["counts"] == {"restart": 2}


def test_a_step_is_made_anew_so_many_times_only_and_says_so() -> None:
    world, journal = World(), MemoryJournal()
    accepted(journal)
    runner = Restarted(1, times=9).into(Toy(world, CHAIN))
    assert Driver(journal, runner).drive("op") is OperationState.FAILED
    assert world.made.count("op/1") == 3
    assert world.things == {}
    assert (journal.operation("op").error or {})["message"] == (
        "backup b went to state error: reset on restart (also after it was made anew, 2 of 2 "
        "times)")


def test_what_a_failed_step_rests_on_is_made_anew_before_it() -> None:
    world, journal = World(), MemoryJournal()
    accepted(journal)
    runner = Restarted(3, times=1).into(Toy(world, CHAIN))
    runner.rests_on = {3: 1}
    assert Driver(journal, runner).drive("op") is OperationState.DONE
    assert [world.made.count(f"op/{number}") for number in range(4)] == [1, 2, 1, 2]
    assert world.made[-2:] == ["op/1", "op/3"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("rests_on", [{}, {3: 1}], ids=["alone", "with what it rests on"])
def test_killed_while_a_step_is_made_anew_nothing_is_left_over_or_counted_twice(
        after: bool, rests_on: dict[int, int]) -> None:
    def runner(world: World) -> Toy:
        made = Restarted(3, times=1).into(Toy(world, CHAIN))
        made.rests_on = rests_on
        return made

    for die_at in range(1, 200):
        world, journal = World(), MemoryJournal()
        accepted(journal)
        try:
            Driver(Mortal(journal, die_at, after), runner(world)).drive("op")
        except Killed:
            pass
        else:
            assert die_at > 14      # there were that many writes to die at
            return
        assert Driver(journal, runner(world)).drive("op") is OperationState.DONE
        assert sorted(world.things) == ["op/1", "op/2", "op/3"]
        assert world.made.count("op/3") == 2, die_at
        assert world.made.count("op/1") == (2 if rests_on else 1), die_at
        assert journal.steps("op")[3].remade["counts"] == {"restart": 1}
        assert len(journal.events("project", "op")) == 1
    pytest.fail("it never came to its end")


def test_a_step_that_sees_no_news_says_what_it_waits_for_since_and_until_when(
        caplog: pytest.LogCaptureFixture) -> None:
    now = [1000.0]
    looks: list[float] = []

    def wait() -> Outcome:
        now[0] += 10.0
        looks.append(now[0])
        return Again(0.0, wait=Wait("the volume to come to rest; it is attaching", "at_rest"))

    journal = MemoryJournal()
    accepted(journal)
    runner = Toy(World(), [step(0)], trouble={0: wait})
    runner.patience, runner.bounds = 1e6, {"at_rest": 3600.0}
    driver = Driver(journal, runner, clock=lambda: now[0])
    sleeping = driver._wait

    def wait_quickly(operation: Operation) -> list[Step]:
        now[0] = max(now[0], journal.steps("op")[0].wake_at)
        return sleeping(operation)

    driver._wait = wait_quickly     # type: ignore[method-assign]
    assert driver.drive("op") is OperationState.FAILED
    error = journal.operation("op").error or {}
    assert error["error"] == "DeadlinePassed"
    assert error["message"].startswith(
        "it waited for the volume to come to rest; it is attaching in vain, from "
        "1970-01-01 00:16:50 UTC until 1970-01-01 01:1")
    assert "[waits] at_rest allows longer" in error["remedy"]
    told = [text for _, text in journal.events("project", "op")]
    assert told[0] == ("r0: thing waits for the volume to come to rest; it is attaching, since "
                       "1970-01-01 00:16:50 UTC, until 1970-01-01 01:16:50 UTC at the latest")
    assert len(told) == (len(looks) - 1) // 20      # never more than 20 looks without a line
    assert all(text in caplog.text for text in told)
    gaps = [after - before for before, after in itertools.pairwise(looks)]
    assert gaps[-1] > 3 * gaps[0]       # it looks less and less often


def test_a_service_that_does_not_answer_is_tried_for_so_long_and_it_is_told() -> None:
    now, tries = [1000.0], []

    def fail() -> Outcome:
        tries.append(now[0])
        raise CloudUnavailable("cinder answered 503")

    journal = MemoryJournal()
    accepted(journal)
    runner = Toy(World(), [step(0)], trouble={0: fail})
    runner.patience, runner.bounds = 1e6, {"unavailable": 900.0}
    driver = Driver(journal, runner, clock=lambda: now[0])
    sleeping = driver._wait

    def wait_quickly(operation: Operation) -> list[Step]:
        now[0] = max(now[0], journal.steps("op")[0].wake_at)
        return sleeping(operation)

    driver._wait = wait_quickly     # type: ignore[method-assign]
    assert driver.drive("op") is OperationState.FAILED
    assert (journal.operation("op").error or {})["message"] == (
        "not finished within 900 s: cinder answered 503")
    told = [text for _, text in journal.events("project", "op")]
    assert told[0] == ("r0: thing is tried again and again since 1970-01-01 00:16:40 UTC: cinder "
                       "answered 503")
    assert len(told) == (len(tries) - 1) // 5
