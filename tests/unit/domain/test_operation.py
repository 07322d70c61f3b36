from __future__ import annotations

import uuid
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from karbor.domain.checkpoint import Checkpoint, CheckpointState, Evidence, Kept
from karbor.domain.identifiers import time_ordered_uuid
from karbor.domain.operation import OperationState
from karbor.domain.resource import ResourceGraph

NOTHING = ResourceGraph()


def test_an_operation_that_is_over_only_goes_back_to_removing_what_it_left() -> None:
    becomes = {state: {other for other in OperationState if state.may_become(other)}
               for state in OperationState if state.over}
    assert becomes == {OperationState.DONE: set(),
                       OperationState.FAILED: {OperationState.UNDOING},
                       OperationState.CANCELLED: {OperationState.UNDOING}}


def test_every_state_can_still_come_to_an_end() -> None:
    for state in OperationState:
        reachable, todo = {state}, [state]
        while todo:
            here = todo.pop()
            new = {other for other in OperationState if here.may_become(other)} - reachable
            reachable |= new
            todo.extend(new)
        assert any(one.over for one in reachable)


@given(st.lists(st.floats(1e9, 4e9), min_size=2, max_size=20))
def test_checkpoint_ids_sort_by_time(times: list[float]) -> None:
    ordered = sorted({round(one, 2) for one in times})
    ids = [time_ordered_uuid(one) for one in ordered]
    assert ids == sorted(ids)
    assert all(uuid.UUID(one).version == 7 for one in ids)


def test_an_id_with_a_name_is_the_same_in_every_process() -> None:
    expected = "01a0c450-6cfa-73d9-a5f1-fd7eb12ebf66"
    assert time_ordered_uuid(1790000000.25, "s 2026-11-26") == expected
    assert time_ordered_uuid(1790000000.25, "another") != expected


def checkpoint(*levels: Evidence | None) -> Checkpoint:
    kept = {str(i): Kept(str(i), {"stage": {}}, level) for i, level in enumerate(levels)}
    return Checkpoint("c", "p", "n", 0.0, CheckpointState.AVAILABLE, NOTHING, kept=kept)


def test_a_checkpoint_is_proved_as_far_as_its_weakest_resource() -> None:
    assert checkpoint(Evidence.CHECKSUMS, Evidence.STATUS).evidence is Evidence.STATUS
    assert checkpoint(Evidence.CHECKSUMS, Evidence.OBJECTS).evidence is Evidence.OBJECTS
    assert checkpoint(Evidence.CHECKSUMS, None).evidence is None
    assert checkpoint().evidence is None


def test_what_holds_nothing_itself_needs_no_proof() -> None:
    volume = checkpoint(Evidence.OBJECTS)
    kept = {**volume.kept, "project": Kept("project", {})}
    assert replace(volume, kept=kept).evidence is Evidence.OBJECTS
