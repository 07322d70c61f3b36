"""Entry of steps: within one transaction, which places are free, and the steps that take them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from karbor.domain.errors import Conflict, NotFound
from karbor.domain.operation import OperationState
from karbor.domain.step import Step, StepState
from karbor.engine.concurrency_limits import UNDER_WAY, ConcurrencyLimits, OccupiedSlot, wanting
from karbor.engine.concurrency_limits import admitted as admit
from karbor.store.operation_rows import step_from_row
from karbor.store.tables import OPERATIONS, STEPS

CHUNK = 500    # numbers in one IN (…): far below every database's limit of parameters
_MAY_BE_ENTERED = {StepState.WAITING, StepState.ENTERED, StepState.RUNNING, StepState.UNDOING}
_PROVIDER = OPERATIONS.c.request["provider_id"].as_string()


def admitted(
    connection: sa.Connection, operation_id: str, numbers: Sequence[int], places: ConcurrencyLimits
) -> list[int]:
    """Return those of the steps that need no place or get one, in their order."""
    steps = list(_steps(connection, operation_id, numbers))
    kinds = wanting(steps, places)
    if not kinds:
        return list(numbers)
    row = connection.execute(sa.select(OPERATIONS.c.project_id, _PROVIDER.label("provider"))
                             .where(OPERATIONS.c.id == operation_id)).one()
    if connection.dialect.name == "postgresql":
        # Others that count at the same time would not see what we are about to write. (SQLite has
        # one writer anyway.)
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_key(row.provider or ""))))
    taken = [OccupiedSlot(*one) for one in connection.execute(
        sa.select(STEPS.c.limit, OPERATIONS.c.id, OPERATIONS.c.project_id, sa.func.count())
        .join(OPERATIONS, OPERATIONS.c.id == STEPS.c.operation_id)
        .where(OPERATIONS.c.state.in_([OperationState.RUNNING, OperationState.UNDOING]),
               sa.func.coalesce(_PROVIDER, "") == (row.provider or ""),
               STEPS.c.limit.in_(kinds), STEPS.c.state.in_(UNDER_WAY))
        .group_by(STEPS.c.limit, OPERATIONS.c.id, OPERATIONS.c.project_id))]
    found = admit(steps, taken, row.project_id, places)
    return [number for number in numbers if number in found]


def enter(connection: sa.Connection, operation_id: str, numbers: Sequence[int],
          now: float) -> None:
    """See `Journal.enter`; CHUNK numbers at most."""
    mine = sa.and_(STEPS.c.operation_id == operation_id, STEPS.c.number.in_(numbers))
    found = {row.number: StepState(row.state) for row in connection.execute(
        sa.select(STEPS.c.number, STEPS.c.state).where(mine))}
    for number in numbers:
        if number not in found:
            raise NotFound(f"operation {operation_id} has no step {number}")
        if found[number] not in _MAY_BE_ENTERED:
            raise Conflict(f"step {number} of operation {operation_id} is {found[number]}: "
                           "it cannot be entered any more")
    connection.execute(
        sa.update(STEPS).where(mine).values(
            state=sa.case((STEPS.c.state == StepState.UNDOING, StepState.UNDOING),
                          else_=StepState.ENTERED),
            # what it waited for has come
            progress=sa.case((STEPS.c.state == StepState.WAITING, sa.null()),
                             else_=STEPS.c.progress),
            entries=STEPS.c.entries + 1,
            entered_at=sa.func.coalesce(STEPS.c.entered_at, now)))


def _steps(connection: sa.Connection, operation_id: str, numbers: Sequence[int]
           ) -> Iterator[Step]:
    for start in range(0, len(numbers), CHUNK):
        rows = connection.execute(
            sa.select(STEPS).where(STEPS.c.operation_id == operation_id,
                                   STEPS.c.number.in_(numbers[start:start + CHUNK]))
            .order_by(STEPS.c.number)).mappings()
        yield from (step_from_row(row) for row in rows)


def _key(provider_id: str) -> int:
    """Return the number of one of PostgreSQL's advisory locks, 64 bits."""
    digest = hashlib.blake2b(f"karbor places {provider_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
