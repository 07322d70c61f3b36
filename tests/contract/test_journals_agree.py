"""Whatever is done to them, in whatever order, the journal in memory and the one in SQL agree."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from karbor_testing.journal import MemoryJournal

from karbor.domain.errors import KarborError
from karbor.domain.operation import Operation, OperationState, Verb, Wanted
from karbor.domain.step import Hook, Progress, Step, StepState
from karbor.engine.journal import Settlement
from karbor.store.connect import connect
from karbor.store.journal import SqlJournal
from karbor.store.operations import Operations
from karbor.store.tables import METADATA

SERIAL = itertools.count()
SMALL = st.none() | st.dictionaries(st.sampled_from("abc"), st.integers(0, 3) | st.text(max_size=3),
                                    max_size=2)
NUMBERS = st.integers(0, 4)
SETTLEMENTS = st.lists(st.builds(
    Settlement, NUMBERS, st.sampled_from(StepState), st.floats(0, 1e10), st.integers(0, 3),
    handle=SMALL, saved=SMALL, error=SMALL, wait=SMALL, remade=SMALL,
    finished_at=st.none() | st.floats(1, 1e10),
    progress=st.none() | st.builds(Progress, st.integers(0, 9), st.integers(0, 9))),
    min_size=1, max_size=3)
STEPS = st.lists(st.builds(Step, NUMBERS, st.just("T#1"), st.sampled_from(Hook), st.just("s"),
                           st.lists(NUMBERS).map(tuple)), max_size=4, unique_by=lambda s: s.number)


class Journals(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.engine = connect(f"sqlite:///{Path(self.directory.name) / 'karbor.sqlite'}")
        METADATA.create_all(self.engine)
        # Thousands of commits; the pool gives this one connection to every later user.
        raw = self.engine.raw_connection()
        raw.cursor().execute("PRAGMA synchronous = OFF")
        raw.close()
        self.memory, self.sql = MemoryJournal(), SqlJournal(self.engine)
        self.records = Operations(self.engine)
        self.fences = [0]
        self.id = ""

    def teardown(self) -> None:
        self.engine.dispose()
        self.directory.cleanup()

    def both(self, call: Callable[[Any, Any], Any]) -> Any:
        """The same on both; the same comes back, if only the same kind of error."""
        told = []
        for journal, records in ((self.memory, self.memory), (self.sql, self.records)):
            try:
                told.append(call(journal, records))
            except KarborError as error:
                told.append(type(error))
        assert told[0] == told[1]
        return told[0]

    @initialize(state=st.sampled_from([None] * 7 + list(OperationState)))
    def add(self, state: OperationState | None) -> None:
        """In any state; or (None) as most of its life is: running, with all its steps."""
        self.id = f"op-{next(SERIAL)}"
        operation = Operation(self.id, Verb.PROTECT, "p", {}, {}, {},
                              state=state or OperationState.PLANNING)
        self.both(lambda _, records: records.add(replace(operation)))
        if state is None:
            self.claim()
            steps = [Step(number, "T#1", Hook.MAIN, "s") for number in range(5)]
            self.both(lambda journal, _: journal.planned(self.id, 1, {"a": 1}, steps, "cp"))

    @precondition(lambda self: len(self.fences) < 4)
    @rule()
    def claim(self) -> None:
        self.fences.append(self.both(lambda journal, _: journal.claim(self.id)))

    @rule(data=st.data(), state=st.sampled_from(OperationState), now=st.floats(1, 1e10),
          error=SMALL, result=SMALL)
    def move(self, data: st.DataObject, state: OperationState, now: float, error: Any,
             result: Any) -> None:
        fence = self.fence(data)
        self.both(lambda journal, _: journal.move(self.id, fence, state, now=now, error=error,
                                                  result=result))

    @rule(data=st.data(), steps=STEPS)
    def planned(self, data: st.DataObject, steps: list[Step]) -> None:
        fence = self.fence(data)
        self.both(lambda journal, _: journal.planned(self.id, fence, {"a": 1}, steps, "cp"))

    @rule(data=st.data(), numbers=st.lists(NUMBERS, unique=True, min_size=1, max_size=4),
          now=st.floats(1, 1e10))
    def enter(self, data: st.DataObject, numbers: list[int], now: float) -> None:
        fence = self.fence(data)
        self.both(lambda journal, _: journal.enter(self.id, fence, numbers, now))

    @rule(data=st.data(), settlements=SETTLEMENTS)
    def settle(self, data: st.DataObject, settlements: list[Settlement]) -> None:
        fence = self.fence(data)
        self.both(lambda journal, _: journal.settle(self.id, fence, settlements))

    @rule(wanted=st.sampled_from(Wanted), project=st.sampled_from("pq"))
    def want(self, wanted: Wanted, project: str) -> None:
        self.both(lambda _, records: records.want(project, self.id, wanted))

    @invariant()
    def agree(self) -> None:
        if self.id:
            assert self.memory.operation(self.id) == self.sql.operation(self.id)
            assert self.memory.steps(self.id) == self.sql.steps(self.id)
            assert self.memory.wanted(self.id) == self.sql.wanted(self.id)

    def fence(self, data: st.DataObject) -> int:
        """Mostly the right one."""
        if data.draw(st.integers(0, 7), label="wrong when 7") < 7:
            return self.fences[-1]
        return data.draw(st.sampled_from(self.fences), label="fence")


TestJournalsAgree = Journals.TestCase
TestJournalsAgree.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
