"""Workers on PostgreSQL: what one was driving when it was killed with -9 another one finishes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from karbor import config
from karbor.cmd.local import Local
from karbor.domain.operation import Operation, OperationState
from karbor.domain.service import WORKER, ServiceStatus
from karbor.durable.locks import Locks, operation_locks
from karbor.store.services import Services
from karbor.testing.openstack import Double
from tests.chaos import application
from tests.chaos.application import Application
from tests.chaos.scene import created, remaining, trusts

SCRIPT = Path(__file__).parent / "worker_process.py"
OVER = {state for state in OperationState if state.over}


class Site:
    """A cloud, a database, and the workers of a Karbor there."""

    def __init__(self, place: Path, double: Double, url: str) -> None:
        self.place, self.double, self.url = place, double, url
        self.environ = {**os.environ, "HOME": str(place), "PYTHONPATH": str(Path.cwd()),
                        "OS_CLIENT_CONFIG_FILE": str(double.clouds_yaml(place / "clouds.yaml"))}
        self.started: list[subprocess.Popen[str]] = []

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

    def start(self, *hosts: str) -> list[subprocess.Popen[str]]:
        """Workers, when all of them are up."""
        started = []
        for host in hosts:
            log = (self.place / f"{host}.log").open("w")
            started.append(subprocess.Popen(
                [sys.executable, "-W", "error", str(SCRIPT), str(self.configured(host))],
                env=self.environ, stdout=subprocess.PIPE, stderr=log, text=True))
            log.close()
        self.started += started
        for one in started:
            assert one.stdout is not None
            assert one.stdout.readline() == "up\n", self.logs()
        return started

    def logs(self) -> str:
        return "\n".join(one.read_text() for one in sorted(self.place.glob("*.log")))

    def until(self, what: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not what():
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.02)


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
def site(tmp_path: Path, double: Double, app: Application, engine_url: str,
         monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    double.bring_back("built")
    site = Site(tmp_path, double, engine_url)
    for name in ("HOME", "OS_CLIENT_CONFIG_FILE"):
        monkeypatch.setenv(name, site.environ[name])
    yield site
    double.set(held=[])
    for one in site.started:
        if one.poll() is None:
            one.kill()
        one.communicate()


@pytest.fixture
def locks(site: Site) -> Iterator[Locks]:
    locks = operation_locks(site.place, site.url)
    yield locks
    locks.close()


@pytest.fixture
def local(site: Site) -> Iterator[Local]:
    """A person's, on the same database: what an API does that accepts."""
    with Local(config.load([site.configured("api")]), cloud="demo") as local:
        yield local


def test_another_worker_finishes_what_a_killed_one_was_driving(
        site: Site, local: Local, locks: Locks, app: Application) -> None:
    double = site.double
    start, mark = remaining(double), len(double.ledger())
    double.set(held=["cinder.backup"])      # so that it cannot be over before its driver is killed
    workers = {one.pid: one for one in site.start("one", "two")}
    offered = local.offer(local.draft_protect(["web", "db"], name="safe"))

    site.until(lambda: created(double, mark)["cinder.backup"] == 2)
    first = locks.holder(offered.id)
    assert first in workers
    workers.pop(first).kill()
    (second, survivor), = workers.items()
    site.until(lambda: locks.holder(offered.id) == second)
    double.set(held=[])
    site.until(lambda: local.operation(offered).state in OVER)

    ended = local.operation(offered)
    assert ended.state is OperationState.DONE, (ended.error, site.logs())
    assert local.checkpoint(offered.checkpoint_id).state == "available"
    ever = created(double, mark)
    assert (ever["cinder.snapshot"], ever["cinder.backup"], ever["glance.image"]) == (2, 2, 1)
    left = {kind: count - start.get(kind, 0) for kind, count in remaining(double).items()
            if count != start.get(kind, 0)}
    assert {"cinder.backup": 2, "swift.container": 1, "swift.object": left["swift.object"]} == left
    site.until(lambda: trusts(double) == set())
    survivor.terminate()
    assert survivor.wait(60) == 0, site.logs()


def test_a_worker_that_ends_leaves_its_work_to_another_which_is_told_to_undo_it(
        site: Site, local: Local, locks: Locks) -> None:
    double = site.double
    start, mark = remaining(double), len(double.ledger())
    double.set(held=["cinder.backup"])
    first, = site.start("one")
    offered = local.offer(local.draft_protect(["app-data"], name="safe"))
    site.until(lambda: created(double, mark)["cinder.backup"] == 1)
    first.terminate()
    assert first.wait(60) == 0, site.logs()
    assert locks.holder(offered.id) is None
    assert local.operation(offered).state is OperationState.RUNNING
    local.cancel(offered)
    double.set(held=[])
    site.start("two")
    site.until(lambda: local.operation(offered).state in OVER)
    assert local.operation(offered).state is OperationState.CANCELLED
    after = remaining(double)
    assert after.pop("swift.container", 0) == start.pop("swift.container", 0) + 1
    assert after == start


def test_a_disabled_worker_takes_nothing_until_it_is_enabled(
        site: Site, local: Local, locks: Locks) -> None:
    def service() -> tuple[int, ServiceStatus]:
        (found,) = services.list(host="one", binary=WORKER)
        return found.id, found.status

    services = Services(local._database)
    worker, = site.start("one")
    services.set_status(service()[0], ServiceStatus.DISABLED, "maintenance")
    site.until(lambda: "disabled: maintenance" in site.logs())
    offered = local.offer(local.draft_protect(["app-data"], name="safe"))
    beat = services.list()[0].updated_at
    site.until(lambda: services.list()[0].updated_at > beat + 1.0)      # it lives, and looks away
    assert local.operation(offered).state is OperationState.QUEUED
    services.set_status(service()[0], ServiceStatus.ENABLED)
    site.until(lambda: local.operation(offered).state in OVER)
    assert local.operation(offered).state is OperationState.DONE
    worker.send_signal(signal.SIGHUP)
    worker.terminate()
    assert worker.wait(60) == 0, site.logs()


def test_a_credential_that_is_over_lets_it_end_with_what_is_left(
        site: Site, local: Local) -> None:
    offered = local.offer(local.draft_protect(["app-data"], name="safe"))
    revoked(local, offered)
    site.start("one")
    site.until(lambda: local.operation(offered).state in OVER)
    ended = local.operation(offered)
    assert ended.state is OperationState.FAILED
    assert ended.error is not None
    assert ended.error["error"] == "TokenRejected", ended.error


def revoked(local: Local, operation: Operation) -> None:
    """Its trust is gone, and its token is over."""
    local._clouds.trusts.end(operation.project_id, operation.id)
