"""Copies through the API: what is accepted for which target, and what is refused as a whole."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from karbor import config
from karbor.api.application import make_app
from karbor.banks.directory import DirectoryBank
from karbor.checkpoints.repository import CheckpointRepository
from karbor.cmd.api_wiring import wire
from karbor.domain.checkpoint import Checkpoint, CheckpointState
from karbor.domain.errors import Conflict
from karbor.domain.operation import Operation, OperationState, Wanted
from karbor.domain.resource import IMAGE, VOLUME, Resource, ResourceGraph
from karbor.store.journal import SqlJournal
from tests.unit.api.conftest import Api, configured
from tests.unit.api.people import MINE, READER, THEIRS, fake_keystone
from tests.unit.api.service import ListedService

IDS = {name: str(uuid.uuid5(uuid.NAMESPACE_DNS, name)) for name in ("near", "far", "third")}
IMAGES = Resource(IMAGE, "i", "debian")
DISK = Resource(VOLUME, "v", "data")


def provide(place: Path, *names: str) -> None:
    """Providers with a bank in a directory each."""
    (place / "providers.d").mkdir(exist_ok=True)
    for name in names:
        (place / "providers.d" / f"{name}.conf").write_text(
            f"[provider]\nname = {name}\nid = {IDS[name]}\nbank = karbor-fs-bank-plugin\n"
            "plugin = karbor-image-protection-plugin\nplugin = karbor-volume-protection-plugin\n"
            "enabled = True\n[file_system_bank_plugin]\n"
            f"file_system_bank_path = {place / name}\n")


@pytest.fixture
def conf(tmp_path: Path) -> config.ConfigOpts:
    provide(tmp_path, "near", "far")
    return configured(tmp_path)


@pytest.fixture
def api(conf: config.ConfigOpts, engine: sa.Engine) -> Api:
    wiring = wire(ListedService(conf, engine), lambda: None)
    return Api(make_app(conf, wiring, fake_keystone), wiring)


def keep(place: Path, resources: Sequence[Resource], plan_id: str = "",
         state: CheckpointState = CheckpointState.AVAILABLE) -> str:
    """A checkpoint in the bank of `near`."""
    bank = CheckpointRepository(DirectoryBank({"path": str(place / "near")}), MINE)
    made = Checkpoint(str(uuid.uuid4()), MINE, "nightly", 1.0, CheckpointState.PROTECTING,
                      ResourceGraph.build(resources, lambda level: {}), operation_id="op",
                      provider_id=IDS["near"], origin={"plan": {"id": plan_id}} if plan_id else {})
    bank.begin(made)
    if state is CheckpointState.AVAILABLE:
        bank.conclude(Checkpoint(**{**vars(made), "state": state, "finished_at": 2.0}))
    return made.id


def ask(api: Api, status: int = 200, provider: str = "near", **copy: Any) -> dict[str, Any]:
    answer: dict[str, Any] = api("POST", f"/providers/{IDS[provider]}/checkpoints/action",
                                 {"copy": copy}, status=status).json
    return answer.get("copy", answer)


def listed(api: Api, provider: str) -> list[tuple[str, str]]:
    found = api("GET", f"/providers/{IDS[provider]}/checkpoints").json["checkpoints"]
    return sorted((one["id"], one["status"]) for one in found)


def test_what_a_plan_has_kept_goes_to_the_only_other_provider_once(api: Api, tmp_path: Path,
                                                                   engine: sa.Engine) -> None:
    plan = api.make_plan(provider_id=IDS["near"], resources=[
        {"id": "i", "type": IMAGE, "name": "debian"}])["id"]
    originals = sorted(keep(tmp_path, [IMAGES], plan) for _ in range(2))
    keep(tmp_path, [IMAGES], plan, CheckpointState.PROTECTING)
    keep(tmp_path, [IMAGES])
    answer = ask(api, plan_id=plan)
    assert answer["target_provider_id"] == IDS["far"]
    assert sorted(one["checkpoint_protect_id"] for one in answer["checkpoint_id"]) == originals
    copies = {one["checkpoint_copy_id"]: one["operation_log_id"] for one in answer["checkpoint_id"]}
    assert listed(api, "far") == sorted((one, "copying") for one in copies)
    for copy, operation in copies.items():
        log = api("GET", f"/operation_logs/{operation}").json["operation_log"]
        assert (log["operation_type"], log["checkpoint_id"], log["provider_id"]) == (
            "copy", copy, IDS["far"])
        assert log["status"] == "queued" or log["status"]
    assert ask(api, plan_id=plan)["checkpoint_id"] == []
    failed, operation = next(iter(copies.items()))
    journal = SqlJournal(engine)
    journal.move(operation, journal.claim(operation), OperationState.FAILED, now=3.0,
                 error={"message": "the bank is full"})
    shown = api("GET", f"/providers/{IDS['far']}/checkpoints/{failed}").json["checkpoint"]
    assert (shown["status"], shown["reason"]) == ("error", "the bank is full")
    assert len(ask(api, plan_id=plan)["checkpoint_id"]) == 1


def test_what_the_cloud_holds_is_refused_and_then_nothing_is_copied(api: Api, tmp_path: Path
                                                                    ) -> None:
    plan = api.make_plan(provider_id=IDS["near"])["id"]
    keep(tmp_path, [IMAGES], plan)
    keep(tmp_path, [IMAGES, DISK], plan)
    told = ask(api, 400, plan_id=plan)["badRequest"]["message"]
    assert "data is held by" in told
    assert listed(api, "far") == []
    assert api("GET", "/operation_logs").json["operation_logs"] == []


def test_without_room_for_all_none_is_copied(api: Api, tmp_path: Path) -> None:
    plan = api.make_plan(provider_id=IDS["near"])["id"]
    for _ in range(3):
        keep(tmp_path, [IMAGES], plan)
    api.wiring.quotas.set(MINE, {"checkpoints": 5})      # three originals, and two
    told = ask(api, 413, plan_id=plan)["overLimit"]["message"]
    assert "Maximum number of checkpoints" in told
    assert listed(api, "far") == []
    assert api("GET", "/operation_logs").json["operation_logs"] == []
    api.wiring.quotas.set(MINE, {"checkpoints": 6})
    assert len(ask(api, plan_id=plan)["checkpoint_id"]) == 3


def test_when_one_of_several_is_refused_the_others_are_taken_back(
        conf: config.ConfigOpts, engine: sa.Engine, tmp_path: Path) -> None:
    service = ListedService(conf, engine)
    wiring = wire(service, lambda: None)
    api = Api(make_app(conf, wiring, fake_keystone), wiring)
    plan = api.make_plan(provider_id=IDS["near"])["id"]
    originals = [keep(tmp_path, [IMAGES], plan) for _ in range(2)]
    add, asked = service.records.add, []

    def busy(operation: Operation, **more: Any) -> None:
        asked.append(operation.id)
        if len(asked) > 1:
            raise Conflict(f"checkpoint {originals[1]} is being deleted")
        add(operation, **more)

    service.records.add = busy      # type: ignore[method-assign]
    assert "is being deleted" in ask(api, 400, plan_id=plan)["badRequest"]["message"]
    [accepted] = service.records.list(MINE)
    assert accepted.wanted is Wanted.CANCEL
    assert listed(api, "far") == [(accepted.checkpoint_id, "copying")]


def test_where_it_goes_must_be_clear(api: Api, tmp_path: Path) -> None:
    one = keep(tmp_path, [IMAGES])
    assert "is the one that has it" in ask(
        api, 400, checkpoint_id=one, target_provider_id=IDS["near"])["badRequest"]["message"]
    ask(api, 404, checkpoint_id=one, target_provider_id=IDS["third"])
    provide(tmp_path, "third")
    told = ask(api, 400, checkpoint_id=one)["badRequest"]["message"]
    assert f"third ({IDS['third']})" in told
    made = ask(api, checkpoint_id=one, target_provider_id=IDS["third"])
    assert listed(api, "third") == [(made["checkpoint_id"][0]["checkpoint_copy_id"], "copying")]


def test_what_means_nothing(api: Api, tmp_path: Path) -> None:
    plan = api.make_plan(provider_id=IDS["near"])["id"]
    one = keep(tmp_path, [IMAGES])
    assert "has no available checkpoint" in ask(api, 400, plan_id=plan)["badRequest"]["message"]
    ask(api, 400)
    ask(api, 400, plan_id=plan, checkpoint_id=one)
    ask(api, 400, provider="far", plan_id=plan)
    ask(api, 400, checkpoint_id=one, parameters={IMAGE: {"unknown": 1}})
    ask(api, 404, plan_id=str(uuid.uuid4()))
    ask(api, 404, checkpoint_id=str(uuid.uuid4()))
    ask(api.of(THEIRS), 404, checkpoint_id=one)
    ask(api.of(READER), 403, checkpoint_id=one)
    assert listed(api, "far") == []
