"""Which steps are due: pure functions over the steps of one operation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from karbor.domain.step import Step, StepState
from karbor.engine.concurrency_limits import UNDER_WAY, Limit


def due(steps: Mapping[int, Step], busy: Collection[int], limits: Mapping[str, Limit], now: float
        ) -> Iterator[Step]:
    """Return the steps that should be entered now, in order of their numbers, within the limits as
    far as this operation alone can tell: whether others have the places, the journal says."""
    taken = Counter(step.limit for step in steps.values()
                    if step.limit and step.state in UNDER_WAY)
    for step in steps.values():
        if step.number in busy:
            continue
        if step.state in UNDER_WAY:
            if step.wake_at <= now:
                yield step
        elif step.state is StepState.WAITING and all(
                steps[need].state is StepState.DONE for need in step.needs):
            limit = limits.get(step.limit)
            if limit is not None and taken[step.limit] >= min(limit.project, limit.provider):
                continue
            taken[step.limit] += 1
            yield step


def undo_due(steps: Mapping[int, Step], undoable: Callable[[Step], bool], busy: Collection[int],
             now: float) -> Iterator[Step]:
    """Return the steps whose work should be removed now: none before everything that was built upon
    it."""
    cleared = _cleared(steps, undoable)
    for step in steps.values():
        if step.number in cleared or step.number in busy or step.wake_at > now:
            continue
        if all(other in cleared for other in _dependents(steps)[step.number]):
            yield step


def undo_over(steps: Mapping[int, Step], undoable: Callable[[Step], bool]) -> bool:
    return len(_cleared(steps, undoable)) == len(steps)


def wake_at(steps: Iterable[Step], busy: Collection[int]) -> float | None:
    """Return the next moment at which a sleeping step wants to be entered."""
    times = [step.wake_at for step in steps
             if step.number not in busy
             and step.state in (*UNDER_WAY, StepState.UNDOING)]
    return min(times, default=None)


def _dependents(steps: Mapping[int, Step]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {number: [] for number in steps}
    for step in steps.values():
        for need in step.needs:
            found[need].append(step.number)
    return found


def _cleared(steps: Mapping[int, Step], undoable: Callable[[Step], bool]) -> set[int]:
    """Return the steps of which nothing is left to remove, and nothing of what was built upon
    them."""
    released = {step.releases for step in steps.values()
                if step.releases is not None and step.state is StepState.DONE}
    dependents = _dependents(steps)
    cleared: set[int] = set()
    for number in sorted(steps, reverse=True):      # needs point to lower numbers only
        step = steps[number]
        own = (not step.state.touched or number in released or not undoable(step))
        if own and all(other in cleared for other in dependents[number]):
            cleared.add(number)
    return cleared
