"""Which operations run on the rights of scheduled operations.

An operation is accepted on them, and a scheduled operation parts with them, in transactions that
wait for each other: so nobody takes a trust away from an operation that has only just begun.
"""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from karbor.domain.errors import RightsPending
from karbor.domain.operation import Operation, OperationState
from karbor.domain.scheduled_operation import ENDING
from karbor.store.connect import reading
from karbor.store.schedule_rows import scheduled_from_row
from karbor.store.schedule_tables import SCHEDULED_OPERATIONS
from karbor.store.tables import OPERATIONS

_LIVE = [state for state in OperationState if not state.over]


def require_lent(connection: sa.Connection, operation: Operation) -> None:
    """Raise RightsPending when the trust that a schedule has lent to the operation is not the
    schedule's any more: it was deleted, or changed hands, since it was read. Until the end of the
    transaction it keeps the trust."""
    grant = operation.credential.get("grant") or {}
    if not grant.get("lent"):
        return
    table = SCHEDULED_OPERATIONS
    held = connection.execute(sa.select(table.c.credential).where(
        table.c.project_id == operation.project_id,
        table.c.credential["grant"]["id"].as_string() == str(grant.get("id"))
        ).with_for_update()).scalars().all()
    if not any(ENDING not in credential for credential in held):
        raise RightsPending("the scheduled operation was deleted, or changed hands, just now: its "
                            "rights are not for this operation any more")


def running_on(connection: sa.Connection, project_id: str, trusts: Collection[str]) -> str:
    """Return the id of an operation that is not over and runs on one of these trusts; "" if none
    does."""
    if not trusts:
        return ""
    found = connection.execute(sa.select(OPERATIONS.c.id).where(
        OPERATIONS.c.project_id == project_id, OPERATIONS.c.state.in_(_LIVE),
        OPERATIONS.c.credential["grant"]["id"].as_string().in_(sorted(trusts))).limit(1)).scalar()
    return str(found or "")


def known_trusts(engine: sa.Engine) -> set[str]:
    """Return the ids of all trusts of which the database knows: of schedules and of operations
    of all projects. For an operator."""
    with reading(engine) as connection:
        schedules = connection.execute(sa.select(SCHEDULED_OPERATIONS)).mappings().all()
        operations = connection.execute(sa.select(OPERATIONS.c.trust).where(
            OPERATIONS.c.trust != "")).scalars().all()
    return set(operations).union(*(scheduled_from_row(row).trusts for row in schedules))
