"""How restores and verifications stand, resource by resource."""

from __future__ import annotations

from dataclasses import replace

import pytest

from karbor.api.v1 import operation_logs, operation_results
from karbor.domain.operation import Operation, OperationState, Verb
from karbor.domain.resource import VOLUME, Resource, ResourceGraph
from karbor.domain.step import Hook, Progress, Step, StepState

DATA = Resource(VOLUME, "old", "data")
GRAPH = ResourceGraph.build([DATA], lambda level: {})
RESTORE = Operation("r", Verb.RESTORE, "p", {}, {"rung": "trust"}, {}, "c",
                    state=OperationState.RUNNING, plan={"graph": GRAPH.to_dict()})
ERROR = {"error": "RemoteFailed", "message": "no space", "resource": "volume data",
         "remedy": "make some"}


def step(number: int, state: StepState, **more: object) -> Step:
    return replace(Step(number, DATA.key, Hook.MAIN, f"stage-{number}", state=state), **more)   # type: ignore[arg-type]


def test_a_restored_volume_is_one_entry_under_its_new_id() -> None:
    made = step(1, StepState.DONE, saved={"id": "new"})
    filling = step(2, StepState.RUNNING, handle={"id": "new"})
    assert operation_results.restored(RESTORE, [made, filling]) == (
        {f"{VOLUME}#new": "restoring"},
        {},
    )
    done = replace(RESTORE, state=OperationState.DONE)
    filled = step(2, StepState.DONE, saved={"id": "new"})
    assert operation_results.restored(done, [made, filled]) == ({f"{VOLUME}#new": "available"}, {})


def test_a_restore_that_failed_says_what_and_why_and_what_is_left() -> None:
    failed = replace(RESTORE, state=OperationState.FAILED, error=ERROR)
    gone = step(1, StepState.UNDONE, saved={"id": "new"})
    left = step(2, StepState.LEFT, saved={"id": "other"}, error={"message": "is stuck"})
    states, reasons = operation_results.restored(failed, [gone, left])
    assert states == {f"{VOLUME}#new": "deleted", f"{VOLUME}#other": "error"}
    assert reasons == {f"{VOLUME}#other": "is stuck",
                       "checkpoint#c": "volume data: no space (make some)"}


def test_one_that_failed_while_it_was_planned_says_every_obstacle() -> None:
    failed = replace(RESTORE, plan={}, state=OperationState.FAILED, error={
        "message": "cannot be restored", "obstacles": [{"what": "no flavor", "remedy": "--map"},
                                                       {"what": "no key"}]})
    assert operation_results.restored(failed, []) == (
        {}, {"checkpoint#c": "cannot be restored; no flavor (--map); no key"})


def test_a_verification_tells_each_proof_and_each_damage() -> None:
    over = Operation("v", Verb.VERIFY, "p", {}, {}, {}, "c", state=OperationState.FAILED, result={
        "verified": [{"type": VOLUME, "id": "a", "unproved": "Cinder keeps the bytes"},
                     {"type": VOLUME, "id": "b", "error": "is gone"}]}, error=ERROR)
    states, reasons = operation_results.verified(over, [])
    assert states == {f"{VOLUME}#a": "available", f"{VOLUME}#b": "error"}
    assert reasons[f"{VOLUME}#b"] == "is gone"
    assert reasons["checkpoint#c"] == "volume data: no space (make some)"


@pytest.mark.parametrize(("verb", "state", "status"), [
    (Verb.PROTECT, OperationState.QUEUED, "protecting"),
    (Verb.PROTECT, OperationState.DONE, "available"),
    (Verb.PROTECT, OperationState.CANCELLED, "error"),
    (Verb.DELETE, OperationState.UNDOING, "deleting"),
    (Verb.DELETE, OperationState.DONE, "deleted"),
    (Verb.DELETE, OperationState.FAILED, "error-deleting"),
    (Verb.RESTORE, OperationState.PLANNING, "in_progress"),
    (Verb.VERIFY, OperationState.FAILED, "fail")])
def test_an_operation_log_speaks_of_the_checkpoint_or_the_run(
        verb: Verb, state: OperationState, status: str) -> None:
    one = replace(RESTORE, verb=verb, state=state)
    assert operation_logs.status(one) == status
    assert (verb, state) in (operation_logs.states_for(status) or [])


def test_the_log_of_a_restore_says_what_it_could_not_give_back() -> None:
    restored = [{"type": VOLUME, "old_id": "v", "name": "data", "id": "w", "not_restored": [
        {"field": "description", "why": "refused"}]}]
    done = replace(RESTORE, state=OperationState.DONE, result={"restored": restored})
    assert operation_logs._view(done).extra_info["not_restored"] == [
        "volume data: description: refused"]
    assert "not_restored" not in operation_logs._view(RESTORE).extra_info


def test_progress_is_told_for_each_resource() -> None:
    steps = [step(1, StepState.DONE, progress=Progress(5, 5, "GiB", "done")),
             step(2, StepState.RUNNING, progress=Progress(1, 4, "MiB", "copying"))]
    [line] = operation_logs.progress(RESTORE, steps)
    assert (line.status, line.steps_done, line.steps_total) == ("started", 1, 2)
    assert (line.done, line.total, line.unit, line.doing) == (1, 4, "MiB", "stage-2")
    assert line.reason == ""


def test_what_a_resource_waits_for_is_told() -> None:
    steps = [step(1, StepState.DONE, progress=Progress(5, 5, "GiB", "done")),
             step(2, StepState.WAITING, progress=Progress(text="waits for others"))]
    [line] = operation_logs.progress(RESTORE, steps)
    assert (line.status, line.done, line.total) == ("started", 5, 5)
    assert (line.doing, line.reason) == ("stage-2", "waits for others")
