"""Listing → SQL: filters, order, the page after a marker. For every collection alike."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from karbor.domain.errors import BadInput, NotFound
from karbor.domain.listing import Listing, Page, Sort

_SAME: Mapping[str, str] = {}


def page(connection: sa.Connection, table: sa.Table, listing: Listing, *, noun: str,
         contains: Collection[str] = (), equals: Collection[str] = (),
         wanted: Collection[sa.ColumnElement[bool]] = (), keys: Mapping[str, str] = _SAME,
         weight: sa.ColumnElement[int] | None = None) -> Page[sa.RowMapping]:
    """Return the rows of the page. The fields `contains` are matched as parts of the text, those of
    `equals` exactly; a filter that is in neither does not narrow anything. `wanted` are further
    conditions. `keys` are what one may sort by, with their columns; without, any column is.

    Large rows are left for the next page before they are read (`largest_bytes`). `weight` is how
    many bytes whoever asks reads beside each row.

    Only columns that are never NULL can be sorted by: raises BadInput for others, NotFound for a
    marker that is not among what may be seen.
    """
    seen = [] if listing.project_id is None else [table.c.project_id == listing.project_id]
    narrowed = [*seen, *wanted]
    for name, value in listing.filters.items():
        if name in contains:
            narrowed.append(has_text(table.c[name], value))
        elif name in equals:
            narrowed.append(table.c[name] == value)
    order = _order(table, listing.sort, keys)
    query = sa.select(table).where(*narrowed)
    if listing.marker:
        last = connection.execute(sa.select(*(column for column, _ in order)).where(
            *seen, table.c.id == listing.marker)).first()
        if last is None:
            raise NotFound(f"{noun.capitalize()} {listing.marker} could not be found.",
                           remedy="marker is the id of the last item of the page before")
        query = query.where(_after(order, last))
    query = query.order_by(*(column.desc() if descending else column.asc()
                             for column, descending in order))
    query = query.limit(listing.limit).offset(listing.offset)
    count, cut = _fitting(connection, query, [table_weight(table), *(
        () if weight is None else (weight,))], listing)
    return Page(connection.execute(query.limit(count)).mappings().all(), cut=cut)


def table_weight(table: sa.Table) -> sa.ColumnElement[int]:
    """Return how large a row is: what its columns without a bound have."""
    return sum((sa.func.coalesce(sa.func.length(sa.cast(column, sa.Text)), 0)
                for column in table.c if isinstance(column.type, sa.JSON | sa.Text)),
               sa.literal(0))


def _fitting(connection: sa.Connection, query: sa.Select[Any],
             weights: Collection[sa.ColumnElement[int]], listing: Listing) -> tuple[int, bool]:
    """Return how many of the rows have no more than `largest_bytes` together, at least one, and
    whether these are not all."""
    if not listing.largest_bytes:
        return listing.limit, False
    together = 0
    sizes = connection.execute(query.with_only_columns(sum(weights, sa.literal(0)))
                               ).scalars().all()
    for count, one in enumerate(sizes):
        together += int(one)
        if count and together > listing.largest_bytes:
            return count, True
    return listing.limit, False


def has_text(column: sa.ColumnElement[Any], text: str) -> sa.ColumnElement[bool]:
    """Return the condition that a column contains the text, in letters of either case. Never a
    pattern: `%` and `.` mean themselves."""
    return column.icontains(text, autoescape=True)


def _order(table: sa.Table, sort: tuple[Sort, ...], keys: Mapping[str, str]
           ) -> list[tuple[sa.Column[Any], bool]]:
    order = []
    for one in sort:
        column = table.c.get(keys.get(one.key, "") if keys else one.key)
        if column is None or column.nullable:
            raise BadInput(f"this collection cannot be sorted by {one.key!r}", remedy=(
                f"sort by one of: {', '.join(sorted(keys))}" if keys else ""))
        order.append((column, one.descending))
    if all(column.key != "id" for column, _ in order):
        order.append((table.c.id, order[-1][1] if order else True))
    return order


def _after(order: list[tuple[sa.Column[Any], bool]], last: sa.Row[Any]) -> sa.ColumnElement[bool]:
    """Return what comes behind the row `last`, each field in its own direction."""
    cases = []
    for at, (column, descending) in enumerate(order):
        value = sa.literal(last[at], column.type)       # a plain True could not be compared
        beyond = column < value if descending else column > value
        cases.append(sa.and_(*(order[i][0] == last[i] for i in range(at)), beyond))
    return sa.or_(*cases)
