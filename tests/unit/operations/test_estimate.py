"""How long an operation is expected to take."""

from __future__ import annotations

from karbor.domain.operation import Operation, OperationState, Verb
from karbor.domain.resource import IMAGE, SERVER, VOLUME, Resource
from karbor.operations.estimate import AT_LEAST, GIB, MIB, seconds, size_of


def done(size: int, took: float, verb: Verb = Verb.PROTECT,
         state: OperationState = OperationState.DONE) -> Operation:
    return Operation("o", verb, "p", {}, {}, {"size": size}, state=state, created_at=1000.0,
                     finished_at=1000.0 + took)


def test_volumes_and_images_count_with_their_whole_size() -> None:
    assert size_of([Resource(VOLUME, "v", facts={"size": 10}), Resource(SERVER, "s"),
                    Resource(IMAGE, "i", facts={"size": 5 * MIB}), Resource(IMAGE, "q")]
                   ) == 10 * GIB + 5 * MIB


def test_the_operators_guess_counts_until_something_was_seen() -> None:
    assert seconds(Verb.PROTECT, 20 * MIB, [], 10.0) == AT_LEAST + 2
    assert seconds(Verb.DELETE, 20 * GIB, [], 10.0) == AT_LEAST


def test_the_slowest_of_what_was_seen_counts_then() -> None:
    earlier = [done(100 * GIB, 100.0), done(10 * GIB, 100.0), done(1000, 100.0),
               done(100 * GIB, 9e9, state=OperationState.FAILED),
               done(100 * GIB, 9e9, verb=Verb.RESTORE)]
    assert seconds(Verb.PROTECT, GIB, earlier, 1e-3) == AT_LEAST + 10
