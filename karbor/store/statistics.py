"""Figures: what the database knows of the whole cloud, in a few statements whatever it holds.

For operators only: unlike everything else in this room they are of all projects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from karbor.domain.checkpoint_record import UNHIDDEN, RecordStatus, after
from karbor.domain.operation import OperationState, Verb
from karbor.store.checkpoint_tables import CHECKPOINTS
from karbor.store.connect import reading
from karbor.store.plan_tables import PLANS
from karbor.store.record_changes import RecordChanges
from karbor.store.tables import OPERATIONS

_LIVE = tuple(record_status for record_status in RecordStatus if record_status.live)
_OVER = tuple(operation_state for operation_state in OperationState if operation_state.over)


@dataclass(frozen=True)
class OperationCount:
    """How many operations of one verb are in one state, and when the oldest was accepted."""

    verb: Verb
    state: OperationState
    count: int
    oldest: float


@dataclass(frozen=True)
class PlanFigure:
    """`good` is how many good checkpoints it has: available ones in which no verify has found
    damage. `last_good` is when the newest of them was asked for (what it holds is not newer), None
    without any; `verified` when one of them was last verified, None when none was. Times are
    seconds since the epoch."""

    id: str
    name: str
    project_id: str
    created_at: float
    good: int
    last_good: float | None
    verified: float | None = None

    @property
    def since(self) -> float:
        """The time since which nothing newer has been kept."""
        return self.created_at if self.last_good is None else self.last_good


@dataclass(frozen=True)
class PlansFigure:
    """All plans together: how many, how many without any good checkpoint, and the least `since`."""

    count: int
    without: int
    since: float | None


@dataclass(frozen=True)
class CredentialFigure:
    """The live operations that run on one kind of credential: when the first of them has to leave
    it, and when nothing carries the first of them any more. None: that has no end."""

    kind: str
    count: int
    leaves: float | None
    ends: float | None


class Statistics:
    """Every method is one statement in a transaction of its own, so that one that fails takes no
    other with it. Raises StoreUnavailable."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def operations(self) -> Sequence[OperationCount]:
        """Count operations by verb and state; what has none is not there."""
        table = OPERATIONS
        query = sa.select(table.c.verb, table.c.state, sa.func.count().label("count"),
                          sa.func.min(table.c.created_at).label("oldest")).group_by(
            table.c.verb, table.c.state)
        with reading(self._engine) as connection:
            return [
                OperationCount(Verb(row.verb), OperationState(row.state), int(row[2]), row.oldest)
                for row in connection.execute(query)
            ]

    def checkpoints(self) -> Mapping[tuple[str, RecordStatus], int]:
        """Count checkpoints by provider id and status, without those that are deleted; of those
        whose operation is over the status that it has left, written down or not."""
        table = CHECKPOINTS
        unhidden = _unhidden()
        query = sa.select(table.c.provider_id, table.c.status, OPERATIONS.c.verb,
                          OPERATIONS.c.state, unhidden.label("unhidden"),
                          sa.func.count().label("count")).select_from(
            table.outerjoin(OPERATIONS, _settling())).where(
            table.c.status != RecordStatus.DELETED).group_by(
            table.c.provider_id, table.c.status, OPERATIONS.c.verb, OPERATIONS.c.state,
            sa.text("unhidden"))
        counted: Counter[tuple[str, RecordStatus]] = Counter()
        with reading(self._engine) as connection:
            for row in connection.execute(query):
                status = RecordStatus(row.status) if row.verb is None else after(
                    Verb(row.verb), OperationState(row.state), row.unhidden or "")
                if status is not RecordStatus.DELETED:
                    counted[row.provider_id, status] += int(row[5])
        return counted

    def verified(self) -> Mapping[tuple[str, str], int]:
        """Count available checkpoints by provider id and what the last verify found: `good`,
        `damaged`, or `never` (there was none)."""
        table = CHECKPOINTS
        found = sa.case((table.c.damaged, "damaged"), (table.c.verified_at.is_(None), "never"),
                        else_="good").label("found")
        query = sa.select(table.c.provider_id, found, sa.func.count().label("count")).where(
            table.c.status == RecordStatus.AVAILABLE).group_by(table.c.provider_id, found)
        with reading(self._engine) as connection:
            return {(row.provider_id, row.found): int(row[2]) for row in connection.execute(query)}

    def record_copies(self) -> tuple[int, float | None]:
        """See `RecordChanges.waiting`."""
        return RecordChanges(self._engine).waiting()

    def plans(self) -> Sequence[PlanFigure]:
        """Return the figures of each plan."""
        with reading(self._engine) as connection:
            return [PlanFigure(row.id, row.name, row.project_id, row.created_at, int(row.good),
                               row.last_good, row.verified)
                    for row in connection.execute(_plans())]

    def all_plans(self) -> PlansFigure:
        """Return the same added up by the database."""
        each = _plans().subquery()
        query = sa.select(
            sa.func.count().label("plans"),
            sa.func.coalesce(sa.func.sum(sa.case((each.c.good == 0, 1), else_=0)), 0)
            .label("without"),
            sa.func.min(sa.func.coalesce(each.c.last_good, each.c.created_at)).label("since"),
        ).select_from(each)
        with reading(self._engine) as connection:
            row = connection.execute(query).one()
        return PlansFigure(int(row.plans), int(row.without), row.since)

    def credentials(self) -> Sequence[CredentialFigure]:
        """Return what is known of the credentials of live operations; what is sealed is not
        read."""
        credential = OPERATIONS.c.credential
        kind = credential["rung"].as_string()
        query = sa.select(
            kind.label("kind"), sa.func.count().label("count"),
            sa.func.min(credential["deadline"].as_float()).label("leaves"),
            sa.func.min(credential["until"].as_float()).label("ends"),
        ).where(OPERATIONS.c.state.not_in(_OVER)).group_by(kind)
        with reading(self._engine) as connection:
            return [CredentialFigure(row.kind or "", int(row[1]), row.leaves, row.ends)
                    for row in connection.execute(query)]


def _settling() -> sa.ColumnElement[bool]:
    """Join a checkpoint with the operation that is over, though the checkpoint does not say so yet:
    that is written down when somebody asks for checkpoints, and a figure changes nothing."""
    return sa.and_(CHECKPOINTS.c.status.in_(_LIVE), OPERATIONS.c.id == CHECKPOINTS.c.operation_id,
                   OPERATIONS.c.state.in_(_OVER))


def _unhidden() -> sa.ColumnElement[str]:
    """Return the status that a checkpoint has again when its deletion has removed nothing."""
    told: sa.ColumnElement[str] = OPERATIONS.c.result[UNHIDDEN].as_string()
    return told


def _plans() -> sa.Select[tuple[str, str, str, float, int, float, float]]:
    mine = sa.and_(CHECKPOINTS.c.plan_id == PLANS.c.id,
                   CHECKPOINTS.c.project_id == PLANS.c.project_id,
                   CHECKPOINTS.c.status != RecordStatus.DELETED)
    available = sa.or_(CHECKPOINTS.c.status == RecordStatus.AVAILABLE,
                       sa.and_(OPERATIONS.c.state == OperationState.DONE,
                               OPERATIONS.c.verb != Verb.DELETE),
                       sa.and_(OPERATIONS.c.verb == Verb.DELETE,
                               _unhidden() == RecordStatus.AVAILABLE))
    good = sa.and_(available, CHECKPOINTS.c.damaged.is_(sa.false()))
    return sa.select(
        PLANS.c.id, PLANS.c.name, PLANS.c.project_id, PLANS.c.created_at,
        sa.func.sum(sa.case((good, 1), else_=0)).label("good"),
        sa.func.max(sa.case((good, CHECKPOINTS.c.created_at))).label("last_good"),
        sa.func.max(sa.case((good, CHECKPOINTS.c.verified_at))).label("verified"),
    ).select_from(PLANS.outerjoin(CHECKPOINTS, mine).outerjoin(OPERATIONS, _settling())).group_by(
        PLANS.c.id, PLANS.c.name, PLANS.c.project_id, PLANS.c.created_at)
