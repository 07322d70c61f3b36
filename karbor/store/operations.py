"""Operations: the records a user sees. Every one is reached through its project."""

from __future__ import annotations

import builtins
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from karbor.domain.errors import AmbiguousName, Conflict, NotFound
from karbor.domain.operation import Operation, OperationState, Verb, Wanted
from karbor.domain.step import Step
from karbor.store.connect import reading, writing
from karbor.store.rows import operation_from_row, operation_to_row, step_from_row
from karbor.store.tables import EVENTS, OPERATIONS, STEPS


@dataclass(frozen=True)
class Event:
    """Something that happened to an operation, for people; `at` is in seconds since the epoch."""

    at: float
    text: str


class Operations:
    """What is not in the given project does not exist: NotFound, whoever asks."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, operation: Operation) -> None:
        """Raises Conflict when there is an operation with this id."""
        try:
            with writing(self._engine) as connection:
                connection.execute(sa.insert(OPERATIONS).values(operation_to_row(operation)))
        except IntegrityError as error:
            raise Conflict(f"there is an operation {operation.id} already") from error

    def list(self, project_id: str, *, limit: int | None = None, verb: Verb | None = None,
             state: OperationState | None = None) -> list[Operation]:
        """The newest first."""
        query = (sa.select(OPERATIONS).where(OPERATIONS.c.project_id == project_id)
                 .order_by(OPERATIONS.c.created_at.desc(), OPERATIONS.c.id.desc()).limit(limit))
        if verb is not None:
            query = query.where(OPERATIONS.c.verb == verb)
        if state is not None:
            query = query.where(OPERATIONS.c.state == state)
        with reading(self._engine) as connection:
            rows = connection.execute(query).mappings().all()
        return [operation_from_row(row) for row in rows]

    def show(self, project_id: str, id_or_prefix: str) -> Operation:
        """By its id, or by the beginning of it. Raises NotFound, AmbiguousName."""
        mine = OPERATIONS.c.project_id == project_id
        with reading(self._engine) as connection:
            exact = connection.execute(
                sa.select(OPERATIONS).where(mine, OPERATIONS.c.id == id_or_prefix)
                ).mappings().first()
            rows = [exact] if exact is not None else connection.execute(
                sa.select(OPERATIONS)
                .where(mine, OPERATIONS.c.id.startswith(id_or_prefix, autoescape=True))
                .limit(2)).mappings().all()
        if not rows or not id_or_prefix:
            raise NotFound(f"no operation {id_or_prefix} in this project")
        if len(rows) > 1:
            raise AmbiguousName(f"several operations begin with {id_or_prefix}",
                                remedy="give more of the id")
        return operation_from_row(rows[0])

    def steps(self, project_id: str, operation_id: str) -> builtins.list[Step]:
        """With their states and progress, in order of their numbers. Raises NotFound."""
        query = sa.select(STEPS).where(STEPS.c.operation_id == operation_id)
        with reading(self._engine) as connection:
            self._require(connection, project_id, operation_id)
            rows = connection.execute(query.order_by(STEPS.c.number)).mappings().all()
        return [step_from_row(row) for row in rows]

    def want(self, project_id: str, operation_id: str, wanted: Wanted) -> None:
        """Tell its driver, wherever it runs. Raises NotFound; Conflict when it is over."""
        with writing(self._engine) as connection:
            state = self._require(connection, project_id, operation_id)
            if state.over:
                raise Conflict(f"operation {operation_id} is over: {state}")
            connection.execute(sa.update(OPERATIONS).where(OPERATIONS.c.id == operation_id)
                               .values(wanted=wanted))

    def note(self, operation_id: str, at: float, text: str) -> None:
        """Add to the operation's events. Never a secret: users read them."""
        with writing(self._engine) as connection:
            connection.execute(sa.insert(EVENTS).values(operation_id=operation_id, at=at,
                                                        text=text))

    def events(self, project_id: str, operation_id: str) -> builtins.list[Event]:
        """What happened, in the order it was written down. Raises NotFound."""
        with reading(self._engine) as connection:
            self._require(connection, project_id, operation_id)
            rows = connection.execute(
                sa.select(EVENTS.c.at, EVENTS.c.text)
                .where(EVENTS.c.operation_id == operation_id).order_by(EVENTS.c.id)).all()
        return [Event(row.at, row.text) for row in rows]

    def _require(self, connection: sa.Connection, project_id: str,
                 operation_id: str) -> OperationState:
        state = connection.execute(
            sa.select(OPERATIONS.c.state)
            .where(OPERATIONS.c.id == operation_id, OPERATIONS.c.project_id == project_id)
            .with_for_update()).scalar_one_or_none()
        if state is None:
            raise NotFound(f"no operation {operation_id} in this project")
        return OperationState(state)
