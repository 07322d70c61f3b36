"""Commands of Karbor, each in a process of its own that may be killed at any request."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from karbor_testing.openstack import Double

REPOSITORY = Path(__file__).parents[2]
OVER = frozenset({"done", "failed", "cancelled"})
PATIENCE = 120.0        # seconds that a command may take on a busy machine


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, or minus the signal that killed it."""

    code: int
    out: str
    err: str

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Commands:
    """Runs `karbor` in children of a process that has it imported already."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.zygote"], cwd=REPOSITORY, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._hear() == {"ready": True}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._process:
            self._process.communicate(timeout=30)

    def run(self, argv: list[str], environ: dict[str, str], place: Path,
            before: Callable[[int], None] | None = None) -> Ended:
        """`before` gets the id of the process that will run the command, while it waits."""
        out, err = place / "out", place / "err"
        for one in (out, err):
            one.write_text("")
        self._say({"argv": argv, "environ": environ, "out": str(out), "err": str(err)})
        pid = self._hear()["pid"]
        if before:
            before(pid)
        self._say({})
        try:
            status = self._hear()["status"]
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            self._hear()
            raise TimeoutError(f"karbor {' '.join(argv)} did not end within {PATIENCE} s\n"
                               f"{out.read_text()}\n{err.read_text()}") from None
        return Ended(os.waitstatus_to_exitcode(status), out.read_text(), err.read_text())

    def _say(self, what: dict[str, Any]) -> None:
        assert self._process
        assert self._process.stdin
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def _hear(self) -> dict[str, Any]:
        assert self._process
        assert self._process.stdout
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        if not ready:
            raise TimeoutError
        heard: dict[str, Any] = json.loads(self._process.stdout.readline())
        return heard


class Home:
    """One user's Karbor: a state directory, a clouds.yaml, and a cloud. Its operations run on the
    user's token with a service token beside it, and have a trust for afterwards; or on the user's
    own login."""

    def __init__(self, commands: Commands, double: Double, place: Path) -> None:
        self.commands = commands
        self.double = double
        self.place = place
        self.state = place / "state"
        place.mkdir(parents=True, exist_ok=True)
        double.clouds_yaml(place / "clouds.yaml")
        self.configure()
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(place), "OS_CLOUD": "demo",
                        "OS_CLIENT_CONFIG_FILE": str(place / "clouds.yaml"),
                        "KARBOR_CONFIG": str(place / "karbor.conf")}

    def configure(self, credentials: str = "") -> None:
        """As usual, or with a line more in the section [credentials]."""
        account = self.double.cloud("karbor")["auth"]
        section = "".join(f"{name} = {value}\n" for name, value in account.items())
        (self.place / "karbor.conf").write_text(
            f"[DEFAULT]\nstate_path = {self.state}\n[http]\nretry_longest = 0.2\n"
            f"[waits]\nmade_anew_pause = 0.1\nremoval = 0.13\n"
            f"[service_user]\nauth_type = password\n{section}[credentials]\n{credentials}\n")

    def karbor(self, *argv: str, before: Callable[[int], None] | None = None) -> Ended:
        return self.commands.run(list(argv), self.environ, self.place, before)

    def json(self, *argv: str) -> Any:
        ended = self.karbor(*argv, "--format", "json")
        assert ended.code == 0, ended
        return json.loads(ended.out)

    def keep(self, name: str) -> None:
        """Remember the state directory and the cloud."""
        shutil.copytree(self.state, self.place / f"kept-{name}")
        self.double.keep(name)

    def bring_back(self, name: str) -> None:
        shutil.rmtree(self.state, ignore_errors=True)
        shutil.copytree(self.place / f"kept-{name}", self.state)
        self.double.bring_back(name)

    def newest(self) -> tuple[str, str] | None:
        """(id, state) of the operation that was accepted last, from the database."""
        found = self._rows("id, state", "ORDER BY created_at DESC LIMIT 1")
        return (found[0][0], found[0][1]) if found else None

    def trusts(self) -> dict[str, str]:
        """Those that may stand in Keystone as far as the database knows: the second in which each
        ends, by which it is known, and the state of its operation."""
        return {json.loads(credential)["grant"]["expires_at"]: state
                for credential, state in self._rows("credential, state", "WHERE trust != ''")}

    def told(self) -> list[str]:
        """The events of all operations, from the database."""
        return [text for _, text in self._rows("at, text", "", "operation_events")]

    def _rows(self, what: str, which: str, table: str = "operations") -> list[tuple[str, str]]:
        path = self.state / "karbor.sqlite"
        if not path.exists():
            return []
        with closing(sqlite3.connect(path)) as database:
            try:
                return database.execute(f"SELECT {what} FROM {table} {which}").fetchall()
            except sqlite3.OperationalError:        # killed before its tables were made
                return []

    def finish(self, *argv: str, since: str | None,
               before: Callable[[int], None] | None = None) -> Ended:
        """What a person does after a crash: resume, or ask again if it was not even accepted.
        `since` is the newest operation of before."""
        newest = self.newest()
        if newest is None or newest[0] == since:
            return self.karbor(*argv, before=before)
        if newest[1] in OVER:
            return Ended(0 if newest[1] == "done" else 1, "", f"it was {newest[1]} already")
        return self.karbor("operation", "resume", newest[0], before=before)
