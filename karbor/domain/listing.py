"""Listing: which part of a collection is asked for, in which order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from karbor.domain.operation import OperationState, Verb

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


@dataclass(frozen=True)
class OperationFilter:
    """Which operations a list has; what is empty does not narrow. `standing` are pairs of a verb
    and a state, of which one has to fit; None: any. `with_steps`: whoever asks reads their steps as
    well, which count for how large a page is."""

    verbs: Collection[Verb] = ()
    standing: Collection[tuple[Verb, OperationState]] | None = None
    ids: Collection[str] = ()
    checkpoint_id: str = ""
    plan_id: str = ""
    provider_id: str = ""
    scheduled_operation_id: str = ""
    with_steps: bool = False


@dataclass(frozen=True)
class CheckpointFilter:
    """Which checkpoints a list has: those of one provider or plan, made from `since` up
    to, but not including, `before` (seconds since the epoch)."""

    provider_id: str = ""
    plan_id: str = ""
    since: float | None = None
    before: float | None = None


EVERY_CHECKPOINT = CheckpointFilter()
