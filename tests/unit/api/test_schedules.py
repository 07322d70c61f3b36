"""Scheduled operations through the API: what is refused has changed nothing, and nothing that runs
on the rights of one loses them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import sqlalchemy as sa

from karbor import config
from karbor.api.application import make_app
from karbor.application.checkpoints import CheckpointRequests
from karbor.application.schedule_trusts import GRACE, ScheduleTrusts
from karbor.application.scheduled_runs import ScheduledCheckpoints, ScheduledRuns
from karbor.application.scheduler_settings import clock
from karbor.application.service_context import Requester
from karbor.cmd.api_wiring import wire
from karbor.domain.checkpoint import CheckpointState
from karbor.domain.errors import Cause, KeystoneUnreachable, NoLastingCredential, TokenRejected
from karbor.domain.operation import Operation, OperationState, Verb
from karbor.domain.resource import IMAGE, Resource
from karbor.plugin.delegation import Delegation
from karbor.providers import builtin
from karbor.store.connect import writing
from karbor.store.journal import SqlJournal
from karbor.store.occurrences import Occurrences, Outcomes
from karbor.store.operations import Operations
from karbor.store.schedule_tables import SCHEDULED_OPERATIONS
from karbor.store.scheduled_operations import ScheduledOperations
from tests.unit.api.conftest import PROVIDER, Api, Schemas
from tests.unit.api.people import ADMIN, MINE, fake_keystone
from tests.unit.api.service import ListedService
from tests.unit.api.test_checkpoints import in_bank

ALL = "/scheduled_operations"
OWNER, COLLEAGUE = "user-member", "user-admin"
IMAGES = Resource(IMAGE, "i", "debian")
VOLUME_ID = "55555555-5555-4555-8555-555555555555"


@dataclass
class Keystone:
    """Trusts, by id the user who made each. `unfit`: users whose login can pass nothing on."""

    standing: dict[str, str] = field(default_factory=dict)
    unfit: set[str] = field(default_factory=set)
    made: int = 0
    away: bool = False

    def end(self, credential: Mapping[str, Any]) -> None:
        if self.away:
            raise KeystoneUnreachable("no Keystone answers")
        self.standing.pop(credential["grant"]["id"], None)

    def try_credential(self, credential: Mapping[str, Any]) -> None:
        if self.away:
            raise KeystoneUnreachable("no Keystone answers")
        if credential["grant"]["id"] not in self.standing:
            raise TokenRejected("the trust that it runs on was removed from Keystone",
                                cause=Cause.REMOVED)


@dataclass
class Passing:
    """What one user can leave behind for a schedule."""

    keystone: Keystone
    user_id: str

    def choose(self, needed: float) -> Mapping[str, Any]:
        if self.user_id in self.keystone.unfit:
            raise NoLastingCredential("the login can pass nothing on that outlasts it")
        return {"rung": "trust + service token", "cloud": "", "auth_url": "http://keystone/v3",
                "user_id": self.user_id, "project_id": MINE, "sealed": "", "until": 9e9,
                "grant": {"id": "", "expires_at": "then", "roles": []}, "why": "", "needed": needed}

    def wants(self, credential: Mapping[str, Any]) -> str:
        return "wanted"

    def grant(self, credential: Mapping[str, Any]) -> Mapping[str, Any]:
        self.keystone.made += 1
        id = f"trust-{self.keystone.made}"
        self.keystone.standing[id] = self.user_id
        return {**credential, "grant": {**credential["grant"], "id": id}}


class ScheduleService(ListedService):
    keystone_double = Keystone()

    @contextmanager
    def schedule_delegation(self, who: Requester, life: float) -> Iterator[Delegation]:
        yield Passing(self.keystone_double, who.caller.user_id)

    @property
    def authority(self) -> Any:
        return self.keystone_double


@dataclass
class World:
    api: Api
    service: ScheduleService
    keystone: Keystone

    def plan(self) -> dict[str, Any]:
        return self.api.make_plan(provider_id=builtin.ID, resources=[
            {"id": VOLUME_ID, "type": "OS::Cinder::Volume", "name": "v1"}])

    def trigger(self, pattern: str = "0 2 * * *") -> str:
        made: dict[str, Any] = self.api("POST", "/triggers", {"trigger_info": {
            "name": "nightly", "type": "time", "properties": {
                "format": "crontab", "pattern": pattern}}}).json["trigger_info"]
        return str(made["id"])

    def create(self, type: str = "retention_protect", status: int = 200, **definition: Any
               ) -> dict[str, Any]:
        plan_id = definition.pop("plan_id", None) or self.plan()["id"]
        answer: dict[str, Any] = self.api("POST", ALL, {"scheduled_operation": {
            "name": "nightly", "operation_type": type, "trigger_id": self.trigger(),
            "operation_definition": {"plan_id": plan_id, "provider_id": builtin.ID,
                                     **definition}}}, status=status).json
        return answer.get("scheduled_operation", answer.get("badRequest", answer))

    def shown(self, id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api("GET", f"{ALL}/{id}").json["scheduled_operation"]
        return found

    def trust(self, id: str) -> str:
        one = ScheduledOperations(self.service.database).show(MINE, id)
        return str(one.credential["grant"]["id"])

    def tick(self, operation_starter: Any = None) -> None:
        """What a worker does with what is due."""
        requests = CheckpointRequests(self.service, lambda: None)
        made = clock(
            self.service.conf,
            Occurrences(self.service.database),
            Outcomes(self.service.database),
            operation_starter or ScheduledRuns(self.service, requests),
            ScheduledCheckpoints(self.service, requests),
        )
        made.tick(time.time())

    def operations(self) -> list[Operation]:
        return Operations(self.service.database).list(MINE)


@pytest.fixture
def world(conf: config.ConfigOpts, engine: sa.Engine) -> World:
    service = ScheduleService(conf, engine)
    service.keystone_double = Keystone()
    wiring = replace(wire(service, lambda: None), providers=_AnyProvider(service.providers))
    return World(Api(make_app(conf, wiring, fake_keystone), wiring), service,
                 service.keystone_double)


class _AnyProvider(Schemas):
    def options(self, provider_id: str) -> Mapping[str, Mapping[str, Any]]:
        return super().options(PROVIDER)


def keep(conf: config.ConfigOpts, id: str) -> None:
    """An available checkpoint, in the bank only."""
    bank = in_bank(conf, id)
    bank.conclude(replace(bank.show(id), state=CheckpointState.AVAILABLE, finished_at=2.0))


def end(engine: sa.Engine, operation_id: str) -> None:
    journal = SqlJournal(engine)
    fence = journal.claim(operation_id)
    journal.move(operation_id, fence, OperationState.FAILED, now=2.0, error={"message": "no"})


# ---------------------------------------------------------------- changes are whole or not at all
def test_a_change_by_somebody_who_can_pass_nothing_on_changes_nothing(world: World) -> None:
    made = world.create(max_backups=30)
    trigger = world.trigger("0 5 * * *")
    world.keystone.unfit.add(COLLEAGUE)
    refused = world.api.of(ADMIN)("PUT", f"{ALL}/{made['id']}", {"scheduled_operation": {
        "name": "theirs", "enabled": False, "trigger_id": trigger,
        "operation_definition": {**made["operation_definition"], "max_backups": 1}}}, status=400)
    assert "can pass nothing on" in refused.json["badRequest"]["message"]
    assert world.shown(made["id"]) == made
    assert world.keystone.standing == {"trust-1": OWNER}


def test_a_change_that_is_wrong_makes_no_rights(world: World) -> None:
    made = world.create(max_backups=30)
    for wrong in ({"trigger_id": str(uuid.uuid4())},
                  {"operation_definition": {**made["operation_definition"],
                                            "plan_id": str(uuid.uuid4())}}):
        changed = {"operation_definition": {**made["operation_definition"], "max_backups": 1},
                   **wrong}
        world.api.of(ADMIN)("PUT", f"{ALL}/{made['id']}", {"scheduled_operation": changed},
                            status=404)
    assert world.shown(made["id"]) == made
    assert (world.keystone.standing, world.keystone.made) == ({"trust-1": OWNER}, 1)


def test_a_change_by_another_member_is_made_with_their_rights_at_once(world: World) -> None:
    made = world.create(max_backups=30)
    answer = world.api.of(ADMIN)("PUT", f"{ALL}/{made['id']}", {"scheduled_operation": {
        "name": "ours", "enabled": False,
        "operation_definition": {**made["operation_definition"], "max_backups": 7}}})
    changed = answer.json["scheduled_operation"]
    assert changed == world.shown(made["id"])
    assert (changed["name"], changed["enabled"], changed["operation_definition"]["max_backups"],
            changed["rights"]["user_id"]) == ("ours", False, "7", COLLEAGUE)
    assert world.keystone.standing == {"trust-2": COLLEAGUE}


def test_an_owner_whose_rights_end_soon_may_change_it_without_new_ones(world: World) -> None:
    made = world.create(max_backups=30)
    records = ScheduledOperations(world.service.database)
    one = records.show(MINE, made["id"])
    records.replace(replace(one, credential={**one.credential, "until": time.time() + 3600}))
    assert world.shown(made["id"])["rights"]["ends_soon"] is True
    world.keystone.unfit.add(OWNER)
    path, body = f"{ALL}/{made['id']}", {"scheduled_operation": {"name": "renamed"}}
    world.api("PUT", path, body)
    assert world.shown(made["id"])["name"] == "renamed"
    assert world.keystone.standing == {"trust-1": OWNER}
    world.keystone.unfit.clear()
    world.api("PUT", path, body)
    assert world.keystone.standing == {"trust-2": OWNER}
    assert world.shown(made["id"])["rights"]["ends_soon"] is False


def test_a_deletion_that_keystone_does_not_hear_of_leaves_it_running(world: World) -> None:
    made = world.create()
    world.keystone.away = True
    world.api("DELETE", f"{ALL}/{made['id']}", status=503)
    assert world.shown(made["id"])["enabled"] is True
    assert world.shown(made["id"])["next_run_at"] == made["next_run_at"]
    world.keystone.away = False
    world.api("DELETE", f"{ALL}/{made['id']}")
    world.api("GET", f"{ALL}/{made['id']}", status=404)
    assert world.keystone.standing == {}


# ---------------------------------------------------------------- rights that were taken away
def test_a_run_whose_rights_were_removed_is_not_begun(world: World) -> None:
    made = world.create()
    world.keystone.standing.clear()
    world.api("POST", f"{ALL}/{made['id']}/run")
    world.tick()
    [told] = world.api("GET", f"{ALL}/{made['id']}/occurrences").json["occurrences"]
    assert (told["state"], told["reason"]) == (
        "failed", "the trust that it runs on was removed from Keystone")
    assert world.operations() == []


def test_a_run_is_accepted_while_no_keystone_can_tell_about_its_rights(world: World) -> None:
    made = world.create()
    world.keystone.away = True
    world.api("POST", f"{ALL}/{made['id']}/run")
    world.tick()
    [told] = world.api("GET", f"{ALL}/{made['id']}/occurrences").json["occurrences"]
    [operation] = world.operations()
    assert (told["state"], operation.state) == ("running", OperationState.QUEUED)


@pytest.mark.parametrize("change", [{"name": "renamed"}, {"enabled": True}], ids=str)
def test_a_change_by_its_owner_replaces_rights_that_were_removed(
        world: World, change: dict[str, Any]) -> None:
    made = world.create()
    world.keystone.standing.clear()
    world.api("PUT", f"{ALL}/{made['id']}", {"scheduled_operation": change})
    assert world.keystone.standing == {"trust-2": OWNER}
    assert world.trust(made["id"]) == "trust-2"

    world.keystone.standing.clear()
    world.keystone.unfit.add(OWNER)
    before = world.shown(made["id"])
    world.api("PUT", f"{ALL}/{made['id']}", {"scheduled_operation": {"name": "again"}}, status=400)
    assert world.shown(made["id"]) == before


def test_a_colleague_may_only_pause_it_or_take_it_over_then(world: World) -> None:
    made = world.create()
    world.keystone.standing.clear()
    theirs, path = world.api.of(ADMIN), f"{ALL}/{made['id']}"
    refused = theirs("PUT", path, {"scheduled_operation": {"name": "theirs"}}, status=400)
    assert "was tried, and the trust that it runs on was removed" in (
        refused.json["badRequest"]["message"])
    assert world.shown(made["id"]) == made
    theirs("PUT", path, {"scheduled_operation": {"enabled": False}})
    theirs("PUT", path, {"scheduled_operation": {"enabled": True}}, status=400)
    theirs("POST", f"{path}/take_over")
    theirs("PUT", path, {"scheduled_operation": {"enabled": True}})
    assert world.keystone.standing == {"trust-2": COLLEAGUE}


def test_a_change_that_keystone_cannot_be_asked_about_is_not_made(world: World) -> None:
    made = world.create()
    world.keystone.away = True
    world.api("PUT", f"{ALL}/{made['id']}", {"scheduled_operation": {"name": "x"}}, status=503)
    assert world.shown(made["id"]) == made


# ---------------------------------------------------------------- /run and at once …
class Meanwhile:
    """Begins operations as a worker does; between its look at the schedule and the acceptance
    somebody asks for something else."""

    def __init__(self, world: World, ask: Any) -> None:
        self._operation_starter = ScheduledRuns(
            world.service, CheckpointRequests(world.service, lambda: None)
        )
        self._ask = ask

    def run(self, scheduled_operation: Any, occurrence: Any) -> str:
        self._ask()
        return self._operation_starter.run(scheduled_operation, occurrence)


def test_run_and_at_once_delete(world: World) -> None:
    made = world.create()
    world.api("POST", f"{ALL}/{made['id']}/run")
    world.tick(Meanwhile(world, lambda: world.api("DELETE", f"{ALL}/{made['id']}")))
    assert world.keystone.standing == {}
    assert world.operations() == []         # none that would run on a trust that is gone
    assert world.api("GET", f"/providers/{builtin.ID}/checkpoints").json["checkpoints"] == []


def test_run_and_at_once_take_over(world: World) -> None:
    made = world.create()
    world.api("POST", f"{ALL}/{made['id']}/run")
    world.tick(Meanwhile(world, lambda: world.api.of(ADMIN)(
        "POST", f"{ALL}/{made['id']}/take_over")))
    assert world.operations() == []
    assert world.keystone.standing == {"trust-2": COLLEAGUE}
    [waits] = world.api("GET", f"{ALL}/{made['id']}/occurrences").json["occurrences"]
    assert waits["state"] == "due"          # it is begun on the new rights
    with writing(world.service.database) as connection:
        connection.execute(sa.text("UPDATE occurrences SET held_until = 0"))
    world.tick()
    [begun] = world.operations()
    assert begun.credential["grant"]["id"] == "trust-2"


def test_an_operation_that_has_just_begun_keeps_its_trust(world: World, engine: sa.Engine) -> None:
    made = world.create()
    world.api("POST", f"{ALL}/{made['id']}/run")
    world.tick()
    [begun] = world.operations()
    refused = world.api("DELETE", f"{ALL}/{made['id']}", status=400).json["badRequest"]["message"]
    assert f"operation {begun.id} runs on its rights" in refused
    assert "paused now" in refused
    world.api.of(ADMIN)("POST", f"{ALL}/{made['id']}/take_over")
    assert set(world.keystone.standing) == {"trust-1", "trust-2"}
    end(engine, begun.id)
    world.api("DELETE", f"{ALL}/{made['id']}")
    assert world.keystone.standing == {}


def test_a_deletion_that_was_cut_off_is_finished(world: World) -> None:
    made = world.create()
    records = ScheduledOperations(world.service.database)
    records.begin_end(MINE, made["id"], 1000.0)     # and then its process was killed
    now = 1000.0
    rights = ScheduleTrusts(world.service, records, lambda: now)
    rights.sweep()
    assert world.shown(made["id"])
    now += GRACE + 1
    rights.sweep()
    world.api("GET", f"{ALL}/{made['id']}", status=404)
    assert world.keystone.standing == {}


# ---------------------------------------------------------------- plans in use
def test_a_plan_in_use_stays(world: World) -> None:
    plan = world.plan()["id"]
    first, second = world.create(plan_id=plan), world.create(plan_id=plan)
    refused = world.api("DELETE", f"/plans/{plan}", status=400).json["badRequest"]["message"]
    assert f"nightly ({first['id']})" in refused
    assert f"nightly ({second['id']})" in refused
    assert world.api("GET", f"/plans/{plan}").json["plan"]["id"] == plan
    other = world.plan()["id"]
    world.api("PUT", f"{ALL}/{first['id']}", {"scheduled_operation": {"operation_definition": {
        "plan_id": other, "provider_id": builtin.ID}}})
    world.api("DELETE", f"{ALL}/{second['id']}")
    world.api("DELETE", f"/plans/{plan}")
    world.api("DELETE", f"/plans/{other}", status=400)


# ---------------------------------------------------------------- definitions
@pytest.mark.parametrize(("type", "wrong", "said"), [
    ("retention_protect", {"keep_dayly": 7}, "no key keep_dayly"),
    ("retention_protect", {"max_backups": -1}, "max_backups is -1"),
    ("retention_protect", {"keep_daily": "-3"}, "keep_daily is -3"),
    ("retention_protect", {"retention_duration": True}, "no whole number"),
    ("retention_protect", {"max_backups": 2, "note": "x"}, "no key note"),
    ("protect", {"keep_dayly": 7}, "no key keep_dayly"),
    ("protect", {"max_backups": 3}, "retention_protect carries out")])
def test_a_definition_with_what_has_no_effect_is_refused(world: World, type: str, wrong: Any,
                                                         said: str) -> None:
    message = world.create(type, 400, **wrong)["message"]
    assert said in message
    for name in ("max_backups", "retention_duration", "keep_daily", "keep_weekly", "keep_monthly",
                 "keep_yearly"):
        assert name in message      # which keys there are
    assert world.api("GET", ALL).json["operations"] == []
    assert world.keystone.standing == {}
    made = world.create(type, max_backups="0", keep_daily=None)
    changed = {**made["operation_definition"], **wrong}
    world.api("PUT", f"{ALL}/{made['id']}", {"scheduled_operation": {
        "operation_definition": changed}}, status=400)
    assert world.shown(made["id"]) == made


def test_what_an_earlier_karbor_has_stored_goes_on_and_is_told(world: World, engine: sa.Engine
                                                               ) -> None:
    made = world.create(max_backups=2)
    stored = {"plan_id": made["operation_definition"]["plan_id"], "provider_id": builtin.ID,
              "max_backups": -4, "keep_dayly": "7"}
    with writing(engine) as connection:
        connection.execute(sa.update(SCHEDULED_OPERATIONS).values(operation_definition=stored))
    told = world.shown(made["id"])
    assert len(told["warnings"]) == 2
    assert "max_backups is -4" in told["warnings"][0]
    assert "no key keep_dayly" in told["warnings"][1]
    world.api("PUT", f"{ALL}/{made['id']}", {"scheduled_operation": {"name": "renamed"}})
    world.api("POST", f"{ALL}/{made['id']}/run")
    world.tick()
    [begun] = world.operations()
    assert begun.verb is Verb.PROTECT
    assert world.api("GET", f"{ALL}/{made['id']}/retention").json["retention"]


# ---------------------------------------------------------------- the quota of checkpoints
def test_what_failed_takes_no_place(world: World, engine: sa.Engine) -> None:
    world.api("PUT", f"/quotas/{MINE}", {"quota": {"checkpoints": 1}}, status=403)
    world.service.quotas.set(MINE, {"checkpoints": 1})
    made = world.create()
    for _ in range(3):      # a schedule whose volume is gone, and then it is there again
        world.api("POST", f"{ALL}/{made['id']}/run")
        world.tick()
        [begun] = [one for one in world.operations() if not one.state.over]
        end(engine, begun.id)
        world.tick()
    detail = world.api("GET", f"/quotas/{MINE}/detail").json["quota"]["checkpoints"]
    assert detail["in_use"] == 0
    world.api("POST", f"{ALL}/{made['id']}/run")
    world.tick()
    assert len(world.operations()) == 4
    assert world.api("GET", f"/quotas/{MINE}/detail").json["quota"]["checkpoints"]["in_use"] == 1
    world.api("POST", f"/providers/{builtin.ID}/checkpoints", {"checkpoint": {
        "plan_id": made["operation_definition"]["plan_id"]}}, status=413)


def test_what_a_person_has_set_to_error_keeps_its_place(world: World, conf: config.ConfigOpts
                                                        ) -> None:
    kept = str(uuid.uuid4())
    keep(conf, kept)
    path = f"/providers/{builtin.ID}/checkpoints/{kept}"
    for state, in_use in (("error", 1), ("error", 1), ("available", 1)):
        world.api("GET", path)
        world.api("PUT", path, {"os-resetState": {"state": state}})
        detail = world.api("GET", f"/quotas/{MINE}/detail").json["quota"]["checkpoints"]
        assert detail["in_use"] == in_use
