"""One body for SQLite and PostgreSQL: a lost database is put back from what banks keep of it."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from karbor import config
from karbor.api.application import make_app
from karbor.application import record_copies
from karbor.application.checkpoints import CheckpointRequests
from karbor.application.record_copies import RecordCopier, key_of
from karbor.application.scheduled_runs import ScheduledCheckpoints, ScheduledRuns
from karbor.application.scheduler_settings import clock
from karbor.application.service_context import ServiceContext
from karbor.cli.program import karbor
from karbor.cmd.api_wiring import wire
from karbor.cmd.database import open_database
from karbor.credentials.seal import Seal
from karbor.domain.application_credential import ApplicationCredential
from karbor.domain.checkpoint import CheckpointState
from karbor.domain.errors import BankUnavailable
from karbor.plugin.bank import Bank
from karbor.store.connect import connect, writing
from karbor.store.occurrences import Occurrences, Outcomes
from karbor.store.operations import Operations
from karbor.store.record_changes import RecordChanges
from karbor.store.scheduled_operations import ScheduledOperations
from tests.unit.api.conftest import Api
from tests.unit.api.people import ADMIN, MINE, OTHER, THEIRS, fake_keystone
from tests.unit.api.test_copies import IDS, keep, provide
from tests.unit.api.test_schedules import IMAGES, Keystone, ScheduleService

PATIENCE = 60.0


@dataclass
class Installation:
    """Karbor with two providers, and the database that its configuration names."""

    place: Path
    url: str
    keystone: Keystone

    @property
    def conf(self) -> config.ConfigOpts:
        file = self.place / "karbor.conf"
        file.write_text(f"[DEFAULT]\nstate_path = {self.place}\n"
                        f"[database]\nconnection = {self.url}\n")
        return config.load([file])

    def lose(self) -> None:
        if self.url.startswith("sqlite"):
            for file in self.place.glob("karbor.sqlite*"):
                file.unlink()
            return
        engine = connect(self.url)
        with writing(engine) as connection:
            connection.execute(sa.text("DROP SCHEMA public CASCADE"))
            connection.execute(sa.text("CREATE SCHEMA public"))
        engine.dispose()

    def rebuild(self, *words: str, code: int = 0) -> dict[str, Any]:
        assert self.conf
        result = CliRunner().invoke(karbor, [
            "database", "rebuild", "--config-file", str(self.place / "karbor.conf"),
            "-f", "json", *words])
        assert result.exit_code == code, (result.output, result.exception)
        told: dict[str, Any] = json.loads(result.stdout) if result.stdout else {}
        return told


class Running:
    """The API of an installation, and what its worker does with records."""

    def __init__(self, of: Installation) -> None:
        self.service = ScheduleService(of.conf, open_database(of.conf))
        self.service.keystone_double = of.keystone
        wiring = wire(self.service, lambda: None)
        self.api = Api(make_app(of.conf, wiring, fake_keystone), wiring)
        self.changes = RecordChanges(self.service.database)

    def copier(self) -> RecordCopier:
        return RecordCopier(self.service.conf, self.service.providers, self.service.database)

    def copied(self) -> None:
        """Until everything is in the banks."""
        with self.copier():
            end = time.monotonic() + PATIENCE
            while self.changes.waiting()[0]:
                assert time.monotonic() < end, self.changes.waiting()
                time.sleep(0.05)

    def bank(self, name: str) -> Bank:
        return self.service.providers.of_id(IDS[name]).bank

    def tick(self) -> None:
        requests = CheckpointRequests(self.service, lambda: None)
        database = self.service.database
        clock(
            self.service.conf,
            Occurrences(database),
            Outcomes(database),
            ScheduledRuns(self.service, requests),
            ScheduledCheckpoints(self.service, requests),
        ).tick(time.time())

    def told(self) -> dict[str, Any]:
        """Everything that may be lost, as people see it."""
        out: dict[str, Any] = {}
        for who in (self.api, self.api.of(THEIRS)):
            mine = (who.person or THEIRS).project_id
            out[mine] = {
                "plans": who("GET", "/plans").json["plans"],
                "triggers": who("GET", "/triggers").json["triggers"],
                "operations": who("GET", "/scheduled_operations").json["operations"],
                "quota": who("GET", f"/quotas/{mine}").json["quota"],
                "registered": self.service.registrations.list(mine)}
        return out | {"class": self.service.quotas.of_class("default")}

    def close(self) -> None:
        self.service.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_copies, "POLL_SECONDS", 0.05)


@pytest.fixture(params=["sqlite", "postgresql"])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Installation:
    provide(tmp_path, "near", "far")
    url = (request.getfixturevalue("postgresql_url") if request.param == "postgresql"
           else f"sqlite:///{tmp_path / 'karbor.sqlite'}")
    return Installation(tmp_path, url, Keystone())


@pytest.fixture
def start(installation: Installation) -> Iterator[Callable[[], Running]]:
    begun: list[Running] = []

    def begin() -> Running:
        begun.append(Running(installation))
        return begun[-1]

    yield begin
    for one in begun:
        one.close()


def plan(api: Api, provider: str, name: str) -> str:
    made: Mapping[str, Any] = api.make_plan(provider_id=IDS[provider], name=name, resources=[
        {"id": "i", "type": "OS::Glance::Image", "name": "debian", "extra_info": {"a": [1]}}])
    return str(made["id"])


def trigger(api: Api, name: str) -> str:
    return str(api("POST", "/triggers", {"trigger_info": {
        "name": name, "type": "time", "properties": {
            "format": "crontab", "pattern": "0 2 * * *", "time_zone": "Europe/Berlin",
            "window": 1000}}}).json["trigger_info"]["id"])


def schedule(api: Api, provider: str, plan_id: str, trigger_id: str, name: str) -> str:
    return str(api("POST", "/scheduled_operations", {"scheduled_operation": {
        "name": name, "operation_type": "retention_protect", "trigger_id": trigger_id,
        "operation_definition": {"plan_id": plan_id, "provider_id": IDS[provider],
                                 "keep_daily": 7}}}).json["scheduled_operation"]["id"])


def furnish(running: Running) -> str:
    """Things of two projects in two banks; the id of a schedule."""
    api, theirs = running.api, running.api.of(THEIRS)
    shared = trigger(api, "shared by two banks")
    trigger(api, "unused")
    one = schedule(api, "near", plan(api, "near", "shop"), shared, "nightly")
    two = schedule(api, "far", plan(api, "far", "mail"), shared, "also nightly")
    api("PUT", f"/scheduled_operations/{two}", {"scheduled_operation": {"enabled": False}})
    schedule(theirs, "far", plan(theirs, "far", "theirs"), trigger(theirs, "theirs"), "of others")
    running.service.quotas.set(MINE, {"plans": 17})
    running.service.quotas.set_class("default", {"checkpoints": 99})
    seal = Seal(config.key_file(running.service.conf))
    running.service.registrations.put(ApplicationCredential(
        "r", "http://keystone/v3", MINE, "user-member", "ac-1", "karbor", seal.seal("the secret"),
        made_here=True, expires_at=None, created_at=5.0))
    return one


def test_a_lost_database_is_put_back_and_goes_on(
        installation: Installation, start: Callable[[], Running], tmp_path: Path) -> None:
    before = start()
    one = furnish(before)
    before.copied()
    told, standing = before.told(), dict(installation.keystone.standing)
    kept = keep(tmp_path, [IMAGES])
    begun = keep(tmp_path, [IMAGES], "a plan", CheckpointState.PROTECTING)
    by_command = keep(tmp_path, [IMAGES], state=CheckpointState.PROTECTING)
    before.close()
    installation.lose()

    dry = installation.rebuild("--dry-run")
    assert dry["projects"][MINE] == {"plans": 2, "triggers": 2, "scheduled_operations": 2,
                                     "registrations": 1, "quotas": 1}
    assert start().told() != told
    done = installation.rebuild()
    assert (done["projects"], done["problems"]) == (dry["projects"], [])

    after = start()
    assert after.told() == told
    # The trusts that schedules run on are known again, and the next run is on them.
    trusts = [trust for each in ScheduledOperations(after.service.database).enabled()
              for trust in each.trusts]
    assert set(trusts) < set(standing) == set(installation.keystone.standing)
    after.api("POST", f"/scheduled_operations/{one}/run")
    after.tick()
    [run] = Operations(after.service.database).list(MINE)
    assert run.credential["grant"]["id"] == ScheduledOperations(after.service.database).show(
        MINE, one).credential["grant"]["id"]
    [secret] = after.service.registrations.list(MINE)
    assert Seal(config.key_file(installation.conf)).open(secret.sealed) == "the secret"
    # Checkpoints are there before anybody has asked for them.
    assert after.service.checkpoints.show(MINE, kept).name == "nightly"
    # What was being made is over, but for what a command makes, whose database is another one.
    path = f"/providers/{IDS['near']}/checkpoints"
    told_of = {each["id"]: (each["status"], each["reason"])
               for each in after.api("GET", path).json["checkpoints"]}
    assert told_of[begun] == ("error", "it was being made when the database was lost")
    assert told_of[by_command] == ("protecting", "")
    after.api("DELETE", f"{path}/{begun}")
    # It is all copied again under the new database's id, and nothing is left to do.
    assert installation.rebuild()["projects"] == {}
    for name in ("near", "far"):
        found = [one.key for one in after.bank(name).list()
                 if "records/" in one.key]
        assert all(after.changes.installation() in key for key in found)
        assert found


def test_nothing_can_be_read_in_the_bank_or_moved_in_it(
        installation: Installation, start: Callable[[], Running]) -> None:
    before = start()
    furnish(before)
    before.copied()
    bank, database = before.bank("far"), before.changes.installation()
    mine, theirs = (key_of(one, IDS["far"], database) for one in (MINE, OTHER))
    raw = b"".join(bank.get(mine))
    for word in (b"trust-1", b"mail", b"user-member", b"ac-1", b"keep_daily"):
        assert word not in raw
    # Somebody who writes into the bank puts their schedule into another project.
    bank.put(mine, [b"".join(bank.get(theirs))])
    forged = json.loads(raw)
    bank.put(theirs, [json.dumps({**forged, "project_id": OTHER, "sealed": forged["sealed"][:-8]
                                  + "AAAAAAA="}).encode()])
    before.close()
    installation.lose()
    told = installation.rebuild(code=5)
    assert len(told["problems"]) == 2
    assert OTHER not in told["projects"]
    assert told["projects"][MINE] == {"plans": 1, "triggers": 2, "scheduled_operations": 1,
                                      "registrations": 1, "quotas": 1}     # from the near bank
    after = start()
    assert after.told()[OTHER]["operations"] == []


def test_without_its_keys_nothing_is_put_back_and_nothing_is_lost(
        installation: Installation, start: Callable[[], Running]) -> None:
    before = start()
    furnish(before)
    before.copied()
    told = before.told()
    before.close()
    installation.lose()
    key = config.key_file(installation.conf)
    saved = key.read_bytes()
    key.unlink()
    refused = installation.rebuild(code=5)
    assert refused["projects"] == {}
    assert all("key" in one for one in refused["problems"])
    key.unlink(missing_ok=True)
    key.touch(0o600)
    key.write_bytes(saved)
    assert installation.rebuild()["problems"] == []
    assert start().told() == told


def test_a_new_database_does_not_write_over_what_the_lost_one_left(
        installation: Installation, start: Callable[[], Running]) -> None:
    before = start()
    furnish(before)
    before.copied()
    told = before.told()
    before.close()
    installation.lose()
    # The service is started before anybody has noticed, and people make plans anew.
    new = start()
    extra = plan(new.api, "near", "made anew")
    new.copied()
    done = installation.rebuild()
    assert done["problems"] == []
    after = new.told()
    assert {one["id"] for one in after[MINE]["plans"]} == {
        extra, *(one["id"] for one in told[MINE]["plans"])}
    assert after[MINE]["operations"] == told[MINE]["operations"]


def test_what_was_deleted_does_not_come_back(installation: Installation,
                                             start: Callable[[], Running]) -> None:
    before = start()
    one = furnish(before)
    before.copied()
    [shop] = [each["id"] for each in before.api("GET", "/plans").json["plans"]
              if each["name"] == "shop"]
    before.api("DELETE", f"/scheduled_operations/{one}")
    before.api("DELETE", f"/plans/{shop}")
    assert installation.rebuild()["projects"] == {}     # not copied yet: the database is newer
    before.copied()
    assert not [each for each in before.bank("near").list("projects/") if "records/" in each.key]
    before.close()
    installation.lose()
    installation.rebuild()
    assert [each["name"] for each in start().api("GET", "/plans").json["plans"]] == ["mail"]


def test_of_several_lost_databases_one_has_to_be_named(
        installation: Installation, start: Callable[[], Running]) -> None:
    ids = []
    for name in ("first", "second"):
        running = start()
        plan(running.api, "near", name)
        running.copied()
        ids.append(running.changes.installation())
        running.close()
        installation.lose()
    refused = installation.rebuild(code=2)
    assert refused == {}
    assert installation.rebuild("--from", ids[1])["projects"][MINE] == {"plans": 1}
    assert [each["name"] for each in start().api("GET", "/plans").json["plans"]] == ["second"]


# ---------------------------------------------------------------- whatever dies, or is away
class Died(BaseException):
    """The process was killed here."""


class Completed(Exception):
    pass


class Fragile:
    """A bank that raises `error` at the call of that number, before or after it was done."""

    def __init__(self, bank: Any, error: BaseException, at: int, *, after: bool) -> None:
        self._bank, self._error, self._left, self._after = bank, error, at, after

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._bank, name)

        def call(*given: Any, **more: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise self._error
            done = method(*given, **more)
            if self._left == 0:
                raise self._error
            return done

        return call


def break_bank(monkeypatch: pytest.MonkeyPatch, name: str, made: list[Fragile], error: Any,
               at: int, *, after: bool) -> None:
    opened = record_copies.ProviderCatalog.open

    def open(self: Any, listed: Any) -> Any:
        provider = opened(self, listed)
        if listed.name != name:
            return provider
        if not made:
            made.append(Fragile(provider.bank, error, at, after=after))
        return replace(provider, bank=made[0])      # type: ignore[arg-type]

    monkeypatch.setattr(record_copies.ProviderCatalog, "open", open)


def test_a_bank_that_is_away_gets_its_copy_later_and_the_others_at_once(
        installation: Installation, start: Callable[[], Running],
        monkeypatch: pytest.MonkeyPatch) -> None:
    running = start()
    furnish(running)
    with monkeypatch.context() as patch:
        for at in range(1, 30):
            break_bank(patch, "near", [], BankUnavailable("503"), at, after=False)
        running.copier().round(time.time())
    count, since = running.changes.waiting()
    assert count
    assert since is not None
    assert [one for one in running.bank("far").list() if "records/" in one.key]
    assert not running.copier().round(time.time())      # not again at once
    assert running.copier().round(time.time() + record_copies.RETRY_SECONDS + 1)
    assert running.changes.waiting() == (0, None)
    assert [one for one in running.bank("near").list() if "records/" in one.key]


@pytest.mark.parametrize("after", [False, True])
def test_a_worker_killed_at_a_write_leaves_it_to_the_next(
        installation: Installation, start: Callable[[], Running],
        monkeypatch: pytest.MonkeyPatch, *, after: bool) -> None:
    running = start()
    furnish(running)
    with monkeypatch.context() as patch:
        break_bank(patch, "near", [], Died(), 2, after=after)
        with pytest.raises(Died):
            running.copier().round(time.time())
    told = running.told()
    later = time.time() + record_copies.HOLD_SECONDS + 1
    while running.copier().round(later):
        later += 1
    assert running.changes.waiting() == (0, None)
    running.close()
    installation.lose()
    installation.rebuild()
    assert start().told() == told


@pytest.mark.parametrize("after", [False, True])
def test_a_rebuild_that_is_killed_anywhere_is_done_again(
        installation: Installation, start: Callable[[], Running],
        monkeypatch: pytest.MonkeyPatch, *, after: bool) -> None:
    before = start()
    furnish(before)
    before.copied()
    told = before.told()
    before.close()
    installation.lose()
    at = 1
    with contextlib.suppress(Completed):
        while True:     # some calls further each time
            with monkeypatch.context() as patch, contextlib.suppress(Died):
                break_bank(patch, "far", [], Died(), at, after=after)
                installation.rebuild()
                raise Completed
            at += 4
    assert at > 12
    installation.rebuild()
    assert start().told() == told


def test_what_changes_while_it_is_copied_is_copied_again(
        installation: Installation, start: Callable[[], Running]) -> None:
    running = start()
    plan(running.api, "near", "first")
    [change] = running.changes.take(time.time(), 100.0)
    running.copier().copy(change.project_id)
    plan(running.api, "near", "second")
    assert not running.changes.take(time.time(), 100.0)     # somebody is at it
    running.changes.copied(change)
    assert [one.number for one in running.changes.take(time.time(), 100.0)] == [2]


def test_everything_is_copied_again_once_a_day_and_after_new_keys(
        installation: Installation, start: Callable[[], Running]) -> None:
    running = start()
    furnish(running)
    running.copied()
    now = time.time()
    assert not running.changes.note_all(now - 86400.0, now)
    for one in running.bank("near").list("projects/"):
        running.bank("near").delete([one.key])      # a bank was lost
    assert running.changes.note_all(now + 1, now + 1)
    assert running.changes.waiting()[0] == 3        # two projects, and what belongs to none
    running.copied()
    assert [one for one in running.bank("near").list("projects/") if "records/" in one.key]
    running.service.registrations.reseal(lambda sealed: sealed)
    assert running.changes.note_all(now, now + 2)


def test_who_may_not_see_another_project_sees_nothing_of_it_afterwards(
        installation: Installation, start: Callable[[], Running]) -> None:
    before = start()
    one = furnish(before)
    before.copied()
    before.close()
    installation.lose()
    installation.rebuild()
    after = start()
    after.api.of(THEIRS)("GET", f"/scheduled_operations/{one}", status=404)
    after.api("GET", f"/scheduled_operations/{uuid.uuid4()}", status=404)
    assert after.api.of(ADMIN)("GET", f"/scheduled_operations/{one}").json
    assert isinstance(after.service, ServiceContext)


# ---------------------------------------------------------------- what stands in Keystone
class Trustee:
    """The account that holds trusts: those of schedules, and two of nobody any more."""

    def __init__(self, standing: dict[str, str]) -> None:
        self._standing = standing

    def held(self) -> list[dict[str, Any]]:
        return [{"id": id, "trustor_user_id": user, "project_id": MINE, "expires_at": "then"}
                for id, user in self._standing.items()]

    def end(self, grant: Any) -> None:
        del self._standing[grant.id]


def test_trusts_of_which_nothing_is_known_are_told_and_can_be_removed(
        installation: Installation, start: Callable[[], Running],
        monkeypatch: pytest.MonkeyPatch) -> None:
    before = start()
    furnish(before)
    before.copied()
    before.close()
    installation.lose()
    standing = installation.keystone.standing
    of_schedules = set(standing)
    standing["of-an-operation"] = "user-member"
    monkeypatch.setattr(ServiceContext, "authority", SimpleNamespace(trustee=Trustee(standing)))
    monkeypatch.setattr(config, "service_user_configured", lambda _conf: True)
    told = installation.rebuild()
    assert told["unknown_trusts"] == [{
        "id": "of-an-operation", "user_id": "user-member", "project_id": MINE,
        "expires_at": "then", "ended": False}]
    assert "of-an-operation" in standing
    installation.rebuild("--dry-run", "--end-trusts", code=2)
    assert "of-an-operation" in standing
    installation.rebuild("--end-trusts")
    assert set(standing) == of_schedules
