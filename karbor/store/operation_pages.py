"""Operations by pages, for whoever lists them by the thousand."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import sqlalchemy as sa

from karbor.domain.errors import NotFound
from karbor.domain.listing import Listing, OperationFilter, Page
from karbor.domain.operation import Operation, Verb
from karbor.store.connect import reading
from karbor.store.listing import page, table_weight
from karbor.store.operation_rows import operation_from_row
from karbor.store.tables import OPERATIONS, STEPS


class OperationPages:
    """What is not in the given project does not exist: NotFound. None for the project means those
    of all projects: for administrators."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def list(self, listing: Listing, which: OperationFilter) -> Page[Operation]:
        """Return a page of operations, sorted by `id`, `created_at`, `state` or `verb`; filters of
        the listing are ignored, see OperationFilter. Raises NotFound for an unknown marker,
        BadInput for another field to sort by."""
        with reading(self._engine) as connection:
            rows = page(connection, OPERATIONS, replace(listing, filters={}), noun="operation",
                        wanted=_conditions(which),
                        weight=_OF_STEPS if which.with_steps else None)
        return Page(map(operation_from_row, rows), cut=rows.cut)

    def show(self, project_id: str | None, operation_id: str, verbs: Collection[Verb] = ()
             ) -> Operation:
        """Return the operation of this whole id. Raises NotFound."""
        query = sa.select(OPERATIONS).where(OPERATIONS.c.id == operation_id,
                                            *_conditions(OperationFilter(verbs=verbs)))
        if project_id is not None:
            query = query.where(OPERATIONS.c.project_id == project_id)
        with reading(self._engine) as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            raise NotFound(f"no operation {operation_id} in this project")
        return operation_from_row(row)


_OF_STEPS: sa.ColumnElement[int] = (
    sa.select(sa.func.coalesce(sa.func.sum(table_weight(STEPS)), 0))
    .where(STEPS.c.operation_id == OPERATIONS.c.id).scalar_subquery())


def _conditions(which: OperationFilter) -> list[sa.ColumnElement[bool]]:
    table = OPERATIONS
    wanted: list[sa.ColumnElement[bool]] = []
    if which.verbs:
        wanted.append(table.c.verb.in_(which.verbs))
    if which.standing is not None:
        wanted.append(sa.or_(sa.false(), *(
            sa.and_(table.c.verb == verb, table.c.state == state)
            for verb, state in which.standing)))
    if which.ids:
        wanted.append(table.c.id.in_(which.ids))
    if which.checkpoint_id:
        wanted.append(table.c.checkpoint_id == which.checkpoint_id)
    for path, value in ((("plan_id",), which.plan_id), (("provider_id",), which.provider_id),
                        (("origin", "scheduled_operation_id"), which.scheduled_operation_id)):
        if value:
            wanted.append(table.c.request[path].as_string() == value)
    return wanted
