"""What is checked before an operation is written down."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pytest
from karbor_testing.bank import MemoryBank

from karbor.application.admission import Admission, Draft
from karbor.application.requests import (
    CopyRequest,
    DeleteRequest,
    ProtectRequest,
    RequestContext,
    RestoreOptions,
    RestoreRequest,
    VerifyRequest,
)
from karbor.checkpoints.deferred_deletions import DeferredDeletions
from karbor.checkpoints.repository import CheckpointRepository
from karbor.domain.caller import Caller
from karbor.domain.checkpoint import Checkpoint, CheckpointState, Kept
from karbor.domain.errors import (
    AmbiguousName,
    BadInput,
    BankFull,
    CloudForbidden,
    CloudUnavailable,
    Conflict,
    KarborError,
    KeystoneUnreachable,
    NoLastingCredential,
    NotFound,
    ObjectDamaged,
    Obstacles,
    StoreUnavailable,
    UnknownName,
)
from karbor.domain.identifiers import time_ordered_uuid
from karbor.domain.operation import Operation, OperationState, Verb
from karbor.domain.operation_conflicts import check_conflicts
from karbor.domain.resource import VOLUME, Resource, ResourceGraph
from karbor.domain.step import Hook
from karbor.domain.verification import Damage, Verification
from karbor.operations.execution_context import ExecutionContext, Provider
from karbor.operations.parameters import misfit, parameters_of
from karbor.operations.restore_mapping import check_mapping
from karbor.operations.runner import OperationRunner
from karbor.plugin.protectable import DiscoveryLists
from karbor.plugin.protection import Obstacle, Protection, Stage, Stages, Target, Work
from karbor.protections.option_schemas import TEXT

BOX = "Toy::Box"
BOXES = [Resource(BOX, "b1", "red"), Resource(BOX, "b2", "blue"), Resource(BOX, "b3", "blue")]


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

    def __init__(self) -> None:
        self.obstacles: list[Obstacle] = []
        self.targets: list[Target] = []
        self.asked: list[str] = []
        self.refusing: dict[str, Exception] = {}

    def protect_obstacles(self, resources: Sequence[Resource], cloud: Any) -> Sequence[Obstacle]:
        return self.obstacles

    def restore_obstacles(self, resources: Sequence[Resource], target: Target
                          ) -> Sequence[Obstacle]:
        self.targets.append(target)
        return self.obstacles

    def restore_preview(self, resource: Resource, target: Target) -> Sequence[str]:
        return [f"make {target.parameters(resource).get('restore_name', resource.name)}"]

    def delete_deferred(self, facts: Mapping[str, Any], cloud: Any) -> bool:
        self.asked.append(facts["id"])
        if facts["id"] in self.refusing:
            raise self.refusing[facts["id"]]
        return True

    def options_schema(self, verb: str) -> Mapping[str, Any]:
        properties = {"protect": {"depth": {"type": "integer", "minimum": 1}},
                      "restore": {"restore_name": {"type": "string"}}}.get(verb, {})
        return {"type": "object", "properties": properties, "additionalProperties": False}


@dataclass
class Records:
    """As the store, in memory."""

    kept: list[Operation] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    trusts: dict[str, str] = field(default_factory=dict)
    offered: list[str] = field(default_factory=list)

    def note(self, operation_id: str, at: float, text: str) -> None:
        assert operation_id in {one.id for one in self.kept}
        self.notes.append((operation_id, text))

    def add(self, operation: Operation, *, trust: str = "", offered: bool = False) -> None:
        if not operation.state.over:
            check_conflicts(self.live(operation.project_id), reads=operation.reads,
                            changes=operation.changes)
        self.kept.append(operation)
        self.offered += [operation.id] if offered else []
        self.trusts[operation.id] = trust

    def withdraw(self, operation_id: str) -> None:
        self.kept = [one for one in self.kept if one.id != operation_id]

    def refuse(self, operation_id: str, error: Mapping[str, Any], now: float) -> None:
        self.kept = [replace(one, state=OperationState.FAILED, error=error)
                     if one.id == operation_id else one for one in self.kept]

    def represent(self, operation_id: str, credential: Mapping[str, Any], trust: str) -> None:
        self.kept = [replace(one, credential=credential) if one.id == operation_id else one
                     for one in self.kept]
        self.trusts[operation_id] = trust

    def list(self, project_id: str, *, limit: int | None = None) -> Sequence[Operation]:
        return [one for one in self.kept if one.project_id == project_id][:limit]

    def live(self, project_id: str, checkpoint_id: str | None = None) -> Sequence[Operation]:
        return [one for one in self.list(project_id) if not one.state.over
                and (checkpoint_id is None or checkpoint_id in one.reads | one.changes)]

    def show(self, project_id: str, id_or_prefix: str) -> Operation:
        for one in self.list(project_id):
            if one.id == id_or_prefix:
                return one
        raise NotFound(id_or_prefix)


@pytest.fixture
def protection() -> BoxProtection:
    return BoxProtection()


@pytest.fixture
def bank() -> MemoryBank:
    return MemoryBank()


@pytest.fixture
def records() -> Records:
    return Records()


@pytest.fixture
def connected() -> list[str]:
    """Which operations were connected to the cloud."""
    return []


@pytest.fixture
def admission(protection: BoxProtection, bank: MemoryBank, records: Records,
              connected: list[str]) -> Admission:
    clock = itertools.count(1000.0)

    def connect(operation: Operation) -> Any:
        connected.append(operation.id)
        return Cloud()

    return Admission(
        ExecutionContext(
            Provider("prov", "toys", bank, {BOX: protection}),
            {BOX: Boxes()},
            connect,
            lambda: next(clock),
        ),
        records,
    )


@dataclass
class Trusting:
    """A caller who makes a trust when told to; `heard` are the times that were asked for."""

    wanted: bool = False
    refused: KarborError | None = None
    lasts: float = 1e9
    heard: list[float] = field(default_factory=list)

    def choose(self, needed: float) -> Mapping[str, Any]:
        self.heard.append(needed)
        if needed > self.lasts:
            raise NoLastingCredential("nothing lasts so long")
        return {"rung": "own login", "cloud": "toys", "needed": needed,
                **({"trust": "wanted"} if self.wanted else {})}

    def grant(self, credential: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.refused:
            raise self.refused
        return {**credential, "trust": "t1"}

    def wants(self, credential: Mapping[str, Any]) -> str:
        return str(credential.get("trust", ""))


@pytest.fixture
def trusting() -> Trusting:
    return Trusting()


@pytest.fixture
def context(trusting: Trusting) -> RequestContext:
    return RequestContext(Caller("u", "p"), trusting, Cloud())


def keep(bank: MemoryBank, state: CheckpointState = CheckpointState.AVAILABLE) -> Checkpoint:
    graph = ResourceGraph.build([BOXES[0]], lambda level: {})
    made = Checkpoint(time_ordered_uuid(1.0), "p", "first", 1.0, state, graph,
                      operation_id="op-elsewhere")
    checkpoints = CheckpointRepository(bank, "p")
    checkpoints.begin(made)
    if state is not CheckpointState.PROTECTING:
        checkpoints.conclude(made)
    return made


# ---------------------------------------------------------------- protect
def test_a_protect_is_written_down_with_all_that_was_found(
    admission: Admission, context: RequestContext, records: Records
) -> None:
    draft = admission.protect(context, ProtectRequest(["red"], parameters={BOX: {"depth": 2}}))
    assert records.kept == []
    accepted = admission.accept(draft, context.delegation)
    assert records.kept == [accepted]
    assert (accepted.verb, accepted.state) == (Verb.PROTECT, OperationState.QUEUED)
    assert accepted.request == {"resources": [BOXES[0].to_dict()], "name": "red",
                                "parameters": {BOX: {"depth": 2}}, "size": 0,
                                "provider_id": "prov"}
    assert accepted.credential == {"rung": "own login", "cloud": "toys", "needed": 60.0}
    assert Caller.from_dict(accepted.caller) == context.caller
    assert parameters_of(accepted, BOXES[0]) == {"depth": 2}
    assert len(accepted.id) == len(accepted.checkpoint_id) == 36


@pytest.mark.parametrize(("words", "error"), [
    ([], BadInput), (["green"], UnknownName), (["blue"], AmbiguousName)])
def test_names_must_say_which(admission: Admission, context: RequestContext, words: list[str],
                              error: type[Exception]) -> None:
    with pytest.raises(error):
        admission.protect(context, ProtectRequest(words))


@pytest.mark.parametrize(("parameters", "why"), [
    ({BOX: {"height": 1}}, r"no option height \(it takes: depth\)"),
    ({BOX: {"depth": 0}}, "depth must be at least 1"),
    ({BOX: {"depth": "2"}}, "depth must be an integer, not '2'"),
    ({"Toy::Ball": {}}, "no such resource type")])
def test_parameters_must_fit(
    admission: Admission, context: RequestContext, parameters: Any, why: str
) -> None:
    with pytest.raises(BadInput, match=why):
        admission.protect(context, ProtectRequest(["red"], parameters=parameters))


def test_obstacles_and_a_full_bank_are_found_before(
    admission: Admission,
    context: RequestContext,
    bank: MemoryBank,
    protection: BoxProtection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    protection.obstacles = [Obstacle("the lid is nailed")]
    with pytest.raises(Obstacles, match="the lid is nailed"):
        admission.protect(context, ProtectRequest(["red"]))
    protection.obstacles = []
    admission.protect(context, ProtectRequest(["red"]))
    assert bank.list() == []        # the probe leaves nothing

    def full(*_arguments: Any, **_options: Any) -> None:
        raise BankFull("no space")
    monkeypatch.setattr(bank, "put", full)
    with pytest.raises(BankFull):
        admission.protect(context, ProtectRequest(["red"]))


@pytest.mark.parametrize("verb", [Verb.PROTECT, Verb.RESTORE])
@pytest.mark.parametrize(("roles", "stands"), [
    (("reader",), True), (("reader", "member"), False), (("gardener",), False), ((), False)])
def test_who_may_only_read_is_told_before(
    *,
    admission: Admission,
    context: RequestContext,
    bank: MemoryBank,
    verb: Verb,
    roles: tuple[str, ...],
    stands: bool,
) -> None:
    keep(bank)
    context = replace(context, caller=replace(context.caller, roles=roles))
    if not stands:
        drafted(admission, context, verb)
        return
    with pytest.raises(Obstacles) as caught:
        drafted(admission, context, verb)
    [found] = caught.value.found
    assert "but reader, which only reads: the cloud would refuse" in found["what"]
    assert "[credentials] reader_roles" in found["remedy"]


@pytest.mark.parametrize(("left", "warned"), [(1 << 20, True), (2 << 20, False), (None, False)])
def test_a_bank_with_less_room_than_may_be_needed_is_warned_of(
    *,
    admission: Admission,
    context: RequestContext,
    bank: MemoryBank,
    protection: BoxProtection,
    left: int | None,
    warned: bool,
) -> None:
    protection.stored_bytes = lambda resource: 2 << 20      # type: ignore[method-assign]
    draft = admission.protect(context, ProtectRequest(["red"]))
    assert not draft.warnings       # this bank does not tell
    bank.room = lambda: left        # type: ignore[attr-defined]
    told = admission.protect(context, ProtectRequest(["red"])).warnings
    assert list(told) == ([
        ("the bank of provider toys has room for 1.0 MiB, and up to 2.0 MiB will be written to it, "
         "less as far as they can be compressed: make room in it, or raise its quota")]
        if warned else [])


def test_a_protection_that_tells_no_preview_is_not_said_to_make_nothing(
    admission: Admission, context: RequestContext, bank: MemoryBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(bank)
    monkeypatch.delattr(BoxProtection, "restore_preview")
    assert {line for _, line in admission.restore(context, RestoreRequest("first")).preview} == {
        "its protection (BoxProtection) does not say what would be made"}


# ---------------------------------------------------------------- sweeping
@pytest.mark.parametrize(("handed_on", "asked"), [(True, 0), (False, 1)])
def test_what_stands_in_the_way_of_a_restore_is_asked_once_with_its_draft(
    *, admission: Admission, context: RequestContext, bank: MemoryBank, protection: BoxProtection,
    handed_on: bool, asked: int,
) -> None:
    keep(bank)
    draft = admission.restore(context, RestoreRequest("first"))
    before = len(protection.targets)
    setting = ExecutionContext(Provider("prov", "toys", bank, {BOX: protection}), {BOX: Boxes()},
                               lambda _operation: Cloud(), lambda: 1010.0)    # type: ignore[arg-type, return-value]
    planned = OperationRunner(setting, draft.lookup if handed_on else None).plan(draft.operation)
    assert len(protection.targets) - before == asked
    assert planned.plan["graph"] == draft.graph.to_dict()


def drafted(admission: Admission, context: RequestContext, verb: Verb) -> Draft:
    return {Verb.PROTECT: lambda: admission.protect(context, ProtectRequest(["red"])),
            Verb.RESTORE: lambda: admission.restore(context, RestoreRequest("first")),
            Verb.VERIFY: lambda: admission.verify(context, VerifyRequest("first")),
            Verb.DELETE: lambda: admission.delete(context, DeleteRequest("first")),
            Verb.COPY: lambda: admission.copy(context, CopyRequest("first", vault()))}[verb]()


def vault() -> Provider:
    """Where copies go."""
    return Provider("elsewhere", "vault", MemoryBank(), {BOX: BoxProtection()})


@pytest.mark.parametrize("verb", [Verb.PROTECT, Verb.RESTORE, Verb.VERIFY])
@pytest.mark.parametrize("resumed", [False, True])
def test_every_operation_removes_once_what_deletions_left(
    *,
    admission: Admission,
    context: RequestContext,
    bank: MemoryBank,
    records: Records,
    verb: Verb,
    protection: BoxProtection,
    resumed: bool,
) -> None:
    keep(bank)
    deferred_deletions = DeferredDeletions(bank, "p")
    draft = drafted(admission, context, verb)
    if resumed:
        accepted = admission.accept(draft, context.delegation)
    for one in ("b0", "b9"):
        deferred_deletions.add(BOX, one, {})
    if resumed:
        admission.tidy(accepted)
    else:
        accepted = admission.accept(draft, context.delegation)
    assert deferred_deletions.all() == []
    assert protection.asked == ["b0", "b9"]
    assert records.notes == [
        (accepted.id, "removed what earlier deletions had to leave: b0, b9")]


def test_a_delete_leaves_sweeping_to_its_end(
    admission: Admission, context: RequestContext, bank: MemoryBank, protection: BoxProtection
) -> None:
    keep(bank)
    DeferredDeletions(bank, "p").add(BOX, "b0", {})
    admission.tidy(admission.accept(drafted(admission, context, Verb.DELETE), context.delegation))
    assert protection.asked == []


@pytest.mark.parametrize("verb", list(Verb))
def test_where_nothing_was_left_no_cloud_is_asked(
    *,
    admission: Admission,
    context: RequestContext,
    bank: MemoryBank,
    records: Records,
    verb: Verb,
    connected: list[str],
) -> None:
    keep(bank)
    DeferredDeletions(bank, "other").add(BOX, "b0", {})
    admission.tidy(admission.accept(drafted(admission, context, verb), context.delegation))
    assert connected == []
    assert records.notes == []


@pytest.mark.parametrize(("error", "asked"), [
    (CloudForbidden("policy forbids it"), ["b0", "b9"]),    # the others may go all the same
    (CloudUnavailable("nobody answers"), ["b0"]),           # they would wait in vain
    (ZeroDivisionError("a bug"), ["b0"])])
def test_an_error_in_sweeping_is_told_and_hinders_nothing(
    *,
    admission: Admission,
    context: RequestContext,
    bank: MemoryBank,
    records: Records,
    error: Exception,
    asked: list[str],
    protection: BoxProtection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    keep(bank)
    for one in ("b0", "b9"):
        DeferredDeletions(bank, "p").add(BOX, one, {})
    protection.refusing["b0"] = error
    accepted = admission.accept(drafted(admission, context, Verb.VERIFY), context.delegation)
    assert records.kept == [accepted]
    assert protection.asked[:2] == asked
    assert protection.asked.count("b0") == 1
    assert len(DeferredDeletions(bank, "p").all()) == 3 - len(asked)
    id, text = records.notes[-1]
    assert id == accepted.id
    assert text.startswith("what earlier deletions had to leave is still there: ")
    assert str(error) in text
    assert text in caplog.text


def test_a_bank_or_a_journal_that_fails_while_sweeping_hinders_nothing(
        *, admission: Admission, context: RequestContext, bank: MemoryBank, records: Records,
        monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    keep(bank)
    bank.put("projects/p/tombstones/box-b0.json", [b"{"])
    draft = drafted(admission, context, Verb.VERIFY)

    def locked(*_arguments: Any) -> None:
        raise StoreUnavailable("the database is locked")
    monkeypatch.setattr(records, "note", locked)
    assert records.kept == [admission.accept(draft, context.delegation)]
    assert "unexpected JSONDecodeError" in caplog.text
    assert "the database is locked" in caplog.text


# ---------------------------------------------------------------- restore, verify, delete
def test_a_restore_is_checked_with_its_wishes(
    admission: Admission, context: RequestContext, bank: MemoryBank, protection: BoxProtection
) -> None:
    made = keep(bank)
    options = RestoreOptions({"red": "new"}, keep=True, names={"red": "crimson"})
    draft = admission.restore(context, RestoreRequest("first", options))
    assert draft.operation.checkpoint_id == made.id
    assert draft.operation.request["keep"]
    assert list(draft.preview) == [(BOXES[0], "make crimson")]
    assert protection.targets[0].mapping == {"red": "new"}
    with pytest.raises(UnknownName, match="green"):
        admission.restore(context, RestoreRequest(
            "first", RestoreOptions(names={"green": "x"})))


def test_a_restore_is_told_of_damage(
    admission: Admission, context: RequestContext, bank: MemoryBank
) -> None:
    made = keep(bank)
    assert admission.restore(context, RestoreRequest("first")).warnings == ()
    CheckpointRepository(bank, "p").note_verified(made.id, Verification("op", 5.0, "", (
        Damage(BOXES[0].key, BOX, "b1", "red", "the lid is gone"),)))
    [told] = admission.restore(context, RestoreRequest("first")).warnings
    assert told == f"a verify found damage: {BOX} red: the lid is gone"


def test_an_answer_to_nothing_is_refused(
    admission: Admission, context: RequestContext, bank: MemoryBank
) -> None:
    made = keep(bank)
    with pytest.raises(UnknownName, match="--map smal=x: the checkpoint says smal nowhere"):
        admission.restore(context, RestoreRequest("first", RestoreOptions({"smal": "x"})))
    kept = {"flavor": {"original_name": "small", "vcpus": 1}, "zones": ["az1", None]}
    full = replace(made, kept={BOXES[0].key: Kept(BOXES[0].key, {"box": kept})})
    check_mapping({"small": "x", "az1": "y", "red": "z"}, full, {})
    with pytest.raises(UnknownName, match="original_name nowhere"):
        check_mapping({"small": "x", "original_name": "x"}, full, {})


def test_only_what_a_protection_can_do_without_is_left_out(bank: MemoryBank) -> None:
    full = replace(keep(bank), kept={BOXES[0].key: Kept(BOXES[0].key, {
        "box": {"key": "k", "flavor": "small"}})})

    class WithKey(BoxProtection):
        def optional(self, saved: Mapping[str, Any]) -> list[str]:
            return [saved["box"]["key"]]

    check_mapping({"k": ""}, full, {BOX: WithKey()})
    for old, protections in (("small", {BOX: WithKey()}), ("k", {BOX: BoxProtection()}), ("k", {})):
        with pytest.raises(BadInput, match=f"--map {old}=: only a key pair can be left out"):
            check_mapping({old: ""}, full, protections)


def test_only_a_checkpoint_that_is_available_can_be_used(
    admission: Admission, context: RequestContext, bank: MemoryBank
) -> None:
    with pytest.raises(NotFound):
        admission.restore(context, RestoreRequest("first"))
    keep(bank, CheckpointState.ERROR)
    with pytest.raises(Conflict, match="first is error"):
        admission.restore(context, RestoreRequest("first"))
    with pytest.raises(Conflict, match="first is error"):
        admission.verify(context, VerifyRequest("first"))
    assert admission.delete(context, DeleteRequest("first")).operation.verb is Verb.DELETE


def test_a_checkpoint_in_the_making_elsewhere_is_not_deleted(
    admission: Admission, context: RequestContext, bank: MemoryBank
) -> None:
    keep(bank, CheckpointState.PROTECTING)
    with pytest.raises(Conflict, match="op-elsewhere"):
        admission.delete(context, DeleteRequest("first"))


def test_a_checkpoint_whose_making_is_known_to_be_over_is_deleted(
        admission: Admission, context: RequestContext, bank: MemoryBank, records: Records) -> None:
    made = keep(bank, CheckpointState.PROTECTING)
    records.add(Operation("op-elsewhere", Verb.PROTECT, "p", {}, {}, {}, made.id,
                          OperationState.FAILED))
    assert admission.delete(context, DeleteRequest("first")).operation.checkpoint_id == made.id


@pytest.mark.parametrize("live", list(Verb))
@pytest.mark.parametrize("asked", [Verb.RESTORE, Verb.VERIFY, Verb.DELETE])
def test_nobody_works_on_a_checkpoint_that_another_changes(
    *,
    admission: Admission,
    context: RequestContext,
    bank: MemoryBank,
    records: Records,
    live: Verb,
    asked: Verb,
) -> None:
    made = keep(bank)
    other = Operation("other", live, "p", {}, {}, {"source_id": "another"}, made.id,
                      OperationState.RUNNING)
    ask: Callable[[], Draft] = {
        Verb.RESTORE: lambda: admission.restore(context, RestoreRequest(made.id)),
        Verb.VERIFY: lambda: admission.verify(context, VerifyRequest(made.id)),
        Verb.DELETE: lambda: admission.delete(context, DeleteRequest(made.id)),
    }[asked]
    draft = ask()
    records.kept.append(other)
    if {live, asked} <= {Verb.RESTORE, Verb.VERIFY}:    # readers do not disturb each other
        admission.accept(draft, context.delegation)
        return
    with pytest.raises(Conflict, match="other"):
        ask()
    with pytest.raises(Conflict, match="other"):
        admission.accept(draft, context.delegation)  # it came between the draft and its acceptance
    records.kept[:] = [replace(other, state=OperationState.FAILED)]
    admission.accept(draft, context.delegation)


def test_a_damaged_checkpoint_does_not_hide_the_others(
    admission: Admission, context: RequestContext, bank: MemoryBank
) -> None:
    made = keep(bank)
    damaged = time_ordered_uuid(2.0)
    bank.put(f"projects/p/checkpoints/{damaged}/begin.json", [b"{"])
    assert admission.verify(context, VerifyRequest("first")).operation.checkpoint_id == made.id
    with pytest.raises(NotFound, match=f"as far as can be read.*{damaged}"):
        admission.verify(context, VerifyRequest("second"))
    with pytest.raises(ObjectDamaged):
        admission.verify(context, VerifyRequest(damaged))


# ---------------------------------------------------------------- options
@pytest.mark.parametrize(("value", "schema", "why"), [
    ("a", {"type": "string", "enum": ["a", "b"]}, ""),
    ("c", {"enum": ["a", "b"]}, "must be one of a, b"),
    (True, {"type": "integer"}, "must be an integer"),
    (True, {"type": "boolean"}, ""),
    (None, {"type": ["string", "null"]}, ""),
    (9, {"maximum": 8}, "at most 8"),
    ({"a": {"b": 1}}, {"properties": {"a": {"properties": {"b": {"type": "string"}}}}}, "a.b must"),
    ({}, {"required": ["a"]}, "a is missing"),
    ([1, "x"], {"items": {"type": "integer"}}, r"\[1\] must be"),
    ("", {"minLength": 1}, "too short"),
    ("abc", {"maxLength": 2}, "too long"),
    ("müller ☃", TEXT, ""),
    ("web 🚀", TEXT, "characters that are not allowed there"),
    ({"a": 1}, {"additionalProperties": {"type": "string"}}, "a must be a string")])
def test_what_fits_an_option(value: Any, schema: dict[str, Any], why: str) -> None:
    import re

    found = misfit(value, schema)
    assert re.search(why, found) if why else found == ""


# ---------------------------------------------------------------- credentials
def test_what_a_credential_wants_is_made_after_the_record_stands(
    admission: Admission, context: RequestContext, records: Records, trusting: Trusting
) -> None:
    trusting.wanted = True
    draft = admission.protect(context, ProtectRequest(["red"]))
    seen: list[str] = []
    grant = trusting.grant

    def looking(credential: Mapping[str, Any]) -> Mapping[str, Any]:
        seen.extend([one.id for one in records.kept] + list(records.trusts.values()))
        return grant(credential)
    trusting.grant = looking    # type: ignore[method-assign]
    accepted = admission.accept(draft, trusting)
    assert seen == [accepted.id, "wanted"]
    assert records.trusts == {accepted.id: "t1"}
    assert records.kept == [accepted]
    assert accepted.credential["trust"] == "t1"


def test_an_operation_without_a_lasting_credential_is_refused_and_leaves_no_record(
    admission: Admission, context: RequestContext, records: Records, trusting: Trusting
) -> None:
    trusting.lasts = 30.0
    with pytest.raises(NoLastingCredential):
        admission.protect(context, ProtectRequest(["red"]))
    expecting = replace(context, expected=20.0)
    assert admission.protect(expecting, ProtectRequest(["red"])).needed == 20.0
    assert trusting.heard == [60.0, 20.0]

    trusting.wanted, trusting.refused = True, NoLastingCredential("Keystone made no trust")
    with pytest.raises(NoLastingCredential):
        admission.accept(admission.protect(
            replace(context, expected=20.0), ProtectRequest(["red"])), trusting)
    assert records.kept == []


@pytest.mark.parametrize("taken", [2, 99])
def test_a_trust_whose_second_another_one_has_is_asked_for_anew(
    *,
    admission: Admission,
    context: RequestContext,
    records: Records,
    trusting: Trusting,
    taken: int,
) -> None:
    trusting.wanted = True
    grant, asked = trusting.grant, itertools.count(1)

    def conflicting(credential: Mapping[str, Any]) -> Mapping[str, Any]:
        if next(asked) <= taken:
            raise Conflict("Keystone has a trust like this one already")
        return grant(credential)
    trusting.grant = conflicting    # type: ignore[method-assign]
    draft = admission.protect(context, ProtectRequest(["red"]))
    if taken > 9:
        with pytest.raises(Conflict):
            admission.accept(draft, trusting)
        assert [one.state for one in records.kept] == [OperationState.FAILED]
        return
    accepted = admission.accept(draft, trusting)
    assert records.trusts == {accepted.id: "t1"}
    assert len(trusting.heard) == 3


def test_a_trust_of_which_nothing_was_heard_is_on_record(
    admission: Admission, context: RequestContext, records: Records, trusting: Trusting
) -> None:
    trusting.wanted, trusting.refused = True, KeystoneUnreachable("nobody answers")
    with pytest.raises(KeystoneUnreachable):
        admission.accept(admission.protect(context, ProtectRequest(["red"])), trusting)
    assert [one.state for one in records.kept] == [OperationState.FAILED]
    assert list(records.trusts.values()) == ["wanted"]


# ---------------------------------------------------------------- what outlasts every token
class Copying(Stage):
    """What a service does with the token of the request."""

    name = "backup"
    kind = "toy.backup"
    ready = frozenset({"available"})
    temporary = True
    lends_token = True

    def create(self, work: Work) -> str:
        raise NotImplementedError       # nothing is driven here

    def find(self, work: Work) -> list[str]:
        raise NotImplementedError

    def delete(self, work: Work, id: str) -> None:
        raise NotImplementedError


class DiskProtection(BoxProtection):
    types = frozenset({VOLUME})

    def protect(self, resource: Resource) -> Stages:
        return {Hook.MAIN: [Copying()]}


class Disks(Boxes):
    type: ClassVar[str] = VOLUME

    def list(self, listings: DiscoveryLists) -> Sequence[Resource]:
        return [Resource(VOLUME, "v1", "large", facts={"size": 1000}),
                Resource(VOLUME, "v2", "small", facts={"size": 1})]


@dataclass
class Lasting(Trusting):
    """One whose tokens let a service work for an hour."""

    def choose(self, needed: float) -> Mapping[str, Any]:
        return {**super().choose(needed), "work_seconds": 3600.0}


def test_the_dry_run_names_what_takes_longer_than_any_token_lasts(
        bank: MemoryBank, records: Records) -> None:
    admission = Admission(ExecutionContext(
        Provider("prov", "toys", bank, {VOLUME: DiskProtection()}), {VOLUME: Disks()},
        lambda _operation: Cloud(), lambda: 1000.0), records)
    context = RequestContext(Caller("u", "p"), Lasting(), Cloud())
    draft = admission.protect(context, ProtectRequest(["large", "small"]))
    # 1000 GiB at 20 MiB/s are 51,200 s, and the minute that everything takes.
    assert [(resource.name, line) for resource, line in draft.preview] == [
        ("large", ("backup may take 14.2 h, but a service can work with one token for 60 min at "
                  "most: if it takes longer, it fails"))]
