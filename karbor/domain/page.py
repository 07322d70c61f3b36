"""Page: which part of a list is wanted, in which order."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """`sort` are pairs of a key and whether it descends; equal ones are ordered by id, in the
    direction of the last. `marker` is the id of the last item of the page before."""

    sort: tuple[tuple[str, bool], ...] = (("created_at", True),)
    marker: str = ""
    limit: int | None = None
    offset: int = 0
