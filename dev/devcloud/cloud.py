"""What every service needs to know of the cloud it is part of."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from typing import Any

from dev.devcloud import ini, ports
from dev.devcloud.processes import Processes
from dev.devcloud.settings import PASSWORD, PLUGINS, REGION, DevcloudError, Settings, State


class Cloud:
    """One state with its settings, processes and Python environment."""

    def __init__(self, state: State, settings: Settings, venv: pathlib.Path) -> None:
        self.state = state
        self.settings = settings
        self.venv = venv
        self.processes = Processes(state)
        self.host = settings.host
        self.auth_url = f"http://{self.host}:{ports.KEYSTONE}/v3"
        self.account_document = ""  # see accounts.py; set by whoever knows all services

    def has(self, service: str) -> bool:
        return service in self.settings.services

    def bin(self, program: str) -> pathlib.Path:
        return self.venv / "bin" / program

    def environment(self, **extra: Any) -> dict[str, str]:
        """The whole environment of a process: nothing of the caller's shell leaks in."""
        environment = {
            "PATH": f"{self.venv}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.state.home),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(PLUGINS),
            "PYTHONUNBUFFERED": "1",
            "TZ": "UTC",
        }
        environment.update({name: str(value) for name, value in extra.items()})
        return environment

    def claim(self, process: str, *numbers: int) -> None:
        """Before a server is started: what answers on its ports must not be somebody else's.

        Without this a check of ours would be answered by another cloud, and believed.
        """
        if not self.processes.alive(process):
            taken = [str(port) for port in numbers if ports.is_open(self.host, port)]
            if taken:
                raise DevcloudError(f"{process}: {self.host} port {', '.join(taken)} is taken")

    def copy_package_etc(self, service: str) -> pathlib.Path:
        """Paste and policy files that a service's package brings; returns its directory."""
        directory = self.state.etc / service
        if not directory.exists():
            shutil.copytree(self.venv / "etc" / service, directory)
        return directory

    def answers(self, port: int, path: str = "/") -> bool:
        """Whether an HTTP server answers there, with anything but a server error."""
        try:
            with urllib.request.urlopen(f"http://{self.host}:{port}{path}", timeout=10) as answer:
                return bool(answer.status < 500)
        except urllib.error.HTTPError as error:
            return error.code < 500
        except OSError:
            return False

    # ---------------------------------------------------------------- database
    def mariadb(self, program: str, *arguments: str, stdin: bytes | None = None) -> bytes:
        """Run a client program of MariaDB against the cloud's server."""
        server = ["-h", self.host, "-P", str(ports.MARIADB), "-u", "devcloud"]
        done = subprocess.run(
            [program, "--no-defaults", *server, *arguments],
            env=self.environment(MYSQL_PWD=PASSWORD),
            input=stdin,
            capture_output=True,
            timeout=300,
            check=False,
        )
        if done.returncode:
            raise DevcloudError(f"{program}: {done.stderr.decode(errors='replace')[-2000:]}")
        return done.stdout

    def sql(self, statement: str, database: str = "mysql") -> list[list[str]]:
        out = self.mariadb("mariadb", "-N", "-B", "-D", database, "-e", statement).decode()
        return [line.split("\t") for line in out.splitlines()]

    def reported(self, database: str, statement: str, workers: Iterable[str]) -> bool:
        """Whether each worker has written its sign of life since its process was started.

        The statement selects the worker's name and the time of the sign.
        """
        ages = self.sign_ages(database, statement)
        return all(
            ages.get(name, 1e9) < min(60, time.time() - self.processes.started(name) + 1)
            for name in workers
        )

    def sign_ages(self, database: str, statement: str) -> dict[str, float]:
        rows = self.sql(f"SET time_zone = '+00:00'; {statement}", database)
        return {name: time.time() - float(seen) for name, seen in rows if seen != "NULL"}

    # ---------------------------------------------------------------- configuration sections
    def database(self, name: str) -> dict[str, Any]:
        return {
            "connection": self.database_url(name),
            "max_pool_size": 5,
            "max_overflow": 20,
            "connection_recycle_time": 600,
        }

    def database_url(self, name: str) -> str:
        server = f"devcloud:{PASSWORD}@{self.host}:{ports.MARIADB}"
        return f"mysql+pymysql://{server}/{name}?charset=utf8mb3"

    @property
    def transport_url(self) -> str:
        return f"rabbit://devcloud:{PASSWORD}@{self.host}:{ports.RABBIT}/"

    def login(self, user: str) -> dict[str, Any]:
        """A service user's own credentials, as every section that makes calls has them."""
        return {
            "auth_type": "password",
            "auth_url": self.auth_url,
            "username": user,
            "password": PASSWORD,
            "user_domain_name": "Default",
            "project_name": "service",
            "project_domain_name": "Default",
            "region_name": REGION,
        }

    def authtoken(self, user: str, service_type: str) -> dict[str, Any]:
        """[keystone_authtoken]: an expired token is accepted only with a real service token."""
        return self.login(user) | {
            "www_authenticate_uri": self.auth_url,
            "service_token_roles": self.settings.service_token_roles.get(user, "service"),
            "service_token_roles_required": True,
            "service_type": service_type,
            "token_cache_time": self.settings.token_cache_times.get(
                user, self.settings.token_cache_time
            ),
        }

    def service_user(self, user: str) -> dict[str, Any]:
        return self.login(user) | {"send_service_user_token": True}

    def messaging(self) -> ini.Sections:
        """RabbitMQ of Debian 12 (3.10) works with classic queues."""
        return {
            "oslo_messaging_rabbit": {
                "rabbit_quorum_queue": False,
                "heartbeat_in_pthread": False,
                "rpc_conn_pool_size": 10,
            },
            "oslo_messaging_notifications": {"driver": "noop"},
        }

    def policy(self) -> ini.Sections:
        return {"oslo_policy": {"enforce_scope": True, "enforce_new_defaults": True}}

    def key_manager(self, user: str) -> ini.Sections:
        """Barbican for encrypted volumes, when it is part of the cloud."""
        if not self.has("barbican"):
            return {}
        return {
            "key_manager": {"backend": "barbican"},
            "barbican": {
                "auth_endpoint": self.auth_url,
                "barbican_endpoint": f"http://{self.host}:{ports.BARBICAN}",
                "send_service_user_token": True,
            },
            "barbican_service_user": self.login(user),
        }
