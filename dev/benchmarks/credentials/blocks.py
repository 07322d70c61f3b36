"""Blocks: CPU time of several ways to do the same, taken in turns.

A machine that others use too is slower in one minute than in the next. So no way is measured on
its own: a round has one block of each, in an order that changes, and ways are compared within
their round.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

Once = Callable[[], object]


@dataclass(frozen=True)
class Measured:
    """CPU seconds of this process per 1000 times (medians over the rounds, with the middle half),
    and the median of the ratios to the first way."""

    name: str
    cpu_seconds_per_1000: float
    middle_half: tuple[float, float]
    ratio: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def in_turns(ways: Mapping[str, Once], *, times: int, rounds: int) -> list[Measured]:
    """Run each `times` a block, for so many rounds. An unmeasured block goes first."""
    order = list(ways)
    chance = random.Random(1)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for name in order:
        _block(ways[name], times)
    for _ in range(rounds):
        chance.shuffle(order)
        for name in order:
            taken[name].append(_block(ways[name], times))
    first = taken[next(iter(ways))]
    return [Measured(name, statistics.median(blocks), _middle(blocks),
                     statistics.median(one / base for one, base in zip(blocks, first, strict=True)))
            for name, blocks in taken.items()]


def _block(once: Once, times: int) -> float:
    gc.collect()
    begin = time.process_time()
    for _ in range(times):
        once()
    return (time.process_time() - begin) / times * 1000


def _middle(blocks: list[float]) -> tuple[float, float]:
    if len(blocks) < 2:
        return blocks[0], blocks[0]
    low, _, high = statistics.quantiles(blocks, n=4, method="inclusive")
    return low, high
