"""Rights that are taken back in mid-run end the real `karbor` command, which names the cause, and
lists what it could not remove; with rights that are left it cleans up.

Each case is a user of a project of their own, who protects a volume while no backup can get on:
the cinder-backup service is stopped. All of them run at the same time. Tokens live for 25 s.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cloud.conftest import Cloud
from tests.cloud.karbor_command import Answer, Karbor
from tests.cloud.small_application import until
from tests.cloud.somebody import Somebody, new_somebody

LIFE = 25
WINDOW = 120
CONF = """
[service_user]
auth_type = password
auth_url = {url}
username = karbor
password = devcloud
project_name = service
user_domain_name = Default
project_domain_name = Default
[http]
retry_longest = 1
[credentials]
allow_expired_window = {window}
refusal_wait = {wait}
strategy = {strategy}
"""


@dataclass(frozen=True)
class Case:
    """`taken` is what happens to the user, `words` what the command says of it. `window` is what
    Karbor has been told of Keystone's, in seconds."""

    taken: Callable[[Somebody], None]
    words: str
    strategy: str = "auto"
    window: int = WINDOW
    cleans: bool = False
    beforehand: bool = False        # before it can change to its trust for the first backup
    given_back: Callable[[Somebody], None] | None = None

    @property
    def wait(self) -> int:
        """Seconds that Karbor waits for what may come back."""
        return 600 if self.given_back else 0


CASES = {
    "user disabled": Case(Somebody.be_disabled, "the user was disabled"),
    "role removed": Case(Somebody.lose_role, "the user has lost a role in the project"),
    "project disabled": Case(Somebody.lose_project, "the project was disabled"),
    "trust removed": Case(lambda one: one.revoke_trusts("karbor"),
                          "the trust that the operation runs on was removed from Keystone",
                          strategy="trust"),
    "application credential removed": Case(
        Somebody.revoke_application_credentials,
        "the application credential that the operation runs on was removed from Keystone",
        strategy="application_credential"),
    # It still runs on the token then, and finds out at its deadline, when the token is still good.
    "trust removed beforehand": Case(lambda one: one.revoke_trusts("karbor"),
                                     "the trust that the operation runs on was removed",
                                     window=1, cleans=True, beforehand=True),
    "project disabled for a while": Case(Somebody.lose_project, "the project was disabled",
                                         given_back=Somebody.get_project_back),
}


@dataclass(frozen=True)
class Told:
    """What became of one case; `standing` is what there was in Cinder when the command had ended,
    by kind."""

    answer: Answer
    operation: Any
    shown: str
    standing: Mapping[str, set[str]]


class Storage:
    """Cinder as an administrator sees it, whatever has become of projects."""

    def __init__(self, connection: Any) -> None:
        self._storage = connection.block_storage

    def list(self, kind: str, project: str) -> list[Any]:
        answer = self._storage.get(f"/{kind}/detail?all_tenants=1&project_id={project}",
                                   microversion="3.60")
        whose = {"volumes": "os-vol-tenant-attr:tenant_id",
                 "snapshots": "os-extended-snapshot-attributes:project_id",
                 "backups": "os-backup-project-attr:project_id"}[kind]
        return [one for one in answer.json()[kind] if one[whose] == project]

    def ids(self, kind: str, project: str) -> set[str]:
        return {one["id"] for one in self.list(kind, project)}

    def clear(self, project: str) -> None:
        """What an operation has listed as left over, and the volume."""
        for kind in ("backups", "snapshots", "volumes"):
            until(f"{kind} at rest", lambda kind=kind: all(
                one["status"] in ("available", "error") for one in self.list(kind, project)))
            for one in self.list(kind, project):
                self._storage.delete(f"/{kind}/{one['id']}").raise_for_status()
            until(f"{kind} gone", lambda kind=kind: not self.list(kind, project))


@pytest.fixture(scope="module")
def short_tokens(cloud: Cloud) -> Iterator[None]:
    before = cloud.settings
    cloud.set_token_lifetime(LIFE, WINDOW)
    yield
    cloud.set_token_lifetime(before.token_expiration, before.allow_expired_window)


@pytest.fixture(scope="module")
def storage(cloud: Cloud) -> Iterator[Storage]:
    with cloud.connection("admin") as connection:
        yield Storage(connection)


@pytest.fixture(scope="module")
def told(cloud: Cloud, short_tokens: None, storage: Storage,
         tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Told]]:
    """All cases, played at the same time; what is left over is removed afterwards."""
    with ThreadPoolExecutor(len(CASES)) as pool, contextlib.ExitStack() as stack:
        people = dict(zip(CASES, pool.map(
            lambda _name: stack.enter_context(new_somebody(cloud)), CASES), strict=True))
        stack.callback(lambda: list(pool.map(
            lambda one: storage.clear(one.project.id), people.values())))
        homes = {name: make_home(cloud, people[name], CASES[name],
                                 tmp_path_factory.mktemp("home")) for name in CASES}
        list(pool.map(lambda name: prepare(people[name], CASES[name], homes[name]), CASES))
        no_backups = stack.enter_context(stopped(cloud, "cinder-backup"))
        running = {name: homes[name].begin("protect", "data", "--name", "taken") for name in CASES}
        for one in running.values():
            stack.callback(one.process.kill)

        def take(name: str) -> None:
            if CASES[name].beforehand:
                until(f"a trust of {name}", lambda: bool(people[name].trusts("karbor")))
                CASES[name].taken(people[name])
                running[name].until("backup …")
                return
            running[name].until("backup …")
            project = people[name].project.id
            until(f"a backup of {name}", lambda: bool(storage.ids("backups", project)))
            CASES[name].taken(people[name])

        def listed(name: str) -> Any:
            [found] = homes[name]("operation", "list", "-f", "json").json
            return found

        def shown(name: str) -> str:
            return homes[name]("operation", "show", listed(name)["id"]).out

        def end(name: str) -> Told:
            if (back := CASES[name].given_back) is not None:
                until(f"{name} is waited out", lambda: "waits, at most until" in shown(name))
                back(people[name])
                no_backups.close()
            if CASES[name].cleans:
                running[name].until("undoing")
                no_backups.close()      # Cinder removes no backup that it has not begun with
            answer = running[name].end()
            project = people[name].project.id
            standing = {kind: storage.ids(kind, project) for kind in ("backups", "snapshots")}
            return Told(answer, listed(name), shown(name), standing)

        list(pool.map(take, CASES))
        cloud.run("restart", "cinder-api")      # it would know the tokens for another 300 s
        yield dict(zip(CASES, pool.map(end, CASES), strict=True))


@contextlib.contextmanager
def stopped(cloud: Cloud, process: str) -> Iterator[contextlib.ExitStack]:
    """What is given starts it again, at the latest at the end."""
    cloud.run("stop", process)
    with contextlib.ExitStack() as stack:
        stack.callback(cloud.run, "start", process)
        yield stack


def make_home(cloud: Cloud, one: Somebody, case: Case, place: Path) -> Karbor:
    conf = place / "karbor.conf"
    conf.write_text(CONF.format(url=cloud.auth_url, window=case.window, wait=case.wait,
                                strategy=case.strategy))
    clouds = place / "clouds.yaml"
    clouds.write_text(yaml.safe_dump({"clouds": {"somebody": one.entry()}}))
    return Karbor(place, clouds, "somebody", {"KARBOR_CONFIG": str(conf)})


def prepare(one: Somebody, case: Case, karbor: Karbor) -> None:
    with one.connection() as mine:
        volume = mine.block_storage.create_volume(name="data", size=1)
        until("volume available",
              lambda: mine.block_storage.get_volume(volume).status == "available")
    if case.strategy == "application_credential":
        # While others are being made, Keystone's cache may not know a new role yet.
        until("registered", lambda: karbor("credential", "register", expect=None).code == 0)


TAKEN = [name for name, case in CASES.items() if not case.cleans and not case.given_back]
CLEAN = [name for name, case in CASES.items() if case.cleans]
GIVEN_BACK = [name for name, case in CASES.items() if case.given_back]


@pytest.mark.parametrize("name", TAKEN)
def test_it_ends_the_command_with_its_cause_and_a_list_of_what_is_left(
        told: dict[str, Told], name: str) -> None:
    one = told[name]
    assert one.answer.code == 1, one
    assert CASES[name].words in one.answer.complaint
    assert one.operation["state"] == "failed"
    standing = one.standing["backups"] | one.standing["snapshots"]
    assert one.standing["backups"]
    left = one.operation["result"]["left"]
    assert {entry["handle"]["id"] for entry in left} == standing
    for id in standing:
        assert any(line.startswith("left over: ") and id in line
                   for line in one.answer.err.splitlines()), one
        assert id in one.shown
    assert CASES[name].words in one.shown


@pytest.mark.parametrize("name", GIVEN_BACK)
def test_what_is_given_back_costs_no_operation(told: dict[str, Told], name: str) -> None:
    one = told[name]
    assert one.answer.code == 0, one
    assert one.operation["state"] == "done"
    assert CASES[name].words in one.shown
    assert "Keystone accepts what the operation runs on again" in one.shown
    assert len(one.standing["backups"]) == 1
    assert one.standing["snapshots"] == set()


@pytest.mark.parametrize("name", CLEAN)
def test_with_the_rights_that_are_left_it_cleans_up(told: dict[str, Told], name: str) -> None:
    one = told[name]
    assert one.answer.code == 1, one
    assert CASES[name].words in one.answer.complaint
    assert one.operation["state"] == "failed"
    assert one.standing == {"backups": set(), "snapshots": set()}
    assert "left" not in one.operation["result"]
    assert "left over" not in one.answer.err
