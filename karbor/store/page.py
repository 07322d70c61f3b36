"""Listing: sort keys, markers and limits of the API as SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from karbor.domain.errors import BadInput, NotFound
from karbor.domain.page import Page


def page_of(connection: sa.Connection, query: sa.Select[Any], id: sa.Column[Any],
            keys: Mapping[str, sa.Column[Any]], page: Page) -> list[sa.RowMapping]:
    """The rows of `query` that the page holds. `keys` are those one may sort by, none of them NULL.

    Raises BadInput for another key, NotFound for a marker that the query does not have.
    """
    if strange := [key for key, _ in page.sort if key not in keys]:
        raise BadInput(f"these cannot be sorted by {strange[0]!r}",
                       remedy=f"sort by one of: {', '.join(sorted(keys))}")
    order = [(keys[key], descends) for key, descends in page.sort]
    order.append((id, order[-1][1] if order else False))
    if page.marker:
        row = connection.execute(query.where(id == page.marker)).mappings().first()
        if row is None:
            raise NotFound(f"there is no {page.marker} that a page could begin after")
        query = query.where(_beyond(order, row))
    query = query.order_by(*(column.desc() if descends else column.asc()
                             for column, descends in order))
    if page.limit is not None or page.offset:
        query = query.limit(page.limit).offset(page.offset)
    return list(connection.execute(query).mappings())


def _beyond(order: list[tuple[sa.Column[Any], bool]], row: sa.RowMapping
            ) -> sa.ColumnElement[bool]:
    """Later in this order than the row: equal in the first keys, beyond in the next one."""
    cases = []
    for number, (column, descends) in enumerate(order):
        value = sa.literal(row[column.name], column.type)   # a plain True could not be compared
        cases.append(sa.and_(*(one == row[one.name] for one, _ in order[:number]),
                             column < value if descends else column > value))
    return sa.or_(*cases)


def has_text(column: sa.ColumnElement[Any], text: str) -> sa.ColumnElement[bool]:
    """Contains it, in letters of either case. Never a pattern: `%` and `.` mean themselves."""
    return sa.func.lower(column).contains(text.lower(), autoescape=True)
