"""What is accepted at once, and found out while it is planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest
from karbor_testing.bank import MemoryBank

from karbor.application.admission import Admission
from karbor.application.requests import (
    DeleteRequest,
    ProtectRequest,
    RequestContext,
    RestoreOptions,
    RestoreRequest,
    VerifyRequest,
)
from karbor.checkpoints.repository import CheckpointRepository
from karbor.domain.caller import Caller
from karbor.domain.checkpoint import Checkpoint, CheckpointState
from karbor.domain.errors import BadInput, Conflict, NoLastingCredential, NotFound
from karbor.domain.operation import Operation, Verb
from karbor.domain.resource import Resource, ResourceGraph
from karbor.operations.execution_context import ExecutionContext, Provider
from karbor.operations.parameters import applicable, fitted
from karbor.operations.protect import Protect
from karbor.operations.run import Lookup, Run
from karbor.operations.runner import OperationRunner
from karbor.operations.selection import resolve
from karbor.plugin.protectable import DiscoveryLists
from karbor.plugin.protection import Protection

BOX = "Toy::Box"
PART = "Toy::Part"
GOLD = {"labels": ["web", "backup=gold"]}
BOXES = [Resource(BOX, "b1", "red", facts=GOLD), Resource(BOX, "b2", "blue")]


class Cloud:
    user_id, project_id, project_name = "u", "p", "toys"


class Boxes:
    type: ClassVar[str] = BOX
    parents: ClassVar[frozenset[str]] = frozenset()

    def list(self, listings: DiscoveryLists) -> Sequence[Resource]:
        return BOXES

    def dependents(self, parents: Sequence[Resource], listings: DiscoveryLists
                   ) -> Mapping[str, Sequence[Resource]]:
        return {}


class BoxProtection(Protection):
    types = frozenset({BOX})

    def options_schema(self, verb: str) -> Mapping[str, Any]:
        return {"type": "object", "additionalProperties": False, "properties": {
            "depth": {"type": "integer", "minimum": 1}, "lid": {"type": "boolean"}}}


class Records:
    def __init__(self) -> None:
        self.kept: list[Operation] = []

    def list(self, project_id: str, *, limit: int | None = None) -> Sequence[Operation]:
        return [one for one in self.kept if one.project_id == project_id][:limit]


class Delegation:
    def choose(self, needed: float) -> Mapping[str, Any]:
        return {"rung": "own login", "cloud": "toys", "needed": needed}


PROTECTABLES: Mapping[str, Any] = {BOX: Boxes()}


@pytest.fixture
def bank() -> MemoryBank:
    return MemoryBank()


@pytest.fixture
def setting(bank: MemoryBank) -> ExecutionContext:
    provider = Provider("prov", "toys", bank, {BOX: BoxProtection()})
    return ExecutionContext(provider, PROTECTABLES, lambda _operation: Cloud(), lambda: 1000.0)   # type: ignore[arg-type, return-value]


@pytest.fixture
def records() -> Records:
    return Records()


@pytest.fixture
def admission(setting: ExecutionContext, records: Records) -> Admission:
    return Admission(setting, records)       # type: ignore[arg-type]


@pytest.fixture
def context() -> RequestContext:
    return RequestContext(Caller("u", "p"), Delegation())      # type: ignore[arg-type]


def order(**changes: Any) -> ProtectRequest:
    return ProtectRequest(**{"plan_id": "plan", "name": "shop", "resources": [
        {"type": BOX, "id": "b2", "name": "azure"}], **changes})


def keep(bank: MemoryBank, state: CheckpointState = CheckpointState.AVAILABLE,
         provider: str = "prov") -> Checkpoint:
    graph = ResourceGraph.build([BOXES[0]], lambda level: {})
    made = Checkpoint("c1", "p", "first", 1.0, state, graph, provider_id=provider)
    CheckpointRepository(bank, "p").begin(made)
    CheckpointRepository(bank, "p").conclude(made)
    return made


def planned(operation: Operation, setting: ExecutionContext) -> Any:
    return Protect().plan(Run(operation, setting))


# ---------------------------------------------------------------- protect
def test_a_plan_is_accepted_unseen_and_looked_up_when_it_is_planned(
    admission: Admission, context: RequestContext, setting: ExecutionContext, bank: MemoryBank
) -> None:
    origin = {"created_by": "manual", "plan": {"id": "plan"}}
    drafted = admission.protect(context, order(origin=origin, parameters={
        BOX: {"depth": "2", "lid": "True"}, "Toy::Ball": {"size": "9"}})).operation
    assert (drafted.verb, drafted.request["plan_id"]) == (Verb.PROTECT, "plan")
    assert planned(drafted, setting).plan["parameters"] == {BOX: {"depth": 2, "lid": True}}
    kept = CheckpointRepository(bank, "p").show(drafted.checkpoint_id)
    assert kept.graph is not None
    assert [one.name for one in kept.graph] == ["blue"]     # as it is called now
    assert (kept.origin, kept.parameters) == (origin, {BOX: {"depth": 2, "lid": True}})


@pytest.mark.parametrize(("changes", "error"), [
    ({"resources": [{"type": BOX, "id": "gone"}]}, "has no Toy::Box gone"),
    ({"resources": [{"type": "Toy::Ball", "id": "b1"}]}, "nothing here finds .* Toy::Ball"),
    ({"resources": [], "selectors": [{"type": BOX, "tags": ["silver"]}]}, "selectors look for"),
    ({"parameters": {BOX: {"depth": "deep"}}}, "depth must be an integer, not 'deep'")])
def test_what_does_not_fit_fails_before_anything_is_written(
    admission: Admission,
    context: RequestContext,
    setting: ExecutionContext,
    changes: Mapping[str, Any],
    error: str,
) -> None:
    drafted = admission.protect(context, order(**changes)).operation
    with pytest.raises(BadInput, match=error):
        planned(drafted, setting)
    assert setting.provider.bank.list() == []


def test_a_plan_of_nothing_is_refused(admission: Admission, context: RequestContext) -> None:
    with pytest.raises(BadInput, match="names no resources"):
        admission.protect(context, order(resources=[]))


def test_what_the_credential_does_not_last_for_fails_before_anything_is_written(
    admission: Admission, context: RequestContext, setting: ExecutionContext, bank: MemoryBank
) -> None:
    drafted = admission.protect(context, order()).operation
    short = Operation(**{**vars(drafted), "credential": {"rung": "x", "until": 1030.0}})
    with pytest.raises(NoLastingCredential, match="expected to take"):
        planned(short, setting)
    assert bank.list() == []


def test_the_same_plan_is_expected_to_take_as_long_as_before(
        admission: Admission, context: RequestContext, records: Records) -> None:
    first = admission.protect(context, order()).operation
    records.kept.append(Operation(**{**vars(first), "plan": {"size": 100 << 30}}))
    second = admission.protect(context, order()).operation
    assert second.credential["needed"] > first.credential["needed"] + 5000
    assert admission.protect(
        context, order(plan_id="other")).operation.credential == first.credential


@pytest.mark.parametrize(("age", "names"), [(30.0, ["red"]), (61.0, ["blue"])])
def test_what_was_looked_up_for_a_draft_is_used_for_a_minute(
        admission: Admission, context: RequestContext, setting: ExecutionContext, age: float,
        names: list[str]) -> None:
    looked_up = Lookup(ResourceGraph.build([BOXES[0]], lambda level: {}), 1000.0 - age)
    runner = OperationRunner(setting, looked_up)
    drafted = admission.protect(context, order()).operation
    planned = runner.plan(drafted).plan
    assert [each.name for each in ResourceGraph.from_dict(planned["graph"])] == names
    again = runner.plan(drafted).plan       # the first planning may have failed because of it
    assert [each.name for each in ResourceGraph.from_dict(again["graph"])] == ["blue"]


# ---------------------------------------------------------------- selectors, parameters
@pytest.mark.parametrize(("selector", "names"), [
    ({"type": BOX, "tags": ["web"]}, ["red"]),
    ({"type": BOX, "tags": ["backup=gold"], "metadata": {}}, ["red"]),
    ({"type": BOX, "metadata": {"backup": "gold"}, "tags": ["web"]}, ["red"]),
    ({"type": BOX}, ["red", "blue"])])
def test_selectors_mean_what_bears_all_their_labels(selector: Mapping[str, Any],
                                                    names: list[str]) -> None:
    found = resolve([], [selector], PROTECTABLES, DiscoveryLists(Cloud()))    # type: ignore[arg-type]
    assert [one.name for one in found] == names


def test_a_selector_of_labels_that_nothing_has_all_of_adds_nothing() -> None:
    found = resolve([{"type": BOX, "id": "b2"}], [{"type": BOX, "tags": ["web", "db"]}],
                    PROTECTABLES, DiscoveryLists(Cloud()))                    # type: ignore[arg-type]
    assert [one.id for one in found] == ["b2"]


def test_texts_are_read_as_the_schema_wants_them() -> None:
    schema = {"properties": {"a": {"type": "boolean"}, "b": {"type": "integer"},
                             "c": {"type": "number"}, "d": {"type": "string"}}}
    given = {"a": "False", "b": "-3", "c": "1.5", "d": "7", "e": "x"}
    assert fitted(given, schema) == {"a": False, "b": -3, "c": 1.5, "d": "7", "e": "x"}
    assert fitted({"a": "yes", "b": "1.5"}, schema) == {"a": "yes", "b": "1.5"}


def test_parameters_of_what_is_not_there_today_do_not_apply() -> None:
    graph = ResourceGraph.build([BOXES[0]], lambda level: {})
    given: Mapping[str, Any] = {BOX: {}, f"{BOX}#b1": {}, f"{BOX}#b9": {}, "Toy::Ball": {}}
    assert set(applicable(given, "protect", graph, {BOX: BoxProtection()})) == {BOX, f"{BOX}#b1"}


# ---------------------------------------------------------------- restore, verify, delete
def test_a_restore_has_its_parameters_checked(
    admission: Admission, context: RequestContext, bank: MemoryBank
) -> None:
    keep(bank)
    made = admission.restore(context, RestoreRequest("c1", RestoreOptions(
        parameters={f"{BOX}#b1": {"depth": "3"}}), "http://elsewhere")).operation
    assert (made.verb, made.checkpoint_id) == (Verb.RESTORE, "c1")
    assert made.request["parameters"] == {f"{BOX}#b1": {"depth": 3}}
    with pytest.raises(BadInput, match="parameters for Toy::Ball: the checkpoint holds nothing"):
        admission.restore(context, RestoreRequest("c1", RestoreOptions(
            parameters={"Toy::Ball": {}})))
    with pytest.raises(BadInput, match="depth must be at least 1"):
        admission.restore(context, RestoreRequest("c1", RestoreOptions(
            parameters={BOX: {"depth": "0"}})))


@pytest.mark.parametrize("verb", ["restore", "verify"])
def test_only_an_available_checkpoint_of_this_project_and_provider_is_read(
        admission: Admission, context: RequestContext, bank: MemoryBank, verb: str) -> None:
    ask, request = {"restore": (admission.restore, RestoreRequest("c1")),
                    "verify": (admission.verify, VerifyRequest("c1"))}[verb]
    with pytest.raises(NotFound, match="no checkpoint c1"):
        ask(context, request)       # type: ignore[operator]
    keep(bank, CheckpointState.ERROR)
    with pytest.raises(Conflict, match="is error"):
        ask(context, request)       # type: ignore[operator]


def test_what_another_provider_keeps_does_not_exist_here(
        admission: Admission, context: RequestContext, bank: MemoryBank) -> None:
    keep(bank, provider="another")
    with pytest.raises(NotFound, match="provider toys has no checkpoint c1"):
        admission.delete(context, DeleteRequest("c1"))


def test_a_delete_may_be_asked_for_twice_under_one_id(admission: Admission, context: RequestContext,
                                                      bank: MemoryBank) -> None:
    keep(bank, CheckpointState.ERROR)
    made = admission.delete(context, DeleteRequest("c1", "known")).operation
    assert (made.id, made.verb) == ("known", Verb.DELETE)
