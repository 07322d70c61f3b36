"""Peace: which operations may work on one checkpoint at the same time."""

from __future__ import annotations

from collections.abc import Iterable

from karbor.domain.errors import Conflict
from karbor.domain.operation import Operation, Verb

READERS = frozenset({Verb.RESTORE, Verb.VERIFY})


def require_peace(verb: Verb, others: Iterable[Operation]) -> None:
    """Restores and verifications of one checkpoint do not disturb each other; all else does.

    `others` work on the same checkpoint. Raises Conflict, which names the one that disturbs.
    """
    for other in others:
        if not other.state.over and not (verb in READERS and other.verb in READERS):
            raise Conflict(
                f"operation {other.id} ({other.verb}, {other.state}) works on this checkpoint",
                remedy=f"wait for its end, or: karbor operation cancel {other.id}")
