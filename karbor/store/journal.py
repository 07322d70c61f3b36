"""SqlJournal: the contract of `karbor.engine.journal` on a database.

Each write is one transaction which first locks the operation's row and compares the fence, so
that a driver which was taken over changes nothing, however late its write arrives.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from karbor.domain.errors import Conflict, Fenced, NotFound
from karbor.domain.operation import Operation, OperationState, Wanted
from karbor.domain.step import Step
from karbor.engine.concurrency_limits import ConcurrencyLimits
from karbor.engine.journal import NO_LIMITS, Settlement
from karbor.store import step_admission
from karbor.store.connect import reading, writing
from karbor.store.operation_rows import operation_from_row, step_from_row, step_to_row
from karbor.store.tables import EVENTS, OPERATIONS, STEPS


class SqlJournal:
    """Any number of processes and threads may use journals on one database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def operation(self, operation_id: str) -> Operation:
        with reading(self._engine) as connection:
            row = connection.execute(
                sa.select(OPERATIONS).where(OPERATIONS.c.id == operation_id)).mappings().first()
        if row is None:
            raise _unknown(operation_id)
        return operation_from_row(row)

    def steps(self, operation_id: str) -> list[Step]:
        with reading(self._engine) as connection:
            rows = connection.execute(
                sa.select(STEPS).where(STEPS.c.operation_id == operation_id)
                .order_by(STEPS.c.number)).mappings().all()
        return [step_from_row(row) for row in rows]

    def claim(self, operation_id: str) -> int:
        with writing(self._engine) as connection:
            fence = connection.execute(
                sa.update(OPERATIONS).where(OPERATIONS.c.id == operation_id)
                .values(fence=OPERATIONS.c.fence + 1)
                .returning(OPERATIONS.c.fence)).scalar_one_or_none()
        if fence is None:
            raise _unknown(operation_id)
        return int(fence)

    def wanted(self, operation_id: str) -> Wanted:
        with reading(self._engine) as connection:
            wanted = connection.execute(
                sa.select(OPERATIONS.c.wanted).where(OPERATIONS.c.id == operation_id)
                ).scalar_one_or_none()
        if wanted is None:
            raise _unknown(operation_id)
        return Wanted(wanted)

    def planned(self, operation_id: str, fence: int, plan: Mapping[str, Any],
                steps: Sequence[Step], checkpoint_id: str) -> None:
        with self._held(operation_id, fence) as (connection, state):
            if state is not OperationState.PLANNING:
                raise Conflict(f"operation {operation_id} is {state}: it is planned only once")
            connection.execute(
                sa.update(OPERATIONS).where(OPERATIONS.c.id == operation_id)
                .values(plan=dict(plan), checkpoint_id=checkpoint_id,
                        state=OperationState.RUNNING))
            if steps:
                connection.execute(sa.insert(STEPS),
                                   [step_to_row(operation_id, step) for step in steps])

    def enter(self, operation_id: str, fence: int, numbers: Iterable[int], now: float,
              places: ConcurrencyLimits = NO_LIMITS) -> set[int]:
        wanted = list(numbers)
        with self._held(operation_id, fence) as (connection, _):
            if places.limits:
                wanted = step_admission.admitted(connection, operation_id, wanted, places)
            for start in range(0, len(wanted), step_admission.CHUNK):
                step_admission.enter(
                    connection, operation_id, wanted[start : start + step_admission.CHUNK], now
                )
        return set(wanted)

    def settle(self, operation_id: str, fence: int, settlements: Sequence[Settlement]) -> None:
        with self._held(operation_id, fence) as (connection, _):
            if not settlements:
                return
            changed = connection.execute(
                _SETTLE,
                [
                    {
                        "b_operation": operation_id,
                        "b_number": settlement.number,
                        "b_state": settlement.state,
                        "b_wake_at": settlement.wake_at,
                        "b_failures": settlement.failures,
                        "b_handle": None if settlement.handle is None else dict(settlement.handle),
                        "b_saved": None if settlement.saved is None else dict(settlement.saved),
                        "b_progress": settlement.progress.to_dict()
                        if settlement.progress
                        else None,
                        "b_error": dict(settlement.error) if settlement.error else None,
                        "b_finished_at": settlement.finished_at,
                        "b_wait": None if settlement.wait is None else dict(settlement.wait),
                        "b_remade": None if settlement.remade is None else dict(settlement.remade),
                    }
                    for settlement in settlements
                ],
            )
            if changed.rowcount != len(settlements):
                raise NotFound(f"operation {operation_id} has not all of the steps "
                               + ", ".join(str(settlement.number) for settlement in settlements))
            events = [{"operation_id": operation_id, "at": at, "text": text}
                      for settlement in settlements for at, text in settlement.events]
            if events:
                connection.execute(sa.insert(EVENTS), events)

    def move(self, operation_id: str, fence: int, state: OperationState, *, now: float,
             error: Mapping[str, Any] | None = None,
             result: Mapping[str, Any] | None = None) -> None:
        with self._held(operation_id, fence) as (connection, before):
            if not before.may_become(state):
                raise Conflict(f"operation {operation_id} is {before}: it cannot become {state}")
            values: dict[str, Any] = {"state": state}
            if error is not None:
                values["error"] = dict(error)
            if result is not None:
                values["result"] = dict(result)
            if state.over:
                values["finished_at"] = now
            connection.execute(
                sa.update(OPERATIONS).where(OPERATIONS.c.id == operation_id).values(values))
            if state is not before:
                connection.execute(sa.insert(EVENTS).values(
                    operation_id=operation_id, at=now, text=f"{before} → {state}"))

    @contextmanager
    def _held(self, operation_id: str, fence: int
              ) -> Iterator[tuple[sa.Connection, OperationState]]:
        """Open a writing transaction in which nobody else can write to the operation."""
        with writing(self._engine) as connection:
            row = connection.execute(
                sa.select(OPERATIONS.c.fence, OPERATIONS.c.state)
                .where(OPERATIONS.c.id == operation_id).with_for_update()).first()
            if row is None:
                raise _unknown(operation_id)
            if fence < 1 or row.fence != fence:     # 0: nobody has claimed it yet
                raise Fenced(f"another process drives operation {operation_id} now")
            yield connection, OperationState(row.state)


def _kept_or(column: sa.Column[Any], name: str) -> sa.ColumnElement[Any]:
    """Return the new value, or, where it is None, what the column has."""
    return sa.func.coalesce(sa.bindparam(name, type_=column.type), column, type_=column.type)


_SETTLE = sa.update(STEPS).where(
    STEPS.c.operation_id == sa.bindparam("b_operation"),
    STEPS.c.number == sa.bindparam("b_number"),
).values(
    state=sa.bindparam("b_state"), wake_at=sa.bindparam("b_wake_at"),
    failures=sa.bindparam("b_failures"),
    handle=_kept_or(STEPS.c.handle, "b_handle"), saved=_kept_or(STEPS.c.saved, "b_saved"),
    progress=_kept_or(STEPS.c.progress, "b_progress"),
    error=_kept_or(STEPS.c.error, "b_error"),
    finished_at=_kept_or(STEPS.c.finished_at, "b_finished_at"),
    wait=_kept_or(STEPS.c.wait, "b_wait"), remade=_kept_or(STEPS.c.remade, "b_remade"),
)


def _unknown(operation_id: str) -> NotFound:
    return NotFound(f"no operation {operation_id}")
