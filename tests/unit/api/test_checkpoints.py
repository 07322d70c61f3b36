"""Checkpoints, restores and verifications through the API, with a bank in a directory and nobody
who drives operations: what is accepted, refused, listed and explained."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from karbor import config
from karbor.banks.directory import DirectoryBank
from karbor.checkpoints.repository import CheckpointRepository
from karbor.domain.checkpoint import Checkpoint, CheckpointState
from karbor.domain.operation import OperationState
from karbor.domain.resource import VOLUME, Resource, ResourceGraph
from karbor.domain.verification import Damage, Verification
from karbor.providers import builtin
from karbor.store.journal import SqlJournal
from tests.unit.api.conftest import Api
from tests.unit.api.people import ADMIN, MINE, OTHER, READER, THEIRS
from tests.unit.api.service import VOLUME as VOLUME_ID

ALL = f"/providers/{builtin.ID}/checkpoints"
GRAPH = ResourceGraph.build([Resource(VOLUME, "v", "data")], lambda level: {})


@pytest.fixture
def checkpoint(api: Api) -> dict[str, Any]:
    return protect(api)


def protect(api: Api, **more: Any) -> dict[str, Any]:
    plan = api.make_plan(provider_id=builtin.ID, resources=[
        {"id": VOLUME_ID, "type": VOLUME, "name": "v1"}])
    made: dict[str, Any] = api("POST", ALL, {"checkpoint": {"plan_id": plan["id"], **more}}
                               ).json["checkpoint"]
    return made


def end(engine: sa.Engine, operation_id: str, *states: OperationState, **more: Any) -> None:
    """As if a worker had driven it."""
    journal = SqlJournal(engine)
    fence = journal.claim(operation_id)
    for state in states:
        journal.move(operation_id, fence, state, now=2.0, **(more if state.over else {}))


def in_bank(conf: config.ConfigOpts, id: str, project_id: str = MINE) -> CheckpointRepository:
    """One that a command made and the database knows nothing of."""
    bank = CheckpointRepository(DirectoryBank({"path": str(config.bank_path(conf))}), project_id)
    begun = Checkpoint(id, project_id, "kept", 1.0, CheckpointState.PROTECTING, GRAPH,
                       operation_id="op", provider_id=builtin.ID)
    bank.begin(begun)
    return bank


# ---------------------------------------------------------------- checkpoints
def test_it_is_there_from_the_moment_it_was_asked_for(api: Api, checkpoint: dict[str, Any]
                                                      ) -> None:
    assert checkpoint["status"] == "protecting"
    assert api("GET", f"{ALL}/{checkpoint['id']}").json["checkpoint"] == checkpoint
    [listed] = api("GET", ALL).json["checkpoints"]
    assert listed == checkpoint
    log = api("GET", f"/operation_logs/{checkpoint['operation_log_id']}").json["operation_log"]
    assert (log["operation_type"], log["status"], log["checkpoint_id"]) == (
        "protect", "protecting", checkpoint["id"])
    assert log["plan_id"] == checkpoint["protection_plan"]["id"]
    assert api("GET", "/quotas/" + MINE + "/detail").json["quota"]["checkpoints"]["in_use"] == 1


@pytest.mark.parametrize("name", ["extra-info", "extra_info"])
def test_what_the_client_calls_extra_info(api: Api, name: str) -> None:
    made = protect(api, **{name: {"created_by": "me", "reason": "upgrade"}})
    told = json.loads(made["extra_info"])
    assert told["reason"] == "upgrade"
    # Who made it is not for the one who asks to say: a schedule deletes what it has made.
    assert told["created_by"] == "manual"


def test_one_that_failed_says_why_and_can_be_removed(api: Api, checkpoint: dict[str, Any],
                                                     engine: sa.Engine) -> None:
    path = f"{ALL}/{checkpoint['id']}"
    refused = api("DELETE", path, status=400).json["badRequest"]
    assert "it is protecting" in refused["message"]
    end(engine, checkpoint["operation_log_id"], OperationState.FAILED,
        error={"message": "no such volume", "resource": f"{VOLUME} v1"})
    failed = api("GET", path).json["checkpoint"]
    assert (failed["status"], failed["reason"]) == ("error", f"{VOLUME} v1: no such volume")
    log = api("GET", f"/operation_logs/{checkpoint['operation_log_id']}").json["operation_log"]
    assert "no such volume" in log["error_info"]
    for what in ("restores", "verifications"):
        body = {what[:-1] if what == "restores" else "verification": {
            "provider_id": builtin.ID, "checkpoint_id": checkpoint["id"], "parameters": {}}}
        told = api("POST", f"/{what}", body, status=400).json["badRequest"]["message"]
        assert "is error" in told
        assert "no such volume" in told
    api("DELETE", path)
    assert api("GET", path).json["checkpoint"]["status"] == "deleted"
    assert api("GET", ALL).json["checkpoints"] == []


def test_a_plan_of_another_provider_or_of_nobody(api: Api) -> None:
    plan = api.make_plan()["id"]
    other = str(uuid.uuid4())
    for provider, plan_id, status in ((builtin.ID, other, 404), (other, plan, 400)):
        api("POST", f"/providers/{provider}/checkpoints", {"checkpoint": {"plan_id": plan_id}},
            status=status)
    assert api("GET", ALL).json["checkpoints"] == []


def test_what_a_command_kept_is_found_and_what_is_gone_is_told(
        api: Api, conf: config.ConfigOpts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("karbor.application.checkpoint_sync.LOOK", 0.0)
    ids = [str(uuid.uuid4()) for _ in range(2)]
    bank = in_bank(conf, ids[0])
    in_bank(conf, ids[1], OTHER)
    [found] = api("GET", ALL).json["checkpoints"]
    assert (found["id"], found["status"]) == (ids[0], "protecting")
    assert json.loads(found["resource_graph"]) == [{"0x0": [VOLUME, "v", "data", None]}, []]
    bank.conclude(replace(bank.show(ids[0]), state=CheckpointState.AVAILABLE, finished_at=2.0))
    assert api("GET", f"{ALL}/{ids[0]}").json["checkpoint"]["status"] == "protecting"
    assert api("GET", ALL).json["checkpoints"][0]["status"] == "available"
    bank.hide(ids[0], 3.0)
    bank.clear(ids[0])
    bank.forget(ids[0])
    assert api("GET", ALL).json["checkpoints"] == []
    gone = api("GET", f"{ALL}/{ids[0]}").json["checkpoint"]
    assert (gone["status"], gone["reason"]) == ("deleted", "it is not in its bank any more")


def test_a_bank_is_not_asked_again_at_once(api: Api, conf: config.ConfigOpts) -> None:
    assert api("GET", ALL).json["checkpoints"] == []
    id = str(uuid.uuid4())
    in_bank(conf, id)
    assert api("GET", ALL).json["checkpoints"] == []


def test_a_status_is_set_to_what_the_bank_says_or_to_error(api: Api, conf: config.ConfigOpts
                                                           ) -> None:
    id = str(uuid.uuid4())
    bank = in_bank(conf, id)
    bank.conclude(replace(bank.show(id), state=CheckpointState.AVAILABLE))
    path = f"{ALL}/{id}"
    assert api("GET", path).json["checkpoint"]["status"] == "available"
    for state in ("error", "available"):
        api("PUT", path, {"os-resetState": {"state": state}})
        assert api("GET", path).json["checkpoint"]["status"] == state
    api("PUT", path, {"os-resetState": {"state": "deleted"}}, status=400)
    api.of(READER)("PUT", path, {"os-resetState": {"state": "error"}}, status=403)


# ---------------------------------------------------------------- whose they are
def test_another_project_sees_nothing_of_it(api: Api, checkpoint: dict[str, Any]) -> None:
    path, log = f"{ALL}/{checkpoint['id']}", f"/operation_logs/{checkpoint['operation_log_id']}"
    plan = checkpoint["protection_plan"]["id"]
    theirs = api.of(THEIRS)
    for method, where, body in (
            ("GET", path, None), ("DELETE", path, None),
            ("PUT", path, {"os-resetState": {"state": "error"}}), ("GET", log, None),
            ("GET", f"{log}/events", None), ("GET", f"/plans/{plan}", None),
            ("DELETE", f"/plans/{plan}", None), ("PUT", f"/plans/{plan}", {"plan": {"name": "x"}}),
            ("POST", ALL, {"checkpoint": {"plan_id": plan}}),
            ("POST", "/restores", {"restore": {"provider_id": builtin.ID,
                                               "checkpoint_id": checkpoint["id"],
                                               "parameters": {}}}),
            ("POST", "/verifications", {"verification": {"provider_id": builtin.ID,
                                                         "checkpoint_id": checkpoint["id"],
                                                         "parameters": {}}})):
        theirs(method, where, body, status=404)
    for where in (ALL, "/operation_logs", "/restores", "/verifications", "/plans"):
        assert theirs("GET", where).json[where.rpartition("/")[2]] == []
    # An administrator of another project sees it, and cannot act as its project.
    admin = api.of(type(ADMIN)("admin", OTHER))
    assert admin("GET", path).json["checkpoint"]["id"] == checkpoint["id"]
    admin("DELETE", path, status=403)
    assert [one["id"] for one in admin("GET", ALL, query_string="all_tenants=1"
                                       ).json["checkpoints"]] == [checkpoint["id"]]
    assert api("GET", path).json["checkpoint"]["status"] == "protecting"


# ---------------------------------------------------------------- what verifies found
def test_what_a_verify_found_is_told_wherever_it_ran(
        api: Api, conf: config.ConfigOpts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("karbor.application.checkpoint_sync.LOOK", 0.0)
    id = str(uuid.uuid4())
    bank = in_bank(conf, id)
    bank.conclude(replace(bank.show(id), state=CheckpointState.AVAILABLE, finished_at=2.0))

    def told() -> dict[str, Any]:
        [listed] = api("GET", ALL).json["checkpoints"]
        assert api("GET", f"{ALL}/{id}").json["checkpoint"] == listed
        return {name: listed[name] for name in ("status", "damaged", "reason", "verification")}

    assert told() == {"status": "available", "damaged": False, "reason": "", "verification": None}
    # By a command, on another machine: its bank is all that the two have in common.
    bad = Verification("11111111-0000-4000-8000-000000000001", 1_800_000_000.0, "checksums", (
        Damage(f"{VOLUME}#v", VOLUME, "v", "data", "Swift has no object x"),))
    bank.note_verified(id, bad)
    found = told()
    assert (found["status"], found["damaged"]) == ("available", True)
    assert found["reason"] == ("a verify found damage: OS::Cinder::Volume data: Swift has no "
                               "object x")
    assert found["verification"] == {
        "operation_log_id": bad.operation_id, "verified_at": "2027-01-15T08:00:00.000000",
        "evidence": "checksums", "damage": [{
            "type": VOLUME, "id": "v", "name": "data", "reason": "Swift has no object x"}]}
    bank.note_verified(id, Verification("later", 1_800_000_001.0, "objects"))
    found = told()
    assert (found["damaged"], found["reason"], found["verification"]["evidence"]) == (
        False, "", "objects")
