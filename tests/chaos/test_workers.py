"""Workers on PostgreSQL: what one was driving when it was killed with -9 another one finishes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from click.testing import CliRunner
from karbor_testing.openstack import Double

from karbor import config
from karbor.cli.program import karbor
from karbor.cmd.embedded import EmbeddedKarbor
from karbor.domain.operation import OperationState
from karbor.domain.service import WORKER, ServiceStatus
from karbor.durable.locks import Locks, operation_locks
from karbor.store.services import Services
from tests.chaos import application
from tests.chaos.application import Application
from tests.chaos.scene import created, remaining, trusts

REPOSITORY = Path(__file__).parents[2]
OVER = {state for state in OperationState if state.over}


class Workers:
    """The process that workers are forked from."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.worker_process"], cwd=REPOSITORY, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._hear() == {"ready": True}
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.communicate(timeout=60)

    def ask(self, **what: Any) -> dict[str, int]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return self._hear()

    def _hear(self) -> dict[str, int]:
        assert self._process.stdout is not None
        heard: dict[str, int] = json.loads(self._process.stdout.readline())
        return heard


class Site:
    """A cloud, a database, and the workers of a Karbor there."""

    def __init__(self, place: Path, workers: Workers, double: Double, url: str) -> None:
        self.place, self.workers, self.double, self.url = place, workers, double, url
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(place),
                        "OS_CLIENT_CONFIG_FILE": str(double.clouds_yaml(place / "clouds.yaml"))}
        self.running: set[int] = set()

    def configured(self, host: str, **limits: int) -> Path:
        account = self.double.cloud("karbor")["auth"]
        lines = ["[DEFAULT]", f"state_path = {self.place}", f"host = {host}",
                 "report_interval = 0.2", "pickup_interval = 0.1", "sweep_interval = 0.2",
                 "[database]", f"connection = {self.url}", "[http]", "retry_longest = 0.2",
                 "[service_user]", "auth_type = password",
                 *(f"{name} = {value}" for name, value in account.items()), "[limits]",
                 *(f"{name} = {value}" for name, value in limits.items())]
        file = self.place / f"{host}.conf"
        file.write_text("\n".join(lines) + "\n")
        return file

    def start(self, host: str) -> int:
        """Its process id, when it is up."""
        pid = self.workers.ask(start=str(self.configured(host)), environ=self.environ,
                               log=str(self.place / "log"))["pid"]
        self.running.add(pid)
        return pid

    def end(self, pid: int, how: signal.Signals = signal.SIGTERM) -> None:
        os.kill(pid, how)
        self.running.discard(pid)
        status = self.workers.ask(wait=pid)["status"]
        assert status == (0 if how is signal.SIGTERM else -how), self.log()

    def log(self) -> str:
        return (self.place / "log").read_text()

    def until(self, what: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not what():
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers() as workers:
        yield workers


@pytest.fixture(scope="module")
def double() -> Iterator[Double]:
    with Double() as double:
        yield double


@pytest.fixture(scope="module")
def app(double: Double) -> Application:
    app = application.build(double)
    double.set(looks={"*": 0})
    double.keep("built")
    return app


@pytest.fixture
def site(*, tmp_path: Path, workers: Workers, double: Double, app: Application, postgresql_url: str,
         monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    double.bring_back("built")
    site = Site(tmp_path, workers, double, postgresql_url)
    for name in ("HOME", "OS_CLIENT_CONFIG_FILE"):
        monkeypatch.setenv(name, site.environ[name])
    yield site
    double.set(held=[])
    for one in list(site.running):
        site.end(one, signal.SIGKILL)


@pytest.fixture
def locks(site: Site) -> Iterator[Locks]:
    locks = operation_locks(site.place, site.url)
    yield locks
    locks.close()


@pytest.fixture
def local(site: Site) -> Iterator[EmbeddedKarbor]:
    """A person's, on the same database: what an API does that accepts."""
    with EmbeddedKarbor(config.load([site.configured("api")]), cloud="demo") as local:
        yield local


def test_another_worker_finishes_what_a_killed_one_was_driving(
        site: Site, local: EmbeddedKarbor, locks: Locks) -> None:
    double = site.double
    start, mark = remaining(double), len(double.ledger())
    double.set(held=["cinder.backup"])      # so that it cannot be over before its driver is killed
    pids = {site.start("one"), site.start("two")}
    offered = local.offer(local.draft_protect(["web", "db"], name="safe"))

    site.until(lambda: created(double, mark)["cinder.backup"] == 2)
    first = locks.holder(offered.id)
    assert first in pids
    site.end(first, signal.SIGKILL)
    (second,) = pids - {first}
    site.until(lambda: locks.holder(offered.id) == second)
    double.set(held=[])
    site.until(lambda: local.operation(offered).state in OVER)

    ended = local.operation(offered)
    assert ended.state is OperationState.DONE, (ended.error, site.log())
    assert local.checkpoint(offered.checkpoint_id).state == "available"
    ever = created(double, mark)
    assert (ever["cinder.snapshot"], ever["cinder.backup"], ever["glance.image"]) == (2, 2, 1)
    left = {kind: count - start.get(kind, 0) for kind, count in remaining(double).items()
            if count != start.get(kind, 0)}
    assert left.pop("swift.object") >= 6
    assert left == {"cinder.backup": 2, "swift.container": 1}
    site.until(lambda: trusts(double) == set())
    site.end(second)


def test_what_a_worker_that_ends_leaves_another_one_undoes_when_it_was_cancelled(
        site: Site, local: EmbeddedKarbor, locks: Locks) -> None:
    double = site.double
    start, mark = remaining(double), len(double.ledger())
    double.set(held=["cinder.backup"])
    first = site.start("one")
    offered = local.offer(local.draft_protect(["app-data"], name="safe"))
    site.until(lambda: created(double, mark)["cinder.backup"] == 1)
    site.end(first)
    assert locks.holder(offered.id) is None
    assert local.operation(offered).state is OperationState.RUNNING
    local.cancel(offered)
    double.set(held=[])
    site.start("two")
    site.until(lambda: local.operation(offered).state in OVER)
    assert local.operation(offered).state is OperationState.CANCELLED
    after = remaining(double)
    after.pop("swift.container", None)      # Cinder makes it and leaves it
    assert after == {**start, **{kind: 0 for kind in after if kind not in start}}


def test_a_disabled_worker_takes_nothing_until_it_is_enabled(
    site: Site, local: EmbeddedKarbor, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = Services(local._database)
    worker = site.start("one")
    (found,) = services.list(host="one", binary=WORKER)
    services.set_status(found.id, ServiceStatus.DISABLED, "maintenance")
    site.until(lambda: "disabled: maintenance" in site.log())
    offered = local.offer(local.draft_protect(["app-data"], name="safe"))
    beat = services.show(found.id).updated_at
    site.until(lambda: services.show(found.id).updated_at > beat + 0.5)     # it lives
    assert local.operation(offered).state is OperationState.QUEUED
    assert [one.id for one in local._records.entrusted(0.0)] == [offered.id]
    monkeypatch.setenv("KARBOR_CONFIG", str(site.configured("api")))
    monkeypatch.setenv("OS_CLOUD", "demo")
    for command in (("list",), ("show", offered.id)):
        told = CliRunner().invoke(karbor, ["operation", *command])
        assert "waits for a worker (" in told.stdout, told
        assert "interrupted" not in told.stdout + told.stderr
    services.set_status(found.id, ServiceStatus.ENABLED)
    site.until(lambda: local.operation(offered).state in OVER)
    assert local.operation(offered).state is OperationState.DONE
    site.end(worker)


def test_a_credential_that_is_over_lets_it_end_and_its_owner_is_told(
        site: Site, local: EmbeddedKarbor) -> None:
    """Its trust is gone and its token revoked before any worker has seen it."""
    offered = local.offer(local.draft_protect(["app-data"], name="safe"))
    local._clouds.trusts.end(offered.project_id, offered.id)
    for token in site.double.dump()["keystone.token"]:
        site.double.drop("keystone.token", token)
    site.start("one")
    site.until(lambda: local.operation(offered).state in OVER)
    ended = local.operation(offered)
    assert ended.state is OperationState.FAILED
    assert ended.error is not None
    assert ended.error["error"] == "TokenRejected", ended.error
