"""Where the service lives: its configuration, its data, and how the cloud is spoken to."""

from __future__ import annotations

import os
import pathlib
import sys
from dataclasses import dataclass
from typing import IO, Any

import yaml

from dev.devcloud.settings import DevcloudError, State

PORT = 8799
CONFIGURATION = """\
# Written by `make service-up`; yours to change: it is not written again.
[DEFAULT]
state_path = {place}/state
osapi_karbor_listen = {host}
osapi_karbor_listen_port = {port}
region_name = RegionOne
log_file = {place}/karbor.log

[schedule]
# Elsewhere an hour, a quarter of an hour and half an hour: here one wants to see something happen.
min_interval = 60
min_window_time = 30
max_window_time = 3600
poll_interval = 5

[metrics]
api = true

[service_user]
auth_type = password
{account}
"""


@dataclass(frozen=True)
class Place:
    """`root` is a directory beside the cloud's own."""

    cloud: State
    host: str

    @classmethod
    def here(cls) -> Place:
        """Beside the cloud of this clone (or of DEVCLOUD_STATE). Ends the program when there is
        none."""
        state = State.default()
        try:
            return cls(state, state.settings().host)
        except DevcloudError as error:
            sys.exit(f"service: {error}")

    @property
    def root(self) -> pathlib.Path:
        return self.cloud.root / "karbor"

    @property
    def configuration(self) -> pathlib.Path:
        return self.root / "karbor.conf"

    @property
    def log(self) -> pathlib.Path:
        return self.root / "karbor.log"

    @property
    def pid_file(self) -> pathlib.Path:
        return self.root / "karbor.pid"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{PORT}"

    def output(self) -> IO[bytes]:
        """What the service says beside its log, to be appended to; its owner's alone."""
        path = self.root / "karbor.out"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.fchmod(descriptor, 0o600)        # one from before
        return os.fdopen(descriptor, "ab")

    def write(self, path: pathlib.Path, text: str) -> None:
        """A file that is its owner's alone, from its first byte on."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.fchmod(descriptor, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)

    def account(self, name: str) -> dict[str, Any]:
        """An entry of clouds.yaml."""
        entries = yaml.safe_load(self.cloud.clouds_yaml.read_text())["clouds"]
        found: dict[str, Any] = entries[name]
        return found

    def configure(self) -> None:
        """Once; whoever has changed the file keeps it."""
        self.root.mkdir(mode=0o700, exist_ok=True)
        self.root.chmod(0o700)
        if self.log.exists():
            self.log.chmod(0o600)
        if self.configuration.exists():
            return
        account = "".join(f"{key} = {value}\n"
                          for key, value in self.account("karbor")["auth"].items())
        self.write(self.configuration, CONFIGURATION.format(
            place=self.root, host=self.host, port=PORT, account=account.rstrip()))
