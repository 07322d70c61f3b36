"""A credential that is suspended while an operation is planned or concluded: it is waited for as
long as the credential itself says, as in steps, and not for a number of tries."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from karbor_testing.journal import MemoryJournal

from karbor.domain.errors import (
    CloudUnavailable,
    CredentialSuspended,
    KarborError,
    TokenRejected,
)
from karbor.domain.operation import Operation, OperationState, Wanted
from karbor.domain.step import Step
from karbor.engine import driver
from karbor.engine.driver import MOST_TRIES, Driver
from karbor.engine.runner import Planned
from tests.unit.engine.test_driver import CHAIN, Toy, World, accepted

SUSPENDED = CredentialSuspended("waits since 10:00, at most until 11:00: the project was disabled")


class Refused(Toy):
    """`errors` are raised one after the other by what is called `at`: plan, or finish."""

    def __init__(self, world: World, at: str, errors: Sequence[KarborError]) -> None:
        super().__init__(world, CHAIN)
        self.at, self.errors = at, list(errors)
        self.tries = 0
        self.tried: Callable[[], None] = lambda: None

    def _try(self, where: str) -> None:
        if where != self.at:
            return
        self.tries += 1
        self.tried()
        if self.errors:
            raise self.errors.pop(0)

    def plan(self, operation: Operation) -> Planned:
        self._try("plan")
        return super().plan(operation)

    def finish(self, operation: Operation, steps: Sequence[Step]) -> Mapping[str, Any]:
        self._try("finish")
        return super().finish(operation, steps)


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> MemoryJournal:
    monkeypatch.setattr(driver, "backoff", lambda _failures: 0.0)
    made = MemoryJournal()
    accepted(made)
    return made


@pytest.mark.parametrize("at", ["plan", "finish"])
def test_it_is_waited_for_as_long_as_it_may_pass(journal: MemoryJournal, at: str) -> None:
    world = World()
    runner = Refused(world, at, [SUSPENDED] * 4 * MOST_TRIES)
    assert Driver(journal, runner).drive("op") is OperationState.DONE
    assert runner.tries == 4 * MOST_TRIES + 1
    assert sorted(world.made) == sorted(set(world.made))     # nothing is made twice
    assert runner.told == ["finish"]


@pytest.mark.parametrize("at", ["plan", "finish"])
def test_it_ends_when_the_credential_says_that_it_is_over(journal: MemoryJournal, at: str) -> None:
    world = World()
    over = TokenRejected("the project was disabled; it did not work again within 60 minutes")
    runner = Refused(world, at, [*[SUSPENDED] * 4 * MOST_TRIES, over])
    assert Driver(journal, runner).drive("op") is OperationState.FAILED
    assert (journal.operation("op").error or {})["message"] == over.message
    assert world.things == {}


@pytest.mark.parametrize("at", ["plan", "finish"])
def test_other_trouble_is_tried_a_stated_number_of_times(journal: MemoryJournal, at: str) -> None:
    runner = Refused(World(), at, [CloudUnavailable("nobody answers")] * 100)
    assert Driver(journal, runner).drive("op") is OperationState.FAILED
    assert runner.tries == MOST_TRIES + 1


@pytest.mark.parametrize("at", ["plan", "finish"])
def test_it_can_be_cancelled_meanwhile(monkeypatch: pytest.MonkeyPatch, journal: MemoryJournal,
                                       at: str) -> None:
    """The pause itself ends at once, however long it is."""
    monkeypatch.setattr(driver, "backoff", lambda _failures: 3600.0)
    monkeypatch.setattr(driver, "TICK", 0.01)
    world = World()
    runner = Refused(world, at, [SUSPENDED])
    runner.tried = lambda: journal.want("project", "op", Wanted.CANCEL)
    ended: list[OperationState | None] = []
    driving = threading.Thread(target=lambda: ended.append(Driver(journal, runner).drive("op")),
                               daemon=True)
    driving.start()
    driving.join(30)
    assert ended == [OperationState.CANCELLED]
    assert world.things == {}
