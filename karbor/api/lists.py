"""Lists: paging, order and filters of every collection, from the query to a Listing and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

import msgspec

from karbor.domain.errors import BadInput
from karbor.domain.listing import Listing, Sort

LARGEST_NUMBER = 2**31 - 1
_TRUE = frozenset({"true", "yes", "y", "1", "t", "on"})
_FALSE = frozenset({"false", "no", "n", "0", "f", "off", ""})


class Link(msgspec.Struct):
    """Where the next page is."""

    rel: str
    href: str


@dataclass(frozen=True)
class Collection:
    """What a list can be sorted and filtered by. `key` is the member of the answer.

    `admin_filters` count for administrators only; so do `all_tenants` and `project_id`, which
    every collection has. Other parameters are passed over, as in Karbor 1.x.

    """

    key: str
    sort_keys: tuple[str, ...] = ("id", "name", "status", "created_at")
    filters: Mapping[str, str] = field(default_factory=dict)    # name → what it does
    admin_filters: Mapping[str, str] = field(default_factory=dict)


def listing(query: Mapping[str, str], collection: Collection, *, project_id: str, admin: bool,
            longest: int, largest_bytes: int = 0) -> Listing:
    """Raises BadInput for values that mean nothing."""
    known = {**collection.filters, **(collection.admin_filters if admin else {})}
    everywhere = boolean(query, "all_tenants") and admin
    wanted = query.get("project_id", "")
    return Listing(
        (wanted or None) if everywhere else project_id,
        min(_number(query, "limit", longest, at_least=1), longest),
        query.get("marker", ""), _number(query, "offset", 0),
        _sort(query, collection.sort_keys),
        {name: query[name] for name in known if query.get(name)}, largest_bytes)


def next_page(address: str, query: Mapping[str, str], asked: Listing, ids: Sequence[str], *,
              cut: bool = False) -> list[Link] | msgspec.UnsetType:
    """The link to what follows, when this page is full, or was cut because its items are large.
    `address` is that of the collection."""
    if len(ids) < asked.limit and not cut:
        return msgspec.UNSET
    following = {name: value for name, value in query.items() if name not in ("marker", "offset")}
    return [Link("next", f"{address}?{urlencode({**following, 'marker': ids[-1]})}")]


def boolean(query: Mapping[str, str], name: str) -> bool:
    """Raises BadInput."""
    text = query.get(name, "").strip().lower()
    if text not in _TRUE | _FALSE:
        raise BadInput(f"{name} is true or false, not {query[name]!r}")
    return text in _TRUE


def _number(query: Mapping[str, str], name: str, otherwise: int, *, at_least: int = 0) -> int:
    text = query.get(name)
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise BadInput(f"{name} is a number, not {text!r}")
    value = int(text)
    if not at_least <= value <= LARGEST_NUMBER:
        raise BadInput(f"{name} must be at least {at_least}, and below {LARGEST_NUMBER}")
    return value


def _sort(query: Mapping[str, str], keys: Sequence[str]) -> tuple[Sort, ...]:
    both = query.get("sort")
    key, direction = query.get("sort_key"), query.get("sort_dir")
    if both is not None and (key is not None or direction is not None):
        raise BadInput("sort and sort_key or sort_dir exclude each other",
                       remedy="use sort=KEY:DIR")
    if both:
        parts = [part.strip().partition(":") for part in both.split(",")]
        pairs = [(name, way or "desc") for name, _, way in parts]
    else:
        pairs = [(key or "created_at", direction or "desc")]
    out: dict[str, Sort] = {}
    for name, way in pairs:
        if name not in keys:
            raise BadInput(f"there is no sorting by {name!r}", remedy="by: " + ", ".join(keys))
        if way not in ("asc", "desc"):
            raise BadInput(f"the direction of a sort is asc or desc, not {way!r}")
        out.setdefault(name, Sort(name, way == "desc"))
    return tuple(out.values())
