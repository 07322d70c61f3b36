"""A Karbor service on the double: its processes, which may be killed, and people who use it."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import requests
import sqlalchemy as sa
from karbor_testing.openstack import Double

from karbor.domain.operation import Operation
from karbor.durable.locks import operation_locks
from karbor.providers import builtin
from karbor.store.connect import connect, reading
from karbor.store.operation_rows import operation_from_row
from karbor.store.tables import OPERATIONS
from tests.chaos.application import Person

REPOSITORY = Path(__file__).parents[2]
PATIENCE_SECONDS = 60.0
"""In which everything that was accepted has come to its end, when a worker lives."""


class Processes:
    """The process that those of the service are forked from."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.service_process"], cwd=REPOSITORY, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._hear() == {"ready": True}
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.communicate(timeout=60)

    def ask(self, **what: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return self._hear()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], 2 * PATIENCE_SECONDS)
        assert ready, "the process that forks does not answer"
        heard: dict[str, Any] = json.loads(self._process.stdout.readline())
        return heard


@dataclass(frozen=True)
class Role:
    """What one process of the service is; roles of one host differ by their number."""

    name: str
    api: bool
    worker: bool


SERVE = Role("serve", api=True, worker=True)
API = Role("api", api=True, worker=False)
WORKERS = (Role("worker-1", api=False, worker=True), Role("worker-2", api=False, worker=True))


class Site:
    """A cloud, a database, and processes of a Karbor there. `database` is the URL of a server;
    empty: SQLite."""

    def __init__(self, place: Path, processes: Processes, double: Double, database: str) -> None:
        self.place, self.processes, self.double = place, processes, double
        self.database = database or f"sqlite:///{place}/karbor.sqlite"
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(place),
                        "OS_CLIENT_CONFIG_FILE": str(double.clouds_yaml(place / "clouds.yaml"))}
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        self.roles = (API, *WORKERS) if database else (SERVE,)
        self.running: dict[str, int] = {}
        self.engine = connect(self.database)
        self._locks = operation_locks(place, database or None)

    def configure(self, **more: object) -> None:
        account = self.double.cloud("karbor")["auth"]
        lines = ["[DEFAULT]", f"state_path = {self.place}", "host = machine",
                 "osapi_karbor_listen = 127.0.0.1",
                 f"osapi_karbor_listen_port = {self.url.rpartition(':')[2]}",
                 "osapi_karbor_threads = 4",
                 "report_interval = 0.5", "pickup_interval = 0.1", "sweep_interval = 0.5",
                 *(f"{name} = {value}" for name, value in more.items()),
                 "[database]", f"connection = {self.database}", "[http]", "retry_longest = 0.2",
                 "[service_user]", "auth_type = password",
                 *(f"{name} = {value}" for name, value in account.items())]
        (self.place / "karbor.conf").write_text("\n".join(lines) + "\n")

    # ------------------------------------------------------------------ its processes
    def start(self, role: Role, die: dict[str, Any] | None = None) -> int:
        """Its process id, when it is up."""
        answer = self.processes.ask(
            start=str(self.place / "karbor.conf"), api=role.api, worker=role.worker, die=die,
            environ=self.environ, log=str(self.place / "log"))
        assert answer["url"], self.log()
        self.running[role.name] = answer["pid"]
        return int(answer["pid"])

    def kill(self, role: Role) -> None:
        self.end(role, signal.SIGKILL)

    def end(self, role: Role, how: signal.Signals = signal.SIGTERM) -> None:
        pid = self.running.pop(role.name)
        with suppress(ProcessLookupError):
            os.kill(pid, how)
        status = self.processes.ask(wait=pid)["status"]
        assert status == (0 if how is signal.SIGTERM else -how), self.log()

    def has_died(self, role: Role) -> bool:
        """Whether it has killed itself; then it is no longer among those that run."""
        state = Path(f"/proc/{self.running[role.name]}/stat").read_text().rpartition(")")[2].split()
        if state[0] != "Z":
            return False
        pid = self.running.pop(role.name)
        assert self.processes.ask(wait=pid)["status"] == -signal.SIGKILL, self.log()
        return True

    def leave(self) -> None:
        for name, pid in list(self.running.items()):
            del self.running[name]
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGKILL)
            self.processes.ask(wait=pid)
        self._locks.close()
        self.engine.dispose()

    # ------------------------------------------------------------------ what it knows
    def operations(self) -> list[Operation]:
        """Of all projects, the oldest first."""
        with reading(self.engine) as connection:
            rows = connection.execute(
                sa.select(OPERATIONS).order_by(OPERATIONS.c.created_at)).mappings()
            return [operation_from_row(row) for row in rows]

    def all_over(self) -> bool:
        return all(one.state.over for one in self.operations())

    def standing_trusts(self) -> int:
        """Operations that still have one, as far as the database knows."""
        with reading(self.engine) as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(OPERATIONS)
                                      .where(OPERATIONS.c.trust != "")).scalar_one()

    def driven(self, operations: Iterable[Operation]) -> dict[str, int]:
        """Which process has which of them."""
        return self._locks.holders([one.id for one in operations])

    def lose_locks(self) -> None:
        """The database ends the sessions that hold the locks of the service's processes."""
        with self.engine.begin() as connection:
            connection.execute(sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'karbor %' AND datname = current_database()"))

    def log(self) -> str:
        path = self.place / "log"
        return path.read_text() if path.exists() else ""

    def until(self, what: Callable[[], object], why: str = "",
              patience: float = PATIENCE_SECONDS) -> None:
        """Wait for it; `patience` in seconds."""
        deadline = time.monotonic() + patience
        while not what():
            if time.monotonic() > deadline:
                stand = [(one.id, str(one.verb), str(one.state)) for one in self.operations()
                         if not one.state.over]
                raise AssertionError(f"{why or what} did not come: {stand}\n{self.log()[-20000:]}")
            time.sleep(0.05)


class Customer:
    """Somebody of a project, with volumes in the double and plans in Karbor."""

    def __init__(self, site: Site, user: str, volumes: int) -> None:
        self._site = site
        self._person = Person(site.double, user)
        self.project = self._person.project
        self._session = requests.Session()
        self._session.headers["X-Auth-Token"] = str(self._person._session.headers["X-Auth-Token"])
        self._volumes = [self._person.make("volume/v3/volumes", "volume", name=f"{user}-{number}",
                                           size=1)["id"] for number in range(volumes)]
        for volume in self._volumes:
            site.double.write("cinder.volume", volume, b"what is stored " * 200)
        self._plans: list[str] = []

    def plan(self) -> None:
        """One plan for each volume."""
        for number, volume in enumerate(self._volumes):
            made = self.ask("POST", "/plans", {"plan": {
                "name": f"plan-{number}", "provider_id": builtin.ID, "parameters": {},
                "resources": [{"id": volume, "type": "OS::Cinder::Volume", "name": "data"}]}})
            self._plans.append(made["plan"]["id"])

    def protect(self, number: int) -> str | None:
        """The id of the checkpoint; None when the service died over it."""
        try:
            made = self.ask("POST", f"/providers/{builtin.ID}/checkpoints",
                            {"checkpoint": {"plan_id": self._plans[number % len(self._plans)]}})
        except requests.ConnectionError:
            return None
        return str(made["checkpoint"]["id"])

    def checkpoints(self) -> dict[str, str]:
        """Id → status, of those that were not deleted."""
        found = self.ask("GET", f"/providers/{builtin.ID}/checkpoints")["checkpoints"]
        return {one["id"]: one["status"] for one in found if one["status"] != "deleted"}

    def delete(self, checkpoint: str) -> None:
        self.ask("DELETE", f"/providers/{builtin.ID}/checkpoints/{checkpoint}")

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._session.request(method, f"{self._site.url}/v1/{self.project}{path}",
                                       json=body, timeout=30)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def close(self) -> None:
        self._session.close()
        self._person.close()
