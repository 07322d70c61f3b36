"""Listing: which part of a collection is asked for, in which order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LONGEST = 1000


@dataclass(frozen=True)
class Sort:
    """A field and its direction."""

    key: str
    descending: bool = True


@dataclass(frozen=True)
class Listing:
    """`project_id` is None where an administrator asks for those of all projects. `marker` is the
    id of the last item of the page before. The id is always the last field of the order."""

    project_id: str | None
    limit: int = LONGEST
    marker: str = ""
    offset: int = 0
    sort: tuple[Sort, ...] = (Sort("created_at"),)
    filters: Mapping[str, str] = field(default_factory=dict)
