"""A small world with schedules in a real database: triggers, what they trigger, and operations
that are accepted and end when a test says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from karbor.domain.errors import Conflict
from karbor.domain.occurrence import Occurrence
from karbor.domain.operation import Operation, OperationState, Verb
from karbor.domain.plan import Plan
from karbor.domain.scheduled_operation import OperationType, ScheduledOperation
from karbor.domain.trigger import PatternFormat, Trigger, TriggerProperties
from karbor.schedule.properties import Limits
from karbor.schedule.scheduler import Scheduler, SchedulerIntervals
from karbor.schedule.times import next_after
from karbor.store.connect import connect, writing
from karbor.store.occurrences import Occurrences, Outcomes
from karbor.store.operations import Operations
from karbor.store.plans import Plans
from karbor.store.quotas import Quotas
from karbor.store.schedule_tables import OCCURRENCES
from karbor.store.scheduled_operations import ScheduledOperations
from karbor.store.tables import METADATA, OPERATIONS
from karbor.store.triggers import Triggers

WINDOW = 900


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


T0 = at("2026-11-26 00:00")
NIGHTLY = TriggerProperties(PatternFormat.CRONTAB, "0 2 * * *", T0)
HOURLY = TriggerProperties(PatternFormat.CRONTAB, "0 * * * *", T0)


@dataclass
class Firing:
    """Accept operations as admission would. `broken`: what it raises, for some scheduled ones;
    `dies`: its process ends when it is asked, or when the operation has been accepted."""

    records: Operations
    asked: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    broken: dict[str, Exception] = field(default_factory=dict)
    dies: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, scheduled_operation: ScheduledOperation, occurrence: Occurrence) -> str:
        with self.lock:
            self.asked.append(scheduled_operation.id)
        if self.dies == "before":
            raise Died
        if error := self.broken.get(scheduled_operation.id):
            raise error
        operation = Operation(
            occurrence.reserved_operation_id, Verb.PROTECT, scheduled_operation.project_id,
            caller={"user_id": "u"}, credential={}, request={}, created_at=occurrence.due_at)
        try:
            self.records.add(operation)
            with self.lock:
                self.accepted.append(operation.id)
        except Conflict:
            pass
        if self.dies == "after":
            raise Died
        return operation.id


class Died(BaseException):
    """The process of the clock was killed here."""


@dataclass
class Aftermath:
    done: list[str] = field(default_factory=list)
    broken: Exception | None = None

    def carry_out(self, scheduled_operation: ScheduledOperation, trigger: Trigger, now: float
                  ) -> str:
        if self.broken:
            raise self.broken
        self.done.append(scheduled_operation.id)
        return "removed 1, kept 2"


class World:
    def __init__(self, url: str) -> None:
        self.engines = [connect(url)]
        self.url = url
        METADATA.create_all(self.engines[0])
        self.plans = Plans(self.engines[0],
                           Quotas(self.engines[0], {"plans": -1, "checkpoints": -1}))
        self.plans.add(Plan("plan", "p", "the plan", "provider"))
        self.triggers = Triggers(self.engines[0])
        self.scheduled = ScheduledOperations(self.engines[0])
        self.occurrences = Occurrences(self.engines[0])
        self.operation_starter = Firing(Operations(self.engines[0]))
        self.post_run = Aftermath()
        self.clock = self.another_clock()

    def another_clock(
        self, *, operation_starter: Firing | None = None, **intervals: Any
    ) -> Scheduler:
        """As in another process: with connections of its own."""
        engine = connect(self.url)
        self.engines.append(engine)
        return Scheduler(
            Occurrences(engine),
            operation_starter=operation_starter or self.operation_starter,
            outcomes=Outcomes(engine),
            post_run=self.post_run,
            limits=Limits(min_interval=1),
            intervals=replace(SchedulerIntervals(), **intervals),
        )

    def trigger(self, id: str = "t", properties: TriggerProperties = NIGHTLY, **more: Any
                ) -> Trigger:
        one = replace(Trigger(id, "p", "nightly", properties, created_at=T0), **more)
        self.triggers.add(one)
        return one

    def add(self, id: str = "s", trigger_id: str = "t", now: float = T0, **more: Any
            ) -> ScheduledOperation:
        trigger = self.triggers.show(more.get("project_id", "p"), trigger_id)
        one = replace(ScheduledOperation(
            id, "p", f"the {id}", OperationType.PROTECT, trigger_id,
            {"plan_id": "plan", "provider_id": "provider"}, caller={"user_id": "u"},
            credential={"sealed": "gAAAA"}, created_at=now,
            next_due_at=next_after(trigger.properties, now)), **more)
        self.scheduled.add(one)
        return one

    def told(self, id: str = "s", project_id: str = "p") -> list[tuple[str, str]]:
        """Due time and state of each, oldest first."""
        return [(datetime.fromtimestamp(one.due_at, UTC).strftime("%d %H:%M"), str(one.state))
                for one in reversed(self.occurrences.list(project_id, id))]

    def newest(self, id: str = "s") -> Occurrence:
        return self.occurrences.list("p", id)[0]

    def ends(self, operation_id: str, state: OperationState = OperationState.DONE,
             error: dict[str, Any] | None = None) -> None:
        with writing(self.engines[0]) as connection:
            connection.execute(sa.update(OPERATIONS).where(OPERATIONS.c.id == operation_id)
                               .values(state=state, error=error))

    def ends_all(self) -> None:
        with writing(self.engines[0]) as connection:
            connection.execute(sa.update(OPERATIONS).values(state=OperationState.DONE))

    def rows(self) -> int:
        with writing(self.engines[0]) as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(OCCURRENCES))
                       .scalar_one())


@contextmanager
def world_at(url: str) -> Iterator[World]:
    world = World(url)
    try:
        yield world
    finally:
        for engine in world.engines:
            engine.dispose()
