"""Operations: the records a user sees. Every one is reached through its project."""

from __future__ import annotations

import builtins
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from karbor.domain.errors import AmbiguousName, Conflict, NotFound
from karbor.domain.operation import Operation, OperationEvent, OperationState, Verb, Wanted
from karbor.domain.operation_conflicts import check_conflicts
from karbor.domain.step import Step, StepState
from karbor.store.connect import reading, writing
from karbor.store.operation_rows import operation_from_row, operation_to_row, step_from_row
from karbor.store.schedule_trust_use import require_lent
from karbor.store.tables import EVENTS, OPERATIONS, STEPS

_LIVE = [state for state in OperationState if not state.over]
_OVER = [state for state in OperationState if state.over]
_WANTED = "wanted"      # a trust that may be being made right now; see the column


class Handed(StrEnum):
    """Whether it was handed over to the workers."""

    NO = ""                 # the command that accepted it drives it
    OFFERED = "offered"     # any of them drives it to its end
    QUEUED = "queued"       # the same, as earlier workers wrote it


@dataclass(frozen=True)
class Entrusted:
    """An operation that workers have to bring to its end. `ready`: its trust has been made, or
    whoever accepted it has died over that."""

    id: str
    project_id: str
    provider_id: str        # empty: the built-in one
    ready: bool


class Operations:
    """What is not in the given project does not exist: NotFound, whoever asks."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, operation: Operation, *, trust: str = "", offered: bool = False) -> None:
        """Write down an operation that was accepted. `trust`: see the column. `offered`: the
        workers are to drive it; they begin when its trust has been made.

        Raises Conflict when there is an operation with this id, and when another one works on the
        checkpoint and would be disturbed: of two that come at once one is refused. Raises
        RightsPending when it was to run on rights that its schedule has just parted with.
        """
        row = {**operation_to_row(operation), "trust": trust,
               "handed": Handed.OFFERED if offered else Handed.NO}
        try:
            with writing(self._engine) as connection:
                if not operation.state.over:
                    require_lent(connection, operation)
                    # In one order, so that two which want the same two do not wait for each other.
                    for read in sorted(operation.reads | operation.changes):
                        self._alone_with_checkpoint(connection, operation.project_id, read)
                        check_conflicts(_live(connection, operation.project_id, read),
                                        reads=operation.reads, changes=operation.changes)
                connection.execute(sa.insert(OPERATIONS).values(row))
        except IntegrityError as error:
            raise Conflict(f"there is an operation {operation.id} already") from error

    def list(self, project_id: str, *, limit: int | None = None, verb: Verb | None = None,
             state: OperationState | None = None) -> list[Operation]:
        """Return the project's operations, the newest first."""
        query = (sa.select(OPERATIONS).where(OPERATIONS.c.project_id == project_id)
                 .order_by(OPERATIONS.c.created_at.desc(), OPERATIONS.c.id.desc()).limit(limit))
        if verb is not None:
            query = query.where(OPERATIONS.c.verb == verb)
        if state is not None:
            query = query.where(OPERATIONS.c.state == state)
        with reading(self._engine) as connection:
            rows = connection.execute(query).mappings().all()
        return [operation_from_row(row) for row in rows]

    def live(self, project_id: str, checkpoint_id: str | None = None
             ) -> builtins.list[Operation]:
        """Return the operations that are not over: all of the project, or those that work on one
        checkpoint."""
        with reading(self._engine) as connection:
            return _live(connection, project_id, checkpoint_id)

    def handed_over(self, project_id: str) -> frozenset[str]:
        """Return the ids of those that are for workers and that none has begun yet."""
        query = sa.select(OPERATIONS.c.id).where(
            OPERATIONS.c.project_id == project_id, OPERATIONS.c.handed != Handed.NO,
            OPERATIONS.c.state == OperationState.QUEUED)
        with reading(self._engine) as connection:
            return frozenset(connection.execute(query).scalars())

    def show(self, project_id: str, id_or_prefix: str) -> Operation:
        """Return the operation by its id, or by the beginning of it. Raises NotFound,
        AmbiguousName."""
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
        """Return the steps with their states and progress, in order of their numbers. Raises
        NotFound."""
        query = sa.select(STEPS).where(STEPS.c.operation_id == operation_id)
        with reading(self._engine) as connection:
            self._require(connection, project_id, operation_id)
            rows = connection.execute(query.order_by(STEPS.c.number)).mappings().all()
        return [step_from_row(row) for row in rows]

    def steps_of(self, operation_ids: Collection[str]) -> Mapping[str, builtins.list[Step]]:
        """Return the steps of many operations at once, as `steps` does, with one question to the
        database however many they are. For whoever has got the operations through their projects;
        one without steps has none."""
        found: dict[str, builtins.list[Step]] = {operation_id: [] for operation_id in operation_ids}
        if not found:
            return found
        query = (sa.select(STEPS).where(STEPS.c.operation_id.in_(found))
                 .order_by(STEPS.c.operation_id, STEPS.c.number))
        with reading(self._engine) as connection:
            for row in connection.execute(query).mappings():
                found[row["operation_id"]].append(step_from_row(row))
        return found

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
        """Note that an operation which was written down could not be begun; it stands as failed,
        with the reason."""
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

    def take_up_left(self, project_id: str, operation_id: str, credential: Mapping[str, Any],
                     trust: str, told: OperationEvent, *, offered: bool) -> None:
        """Set an operation that is over, and could not remove all that it had made, back to undoing
        on another credential; `trust` as in `add`. Only the steps that were left are undone.
        `offered`: by the workers, who undo whatever they had before as well. Raises NotFound, and
        Conflict where nothing is left, it is not over, or another operation works on the
        checkpoint."""
        with writing(self._engine) as connection:
            before = self._require(connection, project_id, operation_id)
            row = connection.execute(sa.select(OPERATIONS).where(
                OPERATIONS.c.id == operation_id)).mappings().one()
            operation = operation_from_row(row)
            left = connection.execute(sa.select(STEPS.c.number, STEPS.c.handle).where(
                STEPS.c.operation_id == operation_id, STEPS.c.state == StepState.LEFT)).all()
            if not left or not before.may_become(OperationState.UNDOING):
                raise Conflict(f"operation {operation_id} is {'over: ' if before.over else ''}"
                               f"{before}" + ("" if left else ", and nothing is left of it"))
            for change in sorted(operation.changes):
                self._alone_with_checkpoint(connection, project_id, change)
                check_conflicts(_live(connection, project_id, change), reads=frozenset(),
                                changes=operation.changes)
            for step in left:
                # The deletion that was asked for has failed: it is asked for again.
                handle = {key: value for key, value in step.handle.items() if key != "deleting"}
                connection.execute(
                    sa.update(STEPS).where(STEPS.c.operation_id == operation_id,
                                           STEPS.c.number == step.number)
                    .values(state=StepState.UNDOING, handle=handle, wake_at=0.0, failures=0,
                            finished_at=None))
            handed = Handed.OFFERED if offered or row["handed"] != Handed.NO else Handed.NO
            connection.execute(
                sa.update(OPERATIONS).where(OPERATIONS.c.id == operation_id)
                .values(state=OperationState.UNDOING, credential=dict(credential), trust=trust,
                        finished_at=None, fence=OPERATIONS.c.fence + 1, handed=handed))
            connection.execute(sa.insert(EVENTS).values(
                operation_id=operation_id, at=told.at,
                text=f"{before} → {OperationState.UNDOING}: {told.text}"))

    def leave_again(self, operation: Operation, told: OperationEvent) -> None:
        """Undo `take_up_left`, of which no trust came: what was left stays left. `operation` is as
        it was before it. What may have been made in Keystone is removed with the trusts of other
        operations that are over."""
        with writing(self._engine) as connection:
            changed = connection.execute(
                sa.update(OPERATIONS)
                .where(OPERATIONS.c.id == operation.id,
                       OPERATIONS.c.state == OperationState.UNDOING)
                .values(state=operation.state, finished_at=operation.finished_at,
                        fence=OPERATIONS.c.fence + 1))
            if changed.rowcount:
                connection.execute(
                    sa.update(STEPS)
                    .where(STEPS.c.operation_id == operation.id, STEPS.c.state == StepState.UNDOING)
                    .values(state=StepState.LEFT, finished_at=told.at))
                connection.execute(sa.insert(EVENTS).values(
                    operation_id=operation.id, at=told.at,
                    text=f"{OperationState.UNDOING} → {operation.state}: {told.text}"))

    def represent(self, operation_id: str, credential: Mapping[str, Any], trust: str,
                  told: OperationEvent | None = None) -> None:
        """Write how the caller of an operation is represented from now on, and which trust stands
        in Keystone for it; with `told`, what its events say of that, in the same transaction."""
        with writing(self._engine) as connection:
            connection.execute(sa.update(OPERATIONS).where(OPERATIONS.c.id == operation_id).values(
                credential=dict(credential), trust=trust))
            if told is not None:
                connection.execute(sa.insert(EVENTS).values(operation_id=operation_id, at=told.at,
                                                            text=told.text))

    def trust_ended(self, operation_id: str) -> None:
        """Note that no trust stands in Keystone for the operation any more."""
        with writing(self._engine) as connection:
            connection.execute(sa.update(OPERATIONS).where(OPERATIONS.c.id == operation_id).values(
                trust=""))

    def with_standing_trusts(self, project_id: str) -> builtins.list[Operation]:
        """Return the operations that are over and whose trust still stands in Keystone, as far as
        is known."""
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(OPERATIONS).where(
                OPERATIONS.c.project_id == project_id, OPERATIONS.c.trust != "",
                OPERATIONS.c.state.in_(_OVER))).mappings().all()
        return [operation_from_row(row) for row in rows]

    def note(self, operation_id: str, at: float, text: str) -> None:
        """Add to the operation's events. Never a secret: users read them."""
        with writing(self._engine) as connection:
            connection.execute(sa.insert(EVENTS).values(operation_id=operation_id, at=at,
                                                        text=text))

    def events(self, project_id: str, operation_id: str, *, after: int = 0,
               limit: int | None = None) -> builtins.list[OperationEvent]:
        """Return what happened to the operation, in the order it was written down: those behind
        the first `after`, at most `limit`. Raises NotFound."""
        with reading(self._engine) as connection:
            self._require(connection, project_id, operation_id)
            rows = connection.execute(
                sa.select(EVENTS.c.at, EVENTS.c.text)
                .where(EVENTS.c.operation_id == operation_id).order_by(EVENTS.c.id)
                .offset(after).limit(limit)).all()
        return [OperationEvent(row.at, row.text) for row in rows]

    # ------------------------------------------------------------------ for workers: all projects
    def entrusted(self, since: float) -> builtins.list[Entrusted]:
        """Return all operations of the workers that are not over, the oldest first. One whose trust
        is being made is ready when it was accepted, or taken up again, before `since`."""
        table = OPERATIONS.c
        newest = (sa.select(sa.func.max(EVENTS.c.at)).where(EVENTS.c.operation_id == table.id)
                  .scalar_subquery())
        since_when = sa.case((table.trust == _WANTED, sa.func.coalesce(newest, table.created_at)),
                             else_=0.0).label("since_when")
        query = (sa.select(table.id, table.project_id, table.trust, since_when,
                           table.request["provider_id"].as_string().label("provider_id"))
                 .where(table.state.in_(_LIVE), table.handed != Handed.NO)
                 .order_by(table.created_at, table.id))
        with reading(self._engine) as connection:
            return [Entrusted(row.id, row.project_id, row.provider_id or "",
                              row.trust != _WANTED or row.since_when < since)
                    for row in connection.execute(query)]

    def all_live(self) -> builtins.list[str]:
        """Return the ids of those that are not over, of all projects, whoever is to drive them."""
        query = sa.select(OPERATIONS.c.id).where(OPERATIONS.c.state.in_(_LIVE)).order_by(
            OPERATIONS.c.created_at, OPERATIONS.c.id)
        with reading(self._engine) as connection:
            return builtins.list(connection.execute(query).scalars())

    def projects_with_standing_trusts(self) -> builtins.list[str]:
        """Return the projects of which an operation is over while its trust still stands, as far as
        is known."""
        query = sa.select(OPERATIONS.c.project_id).distinct().where(
            OPERATIONS.c.trust != "", OPERATIONS.c.state.in_(_OVER))
        with reading(self._engine) as connection:
            return builtins.list(connection.execute(query).scalars())

    # ------------------------------------------------------------------ what they share
    @staticmethod
    def _alone_with_checkpoint(connection: sa.Connection, project_id: str, checkpoint_id: str
                               ) -> None:
        """Keep everybody else from adding an operation to this checkpoint until the end of the
        transaction. (In SQLite nobody else writes at all.)"""
        if connection.dialect.name == "postgresql":
            name = f"checkpoint {project_id} {checkpoint_id}"
            digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(
                int.from_bytes(digest, "big", signed=True))))

    def _require(self, connection: sa.Connection, project_id: str,
                 operation_id: str) -> OperationState:
        state = connection.execute(
            sa.select(OPERATIONS.c.state)
            .where(OPERATIONS.c.id == operation_id, OPERATIONS.c.project_id == project_id)
            .with_for_update()).scalar_one_or_none()
        if state is None:
            raise NotFound(f"no operation {operation_id} in this project")
        return OperationState(state)


def _live(connection: sa.Connection, project_id: str, checkpoint_id: str | None
          ) -> list[Operation]:
    query = sa.select(OPERATIONS).where(OPERATIONS.c.project_id == project_id,
                                        OPERATIONS.c.state.in_(_LIVE))
    if checkpoint_id is not None:
        # A copy works on two: only its request knows of the other one.
        query = query.where(sa.or_(OPERATIONS.c.checkpoint_id == checkpoint_id,
                                   OPERATIONS.c.verb == Verb.COPY))
    rows = connection.execute(query.order_by(OPERATIONS.c.created_at)).mappings()
    return [operation for operation in map(operation_from_row, rows)
            if checkpoint_id is None or checkpoint_id in operation.reads | operation.changes]
