"""Estimate: how long an operation is expected to take, before it has begun.

Needed to refuse what no credential lasts long enough for. It errs on the long side: a refusal can
be answered by the person who asks (`--hours`), a failure at hour 49 cannot.
"""

from __future__ import annotations

from collections.abc import Iterable

from karbor.domain.operation import Operation, OperationState, Verb
from karbor.domain.resource import IMAGE, VOLUME, Resource

GIB = 1 << 30
MIB = 1 << 20
AT_LEAST = 60.0             # seconds that even an empty application takes
TELLING = 4 * GIB           # a run that moved less tells more of its beginning and end
LOOKED_AT = 20              # earlier operations of the project


def size_of(resources: Iterable[Resource]) -> int:
    """Bytes that may have to be moved: whole volumes and images, as far as they are known."""
    total = 0
    for resource in resources:
        size = resource.facts.get("size") or 0
        if resource.type == VOLUME:
            total += int(size) * GIB
        elif resource.type == IMAGE:
            total += int(size)
    return total


def seconds(verb: Verb, size: int, earlier: Iterable[Operation], slowest: float) -> float:
    """`slowest` is the operator's guess in MiB/s, which counts until earlier operations (the
    newest first) have shown how quick this verb is here: then the slowest of them does."""
    if verb is Verb.DELETE:
        return AT_LEAST
    rates = [rate for operation in list(earlier)[:LOOKED_AT]
             if operation.verb is verb and (rate := _rate(operation)) is not None]
    return AT_LEAST + size / (min(rates, default=slowest * MIB))


def part(operation: Operation, size: int | None, slowest: float, *, side_by_side: int = 1) -> float:
    """Seconds that `size` bytes of an operation take when they are moved by themselves, beside as
    many others as may be under way at once: what the rate of the whole operation was measured
    with. Never more than the whole was expected to take, and that where the size is unknown."""
    needed, whole = float(operation.credential.get("needed") or 0.0), moved(operation)
    if size is None:
        return max(AT_LEAST, needed)
    if not whole or needed <= AT_LEAST:
        return AT_LEAST + size / (slowest * MIB)
    seconds_a_byte = (needed - AT_LEAST) / whole
    return AT_LEAST + min(size * max(1, side_by_side), whole) * seconds_a_byte


def moved(operation: Operation) -> int:
    """Bytes that an operation may have had to move, as far as is known of it: what a plan comes to
    is known when its run has been planned."""
    return int(operation.plan.get("size") or operation.request.get("size") or 0)


def _rate(operation: Operation) -> float | None:
    """Bytes per second of an operation that succeeded and moved enough to tell."""
    size = moved(operation)
    if operation.state is not OperationState.DONE or size < TELLING:
        return None
    took = (operation.finished_at or operation.created_at) - operation.created_at
    return size / took if took > 0 else None
