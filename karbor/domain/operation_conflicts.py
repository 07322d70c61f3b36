"""Conflicts: which operations may work on one checkpoint at the same time.

A restore and a verify of the same checkpoint may; a delete is refused while either runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from karbor.domain.errors import Conflict
from karbor.domain.operation import Operation


def check_conflicts(others: Iterable[Operation], *, reads: Set[str] = frozenset(),
                    changes: Set[str] = frozenset()) -> None:
    """Raise Conflict when another operation works on a checkpoint of this one. Those that only read
    a checkpoint do not disturb each other; all else does.

    `reads` and `changes` are the checkpoints of the operation that is asked for (see `Operation`),
    `others` those that may work on the same. Raises Conflict, which names the one that disturbs.
    """
    for other in others:
        if other.state.over:
            continue
        if changes & (other.reads | other.changes) or reads & other.changes:
            raise Conflict(
                f"operation {other.id} ({other.verb}, {other.state}) works on this checkpoint",
                remedy=f"wait for its end, or: karbor operation cancel {other.id}")
