"""The old clients, as tests use them: `drive_client` does in its process what is asked here."""

from __future__ import annotations

import json
import pathlib
import shlex
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tests.compat import environment

DRIVER = pathlib.Path(__file__).with_name("drive_client.py")


class ClientError(Exception):
    """What was raised in the client: the name of its class, and the status it had from the
    server, if any."""

    def __init__(self, kind: str, module: str, code: int | None, message: str) -> None:
        super().__init__(f"{kind} ({code}): {message}")
        self.kind = kind
        self.module = module
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Shown:
    """What a command has written, and its exit code."""

    printed: str
    told: str
    code: int

    @property
    def json(self) -> Any:
        assert self.code == 0, self.told
        return json.loads(self.printed)

    @property
    def table(self) -> list[list[str]]:
        """The cells of what `karbor` prints, without the head."""
        rows = [[cell.strip() for cell in line.strip("|").split("|")]
                for line in self.printed.splitlines() if line.startswith("|")]
        return rows[1:]

    @property
    def properties(self) -> dict[str, str]:
        """A table of two columns; what has several lines is put together again."""
        out: dict[str, str] = {}
        last = ""
        for name, value in (row for row in self.table if len(row) == 2):
            last = name or last
            out[last] = f"{out.get(last, '')}{value}" if not name else value
        return out


class Clients:
    """One process for all of them: to import them takes longer than most of what they do."""

    def __init__(self, accounts: Mapping[str, Mapping[str, str]]) -> None:
        self._accounts = accounts
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [str(environment.python()), "-W", "ignore", str(DRIVER)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin", "COLUMNS": "400"})
        self._send(self._accounts)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def ask(self, **order: Any) -> dict[str, Any]:
        with self._lock:
            self._send(order)
            assert self._process.stdout is not None
            line = self._process.stdout.readline()
        assert line, "the clients' process has ended"
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ClientError(**answer["error"])
        return answer

    def _send(self, what: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()


@dataclass(frozen=True)
class Person:
    """One of the accounts, with each of the clients."""

    clients: Clients
    name: str
    project_id: str

    @property
    def client(self) -> Any:
        """`client.plans.list(…)`: as in Python, with dictionaries for what is answered."""
        return _Calls(self, "client")

    @property
    def dashboard(self) -> Any:
        return _Calls(self, "dashboard")

    def karbor(self, command: str, *more: str) -> Shown:
        return self._shell("karbor", [*shlex.split(command), *more])

    def openstack(self, command: str, *more: str) -> Shown:
        return self._shell("openstack", ["data", "protection", *shlex.split(command), *more])

    def json(self, command: str, *more: str) -> Any:
        """What `openstack data protection …` shows, read."""
        return self.openstack(command, *more, "-f", "json").json

    def _shell(self, do: str, argv: Sequence[str]) -> Shown:
        return Shown(**self.clients.ask(**{"do": do, "as": self.name, "argv": list(argv)}))


class _Calls:
    def __init__(self, person: Person, do: str, path: str = "") -> None:
        self._person = person
        self._do = do
        self._path = path

    def __getattr__(self, name: str) -> _Calls:
        return _Calls(self._person, self._do, f"{self._path}.{name}".lstrip("."))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._person.clients.ask(**{
            "do": self._do, "as": self._person.name, "call": self._path, "args": args,
            "kwargs": kwargs})["value"]
