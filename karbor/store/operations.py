"""Operations: the records a user sees. Every one is reached through its project."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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

    def add(self, operation: Operation, *, trust: str = "") -> None:
        """`trust`: see the column. Raises Conflict when there is an operation with this id."""
        row = {**operation_to_row(operation), "trust": trust}
        try:
            with writing(self._engine) as connection:
                connection.execute(sa.insert(OPERATIONS).values(row))
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

    def withdraw(self, operation_id: str) -> None:
        """Forget one that was written down and could not be accepted after all. Only while it is
        queued: afterwards it has a history."""
        with writing(self._engine) as connection:
            connection.execute(sa.delete(OPERATIONS).where(
                OPERATIONS.c.id == operation_id, OPERATIONS.c.state == OperationState.QUEUED))

    def refuse(self, operation_id: str, error: Mapping[str, Any], now: float) -> None:
        """It was written down and could not be begun; it stands as failed, with the reason."""
        with writing(self._engine) as connection:
            changed = connection.execute(
                sa.update(OPERATIONS)
                .where(OPERATIONS.c.id == operation_id,
                       OPERATIONS.c.state == OperationState.QUEUED)
                .values(state=OperationState.FAILED, error=dict(error), finished_at=now))
            if changed.rowcount:
                connection.execute(sa.insert(EVENTS).values(
                    operation_id=operation_id, at=now,
                    text=f"{OperationState.QUEUED} → {OperationState.FAILED}"))

    def represent(self, operation_id: str, credential: Mapping[str, Any], trust: str) -> None:
        """How its caller is represented from now on, and which trust stands in Keystone for it."""
        with writing(self._engine) as connection:
            connection.execute(sa.update(OPERATIONS).where(OPERATIONS.c.id == operation_id).values(
                credential=dict(credential), trust=trust))

    def trust_ended(self, operation_id: str) -> None:
        """Nothing stands in Keystone for it any more."""
        with writing(self._engine) as connection:
            connection.execute(sa.update(OPERATIONS).where(OPERATIONS.c.id == operation_id).values(
                trust=""))

    def with_standing_trusts(self, project_id: str) -> builtins.list[Operation]:
        """Those that are over and whose trust still stands in Keystone, as far as is known."""
        over = [state for state in OperationState if state.over]
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(OPERATIONS).where(
                OPERATIONS.c.project_id == project_id, OPERATIONS.c.trust != "",
                OPERATIONS.c.state.in_(over))).mappings().all()
        return [operation_from_row(row) for row in rows]

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
