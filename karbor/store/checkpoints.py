"""Checkpoint records in SQL: what the service remembers of checkpoints beside their banks."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

import sqlalchemy as sa

from karbor.domain.checkpoint_record import (
    UNHIDDEN,
    CheckpointRecord,
    RecordStatus,
    after,
    of_verification,
)
from karbor.domain.errors import Conflict, NotFound, why
from karbor.domain.listing import EVERY_CHECKPOINT, CheckpointFilter, Listing, Page
from karbor.domain.operation import OperationState, Verb
from karbor.domain.quota import CHECKPOINTS as KIND
from karbor.domain.quota import must_fit
from karbor.domain.verification import Verification
from karbor.store.checkpoint_tables import CHECKPOINTS
from karbor.store.connect import reading, writing
from karbor.store.listing import page
from karbor.store.quotas import Quotas, lock
from karbor.store.tables import OPERATIONS

_GONE = (RecordStatus.DELETED,)
_LIVE = tuple(record_status for record_status in RecordStatus if record_status.live)
_OVER = tuple(operation_state for operation_state in OperationState if operation_state.over)


class CheckpointRecords:
    """What is not in the given project does not exist: NotFound. None for the project means those
    of all projects: for administrators, and for Karbor itself."""

    def __init__(self, engine: sa.Engine, quotas: Quotas | None = None) -> None:
        """Take the database. Without quotas there is no limit."""
        self._engine = engine
        self._quotas = quotas

    # ------------------------------------------------------------------ reading
    def show(self, project_id: str | None, checkpoint_id: str) -> CheckpointRecord:
        """Return the record of a checkpoint, of a deleted one too. Raises NotFound."""
        with reading(self._engine) as connection:
            return _require(connection, project_id, checkpoint_id)

    def list(self, listing: Listing, span: CheckpointFilter = EVERY_CHECKPOINT
             ) -> Page[CheckpointRecord]:
        """Return a page of the records that are not deleted. Raises NotFound for an unknown marker,
        BadInput for a field that cannot be sorted by."""
        table = CHECKPOINTS
        wanted: builtins.list[sa.ColumnElement[bool]] = [table.c.status.not_in(_GONE)]
        for column, value in ((table.c.provider_id, span.provider_id),
                              (table.c.plan_id, span.plan_id)):
            if value:
                wanted.append(column == value)
        if span.since is not None:
            wanted.append(table.c.created_at >= span.since)
        if span.before is not None:
            wanted.append(table.c.created_at < span.before)
        with reading(self._engine) as connection:
            rows = page(connection, table, listing, noun="checkpoint",
                        equals=("status",), wanted=wanted)
        return Page(map(_from_row, rows), cut=rows.cut)

    def of_plan(self, project_id: str, plan_id: str) -> builtins.list[CheckpointRecord]:
        """Return all records of a plan that are not deleted, the newest first."""
        query = sa.select(CHECKPOINTS).where(
            CHECKPOINTS.c.project_id == project_id, CHECKPOINTS.c.plan_id == plan_id,
            CHECKPOINTS.c.status.not_in(_GONE)).order_by(CHECKPOINTS.c.created_at.desc())
        with reading(self._engine) as connection:
            return [_from_row(row) for row in connection.execute(query).mappings().all()]

    def count(self, project_id: str) -> int:
        """Return how many count towards its quota: those that hold something. What failed holds
        nothing, what a person has set to `error` does."""
        self.settle()       # what has failed by now takes no place
        with reading(self._engine) as connection:
            return _count(connection, project_id)

    def known(self, project_id: str) -> dict[str, tuple[str, RecordStatus, bool]]:
        """Return for each id the provider, the status and whether a graph is known; deleted ones
        too."""
        query = sa.select(CHECKPOINTS.c.id, CHECKPOINTS.c.provider_id, CHECKPOINTS.c.status,
                          CHECKPOINTS.c.graph.is_not(None).label("has_graph")).where(
            CHECKPOINTS.c.project_id == project_id)
        with reading(self._engine) as connection:
            return {row.id: (row.provider_id, RecordStatus(row.status), bool(row.has_graph))
                    for row in connection.execute(query)}

    def verified(self, project_id: str, provider_id: str) -> dict[str, str]:
        """Return for each id the checksum of the object of its bank from which is known what its
        last verify found; "" of those of which that is not known. Without those that are
        deleted."""
        query = sa.select(CHECKPOINTS.c.id, CHECKPOINTS.c.verified).where(
            CHECKPOINTS.c.project_id == project_id, CHECKPOINTS.c.provider_id == provider_id,
            CHECKPOINTS.c.status.not_in(_GONE))
        with reading(self._engine) as connection:
            return {row.id: str((row.verified or {}).get("checksum", ""))
                    for row in connection.execute(query)}

    # ------------------------------------------------------------------ writing
    def add(self, *records: CheckpointRecord) -> None:
        """Add all of the records, which are of one project, or none. Raises OverQuota; Conflict
        when one is known. Counting and adding is one transaction."""
        if self._quotas is not None:
            self.settle()       # what has failed by now takes no place
        project_id = records[0].project_id
        with writing(self._engine) as connection:
            lock(connection, f"checkpoints {project_id}")
            if self._quotas is not None:
                limit = self._quotas.within(connection, project_id)[KIND]
                must_fit(KIND, _count(connection, project_id) + len(records) - 1, limit)
            known = connection.execute(sa.select(CHECKPOINTS.c.id).where(
                CHECKPOINTS.c.id.in_([record.id for record in records]))).scalars().first()
            if known is not None:
                raise Conflict(f"there is a checkpoint {known} already")
            connection.execute(sa.insert(CHECKPOINTS), [_to_row(record) for record in records])

    def drop(self, project_id: str, checkpoint_id: str) -> None:
        """Forget one whose operation was never accepted."""
        with writing(self._engine) as connection:
            connection.execute(sa.delete(CHECKPOINTS).where(
                CHECKPOINTS.c.id == checkpoint_id, CHECKPOINTS.c.project_id == project_id))

    def work_on(self, project_id: str | None, checkpoint_id: str, operation_id: str,
                status: RecordStatus, now: float) -> None:
        """Note that an operation that was accepted works on the checkpoint from now on."""
        self._change(project_id, checkpoint_id, now, status=status, operation_id=operation_id)

    def set_status(self, project_id: str | None, checkpoint_id: str, status: RecordStatus,
                   reason: str, now: float) -> None:
        """Set the status of a checkpoint. Raises NotFound."""
        self._change(project_id, checkpoint_id, now, status=status, reason=reason)

    def reset(self, project_id: str, checkpoint_id: str, status: RecordStatus, reason: str,
              now: float) -> None:
        """Set the status as a person says; what it was before is remembered. Raises NotFound."""
        before = sa.case((CHECKPOINTS.c.status == RecordStatus.AVAILABLE, RecordStatus.AVAILABLE),
                         else_=CHECKPOINTS.c.reset_from)
        self._change(project_id, checkpoint_id, now, status=status, reason=reason,
                     reset_from=None if status is RecordStatus.AVAILABLE else before)

    def note_verified(self, project_id: str, checkpoint_id: str, found: Verification,
                      checksum: str = "") -> None:
        """Note what a verify found, unless a later one is known; nothing where there is no record.
        `checksum`: of the object of its bank that says so, where that was read; of the same verify
        it counts more than a report without it."""
        mine = sa.and_(CHECKPOINTS.c.id == checkpoint_id, CHECKPOINTS.c.project_id == project_id)
        values = of_verification(found)
        values["verified"]["checksum"] = checksum
        with writing(self._engine) as connection:
            connection.execute(sa.update(CHECKPOINTS).where(mine, sa.or_(
                CHECKPOINTS.c.verified_at.is_(None),
                CHECKPOINTS.c.verified_at <= found.at if checksum
                else CHECKPOINTS.c.verified_at < found.at)
                ).values(values))

    def settle_verifies(self, since: float) -> int:
        """Write down what verifies that ended since then have found, of which the process died just
        before it did; how many there were."""
        query = sa.select(OPERATIONS.c.project_id, OPERATIONS.c.checkpoint_id,
                          OPERATIONS.c.result).where(
            OPERATIONS.c.verb == Verb.VERIFY, OPERATIONS.c.finished_at >= since)
        with reading(self._engine) as connection:
            found = [(row.project_id, row.checkpoint_id, row.result["verification"])
                     for row in connection.execute(query) if "verification" in (row.result or {})]
        for project_id, checkpoint_id, told in found:
            self.note_verified(project_id, checkpoint_id, Verification.from_dict(told))
        return len(found)

    def keep(self, records: Iterable[CheckpointRecord]) -> None:
        """Write records as their bank tells them, in place of what was known."""
        with writing(self._engine) as connection:
            for record in records:
                connection.execute(sa.delete(CHECKPOINTS).where(CHECKPOINTS.c.id == record.id))
                connection.execute(sa.insert(CHECKPOINTS).values(_to_row(record)))

    def settle(self) -> int:
        """Write down what operations that are over have left of the checkpoints they worked on.
        Cheap where there is nothing to do; returns how many there were."""
        table = CHECKPOINTS
        query = sa.select(table.c.id, table.c.graph, OPERATIONS).where(
            table.c.status.in_(_LIVE), OPERATIONS.c.id == table.c.operation_id,
            OPERATIONS.c.state.in_(_OVER))
        with reading(self._engine) as connection:
            rows = connection.execute(query).mappings().all()
        if rows:
            with writing(self._engine) as connection:
                for row in rows:
                    connection.execute(sa.update(table).where(
                        table.c.id == row[table.c.id], table.c.status.in_(_LIVE),
                        table.c.operation_id == row[OPERATIONS.c.id]).values(_settled(row)))
        return len(rows)

    def give_up(self, before: float) -> int:
        """Say of those that were asked for before that time and whose operation was never written
        down (its process died in between) that they came to nothing; how many there were."""
        table = CHECKPOINTS
        known = sa.select(OPERATIONS.c.id).where(OPERATIONS.c.id == table.c.operation_id)
        with writing(self._engine) as connection:
            changed = connection.execute(sa.update(table).where(
                table.c.status.in_(_LIVE), table.c.graph.is_(None), table.c.created_at < before,
                ~known.exists()).values(
                status=RecordStatus.ERROR, reason="it was asked for, and never begun: the process "
                "that accepted it died", updated_at=before))
        return int(changed.rowcount)

    def abandon(self, project_id: str, now: float) -> int:
        """Say, after the database was lost, of those that were being made for a plan, and of whose
        operation nothing is known, that they came to nothing; how many there were. (Without a plan
        it is a command that makes them, with a database of its own.)"""
        table = CHECKPOINTS
        known = sa.select(OPERATIONS.c.id).where(OPERATIONS.c.id == table.c.operation_id)
        with writing(self._engine) as connection:
            changed = connection.execute(
                sa.update(table)
                .where(
                    table.c.project_id == project_id,
                    table.c.plan_id != "",
                    table.c.status.in_(
                        [record_status for record_status in RecordStatus if record_status.coming]
                    ),
                    ~known.exists(),
                )
                .values(
                    status=RecordStatus.ERROR,
                    updated_at=now,
                    reason="it was being made when the database was lost",
                )
            )
        return int(changed.rowcount)

    def _change(self, project_id: str | None, checkpoint_id: str, now: float, **values: Any
                ) -> None:
        with writing(self._engine) as connection:
            _require(connection, project_id, checkpoint_id, for_update=True)
            connection.execute(sa.update(CHECKPOINTS).where(CHECKPOINTS.c.id == checkpoint_id)
                               .values(updated_at=now, **values))


def _settled(row: sa.RowMapping) -> Mapping[str, Any]:
    status = after(Verb(row[OPERATIONS.c.verb]), OperationState(row[OPERATIONS.c.state]),
                   str((row[OPERATIONS.c.result] or {}).get(UNHIDDEN, "")))
    good = status in (RecordStatus.AVAILABLE, RecordStatus.DELETED)
    reason = "" if good else why(row[OPERATIONS.c.error] or {})
    graph = row[CHECKPOINTS.c.graph] or (row[OPERATIONS.c.plan] or {}).get("graph")
    return {"status": status, "reason": reason, "graph": graph,
            "updated_at": row[OPERATIONS.c.finished_at]}


def _count(connection: sa.Connection, project_id: str) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(CHECKPOINTS).where(
        CHECKPOINTS.c.project_id == project_id,
        sa.or_(CHECKPOINTS.c.status.not_in((*_GONE, RecordStatus.DELETING, RecordStatus.ERROR)),
               sa.and_(CHECKPOINTS.c.status == RecordStatus.ERROR,
                       CHECKPOINTS.c.reset_from == RecordStatus.AVAILABLE)))).scalar_one())


def _require(connection: sa.Connection, project_id: str | None, checkpoint_id: str, *,
             for_update: bool = False) -> CheckpointRecord:
    query = sa.select(CHECKPOINTS).where(CHECKPOINTS.c.id == checkpoint_id)
    if project_id is not None:
        query = query.where(CHECKPOINTS.c.project_id == project_id)
    row = connection.execute(query.with_for_update() if for_update else query).mappings().first()
    if row is None:
        raise NotFound(f"Checkpoint {checkpoint_id} could not be found.")
    return _from_row(row)


def _to_row(record: CheckpointRecord) -> dict[str, Any]:
    row = {field.name: getattr(record, field.name) for field in fields(CheckpointRecord)}
    row["origin"] = dict(record.origin)
    return row


def _from_row(row: sa.RowMapping) -> CheckpointRecord:
    values = {field.name: row[field.name] for field in fields(CheckpointRecord)}
    values["status"] = RecordStatus(row["status"])
    return CheckpointRecord(**values)
