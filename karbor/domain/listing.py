"""Listing: which part of a collection is asked for, in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

LONGEST = 1000
T = TypeVar("T")


@dataclass(frozen=True)
class Sort:
    """A field and its direction."""

    key: str
    descending: bool = True


@dataclass(frozen=True)
class Listing:
    """`project_id` is None where an administrator asks for those of all projects. `marker` is the
    id of the last item of the page before. The id is always the last field of the order. With
    `largest_bytes` a page ends before its items together have more in the database than that; one
    item it has always. 0: however large they are."""

    project_id: str | None
    limit: int = LONGEST
    marker: str = ""
    offset: int = 0
    sort: tuple[Sort, ...] = (Sort("created_at"),)
    filters: Mapping[str, str] = field(default_factory=dict)
    largest_bytes: int = 0


class Page(list[T]):
    """Items of a list. `cut`: more follow, although there are fewer than were asked for."""

    def __init__(self, items: Iterable[T], *, cut: bool = False) -> None:
        super().__init__(items)
        self.cut = cut
