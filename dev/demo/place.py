"""Where the demonstration takes place: the dev cloud of this clone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import openstack
from openstack.connection import Connection

from dev.devcloud.settings import PASSWORD, State

PREFIX = "shop-"
"""Everything that the demonstration makes bears it, so that a later run can tidy up."""


@dataclass(frozen=True)
class Place:
    clouds_yaml: Path
    auth_url: str
    token_life: int
    volumes: Path           # a file per volume: the bytes that a guest would see
    instances: Path         # a directory per server with its disk
    own: Path               # Karbor's configuration, database and bank for the demonstration

    def connect(self, cloud: str = "demo") -> Connection:
        config = openstack.config.OpenStackConfig(config_files=[str(self.clouds_yaml)],
                                                  load_envvars=False)
        return Connection(config=config.get_one(cloud=cloud))

    def disk(self, server_id: str) -> Path:
        return self.instances / server_id / "disk"

    def volume(self, volume_id: str) -> Path:
        return self.volumes / f"volume-{volume_id}"


def find() -> Place:
    state = State.default()
    settings = state.settings()
    own = state.root / "demo"
    own.mkdir(exist_ok=True)
    return Place(state.clouds_yaml, f"http://{settings.host}:5000/v3", settings.token_expiration,
                 state.data / "volumes", state.data / "nova" / "instances", own)


def configure(place: Place) -> Path:
    """Karbor's configuration: a state of its own, and the account that vouches for users."""
    file = place.own / "karbor.conf"
    file.write_text(f"""[DEFAULT]
state_path = {place.own / "state"}

[service_user]
auth_type = password
auth_url = {place.auth_url}
username = karbor
password = {PASSWORD}
user_domain_name = Default
project_name = service
project_domain_name = Default
""")
    file.chmod(0o600)
    return file
