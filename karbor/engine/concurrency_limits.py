"""Concurrency limits: how much of one kind of work may be under way at once.

They hold over all operations; nothing here reads a clock or a database.

A step takes its place with its first entry and has it to its end, also while it waits: a backup
that Cinder is making is a backup under way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from karbor.domain.step import Step, StepState

UNDER_WAY = frozenset({StepState.ENTERED, StepState.RUNNING})


@dataclass(frozen=True)
class Limit:
    """Of one kind: all operations of a provider together, and those of one project among them."""

    provider: int
    project: int


Living = Callable[[Collection[str]], Collection[str]]
"""Which of these operations some process drives."""


def _all(operation_ids: Collection[str]) -> Collection[str]:
    return operation_ids


@dataclass(frozen=True)
class ConcurrencyLimits:
    """`limits` by kind (kinds without one are not limited). What is left of a killed operation,
    that is not `living`, occupies nothing until it is resumed."""

    limits: Mapping[str, Limit] = field(default_factory=dict)
    living: Living = _all


@dataclass(frozen=True)
class OccupiedSlot:
    """`count` steps of a kind that are under way in one operation."""

    limit: str
    operation_id: str
    project_id: str
    count: int


def wanting(steps: Iterable[Step], places: ConcurrencyLimits) -> set[str]:
    """Return the kinds of which these steps want a place that they do not have yet."""
    return {step.limit for step in steps
            if step.state is StepState.WAITING and step.limit in places.limits}


def admitted(
    steps: Iterable[Step], taken: Iterable[OccupiedSlot], project_id: str, places: ConcurrencyLimits
) -> set[int]:
    """Return the numbers of those that may be entered now, the first ones first. `taken` is what
    is under way in all operations of the provider."""
    taken = list(taken)
    living = set(places.living(sorted({occupied_slot.operation_id for occupied_slot in taken})))
    all_of: Counter[str] = Counter()
    ours: Counter[str] = Counter()
    for occupied_slot in taken:
        if occupied_slot.operation_id in living:
            all_of[occupied_slot.limit] += occupied_slot.count
            ours[occupied_slot.limit] += (
                occupied_slot.count if occupied_slot.project_id == project_id else 0
            )
    numbers = set()
    for step in steps:
        limit = places.limits.get(step.limit)
        if limit is not None and step.state is StepState.WAITING:
            if all_of[step.limit] >= limit.provider or ours[step.limit] >= limit.project:
                continue
            all_of[step.limit] += 1
            ours[step.limit] += 1
        numbers.add(step.number)
    return numbers
