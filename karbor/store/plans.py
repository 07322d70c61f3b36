"""Plans in SQL. Every one is reached through its project."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import sqlalchemy as sa

from karbor.domain.errors import Conflict, NotFound
from karbor.domain.listing import Listing, Page
from karbor.domain.plan import Plan, Selector
from karbor.domain.quota import PLANS as KIND
from karbor.domain.quota import must_fit
from karbor.store.connect import reading, writing
from karbor.store.listing import page
from karbor.store.plan_tables import PLANS
from karbor.store.quotas import Quotas, lock
from karbor.store.record_changes import note_change
from karbor.store.schedule_tables import SCHEDULED_OPERATIONS
from karbor.store.shallow_json import shallow

_NAMED = 10     # scheduled operations that are named where a plan is in use
# Composed once: to compose a query costs as much as to carry it out.
_BY_ID = sa.select(PLANS).where(PLANS.c.id == sa.bindparam("plan"))
_BY_ID_IN_PROJECT = _BY_ID.where(PLANS.c.project_id == sa.bindparam("project"))

class Plans:
    """What is not in the given project does not exist: NotFound. Only where a method is given None
    for the project are those of all projects meant: the API does that for administrators."""

    def __init__(self, engine: sa.Engine, quotas: Quotas) -> None:
        self._engine = engine
        self._quotas = quotas

    def add(self, plan: Plan) -> None:
        """Add a plan. Raises OverQuota. Counting and adding is one transaction, and a project has
        only one of them at a time: two requests cannot both take the last free place."""
        with writing(self._engine) as connection:
            lock(connection, f"plans {plan.project_id}")
            limit = self._quotas.within(connection, plan.project_id)[KIND]
            must_fit(KIND, _count(connection, plan.project_id), limit)
            connection.execute(sa.insert(PLANS).values(_to_row(plan)))
            note_change(connection, plan.project_id)

    def show(self, project_id: str | None, plan_id: str) -> Plan:
        """Return the plan. Raises NotFound."""
        with reading(self._engine) as connection:
            return _require(connection, project_id, plan_id)

    def list(self, listing: Listing) -> Page[Plan]:
        """Return a page of plans. `name` and `description` filter by a part of the text, `status`
        exactly. Raises NotFound for an unknown marker, BadInput for a field that cannot be sorted
        by."""
        with reading(self._engine) as connection:
            rows = page(connection, PLANS, listing, noun="plan",
                        contains=("name", "description"), equals=("status", "provider_id"))
        return Page(map(_from_row, rows), cut=rows.cut)

    def change(self, project_id: str | None, plan_id: str, change: Callable[[Plan], Plan]) -> Plan:
        """Keep what `change` makes of the plan as it is now; nobody else changes it meanwhile.
        Raises NotFound, and whatever `change` raises: then nothing has changed."""
        with writing(self._engine) as connection:
            plan = _require(connection, project_id, plan_id, for_update=True)
            changed = change(plan)
            connection.execute(sa.update(PLANS).where(PLANS.c.id == plan.id)
                               .values(_to_row(changed)))
            note_change(connection, plan.project_id)
        return changed

    def drop(self, project_id: str | None, plan_id: str) -> None:
        """Delete a plan. Its checkpoints stay. Raises NotFound; Conflict naming the scheduled
        operations that protect it."""
        users = SCHEDULED_OPERATIONS
        with writing(self._engine) as connection:
            lock(connection, f"plan {plan_id}")
            plan = _require(connection, project_id, plan_id, for_update=True)
            using = connection.execute(
                sa.select(users.c.id, users.c.name).where(users.c.plan_id == plan_id)
                .order_by(users.c.created_at, users.c.id).limit(_NAMED)).all()
            if using:
                raise Conflict(
                    f"The plan {plan_id} can not be deleted: it is used by scheduled operations: "
                    + ", ".join(f"{one.name} ({one.id})" for one in using),
                    remedy="delete these first, or give them another plan")
            connection.execute(sa.delete(PLANS).where(PLANS.c.id == plan_id))
            note_change(connection, plan.project_id)

    def count(self, project_id: str) -> int:
        with reading(self._engine) as connection:
            return _count(connection, project_id)


def _count(connection: sa.Connection, project_id: str) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(PLANS).where(
        PLANS.c.project_id == project_id)).scalar_one())


def require_plan(connection: sa.Connection, project_id: str, plan_id: str) -> None:
    """Raise NotFound when there is no such plan. Until the end of the transaction nobody deletes
    the plan."""
    lock(connection, f"plan {plan_id}")
    _require(connection, project_id, plan_id)


def _require(connection: sa.Connection, project_id: str | None, plan_id: str, *,
             for_update: bool = False) -> Plan:
    query = _BY_ID if project_id is None else _BY_ID_IN_PROJECT
    row = connection.execute(
        query.with_for_update() if for_update else query,
        {"plan": plan_id, "project": project_id} if project_id is not None else {"plan": plan_id}
    ).mappings().first()
    if row is None:
        raise NotFound(f"Plan {plan_id} could not be found.")
    return _from_row(row)


def _to_row(plan: Plan) -> dict[str, Any]:
    row = {field.name: getattr(plan, field.name) for field in fields(Plan)}
    row["resources"] = [dict(resource) for resource in plan.resources]
    row["parameters"] = {key: None if one is None else dict(one)
                         for key, one in plan.parameters.items()}
    row["selectors"] = [selector.to_dict() for selector in plan.selectors]
    return row


def _from_row(row: sa.RowMapping) -> Plan:
    values = {field.name: row[field.name] for field in fields(Plan)}
    values["selectors"] = tuple(Selector.from_dict(selector) for selector in row["selectors"])
    values["resources"] = tuple(
        {**resource, "extra_info": shallow(resource["extra_info"])}
        if resource.get("extra_info")
        else resource
        for resource in row["resources"]
    )
    return Plan(**values)
