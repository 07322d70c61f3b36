"""A PostgreSQL server of the tests' own: in a temporary directory, on a Unix socket. What it has
committed survives its own end, as where it serves people, but not that of the machine.

Its programs are those of Debian's package postgresql, which `make postgresql` installs, and `make
test` by itself. It refuses to run as root, so root runs it as the user that the package made.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from karbor.store.connect import connect
from karbor.store.upgrade import upgrade

TEMPLATE, EMPTY = "migrated", "template0"
SETTINGS = ("fsync=off", "full_page_writes=off", "listen_addresses=", "max_connections=200",
            "shared_buffers=32MB", "autovacuum=off")


class Server:
    """A context manager. Each test has a database of its own."""

    def __init__(self) -> None:
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        if not programs:
            raise RuntimeError("PostgreSQL is not installed: `make postgresql` installs it")
        self._programs = programs[-1].parent
        self._place = Path(tempfile.mkdtemp(prefix="karbor-pg-"))
        self._data = self._place / "data"
        self._count = 0

    def __enter__(self) -> Self:
        self._place.chmod(0o755)
        self._data.mkdir()
        if os.geteuid() == 0:
            shutil.chown(self._data, "postgres", "postgres")
            shutil.chown(self._place, "postgres", "postgres")
        try:
            self._run("initdb", "--auth=trust", "--username=postgres", "--no-sync", "--no-locale",
                      "--encoding=UTF8")
            self.start()
            with self.asked() as connection:
                connection.execute(f"CREATE DATABASE {TEMPLATE}")
            engine = connect(self.url(TEMPLATE))
            upgrade(engine)
            engine.dispose()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if (self._data / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self._place)

    def start(self) -> None:
        options = " ".join(f"-c {one}" for one in (
            *SETTINGS, f"unix_socket_directories={self._place}"))
        self._run("pg_ctl", "start", "--wait", f"--log={self._data / 'log'}",
                  f"--options={options}")

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "--wait", "--mode=immediate")

    def url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self._place}"

    def asked(self) -> psycopg.Connection:
        return psycopg.connect(self.url("postgres"), autocommit=True)

    def database(self, template: str = TEMPLATE) -> str:
        """The URL of a new one, with Karbor's tables; EMPTY: without any."""
        self._count += 1
        self._make(f"test_{self._count}", template)
        return self.url(f"test_{self._count}")

    def drop(self, url: str) -> None:
        """Whoever is connected to it notices."""
        name = url.removeprefix("postgresql://postgres@/").partition("?")[0]
        with self.asked() as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _make(self, name: str, template: str) -> None:
        with self.asked() as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), f"--pgdata={self._data}", *arguments]
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups",
                       *command]
        done = subprocess.run(command, cwd=self._data, text=True, check=False,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60)
        assert done.returncode == 0, done.stderr
