"""Protects an application in the double, and counts what arrived there."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.requests.application import build
from karbor import config
from karbor.cmd.local import Local
from karbor.domain.operation import OperationState
from karbor.testing.openstack import Double

CONFIGURATION = """\
[DEFAULT]
state_path = {place}
[service_user]
auth_type = password
{account}
[limits]
cinder_backups = 50
glance_transfers = 8
server_images = 8
"""


@dataclass(frozen=True)
class Counted:
    """What one protect sent. `unavoidable` are those that change something or move data; `reads`
    are all others but those to Keystone, which do not depend on what is protected."""

    servers: int
    volumes: int
    unrelated: int
    requests: Mapping[str, int]     # "METHOD service what" → how many
    unavoidable: int
    reads: int
    keystone: int

    @property
    def karbor_1(self) -> int:
        """What Karbor 1.6.0 sent for the same, each wait over at its first look: S(P + 12 + A +
        8V) + 5 with P pages of a thousand volumes and A = 1 address."""
        pages = max(1, -(-(self.servers * self.volumes + self.unrelated) // 1000))
        return self.servers * (pages + 12 + 1 + 8 * self.volumes) + 5


def protect(servers: int, volumes: int, unrelated: int, place: Path) -> Counted:
    """Everything that was asked for has come about at the first look. Raises RuntimeError when the
    protect did not succeed."""
    with Double() as double:
        names = build(double, servers, volumes, unrelated)
        double.set(looks={"*": 0})
        account = "".join(f"{key} = {value}\n"
                          for key, value in double.cloud("karbor")["auth"].items())
        place.mkdir(parents=True, exist_ok=True)
        file = place / "karbor.conf"
        file.write_text(CONFIGURATION.format(place=place, account=account))
        clouds = double.clouds_yaml(place / "clouds.yaml")
        _run(file, clouds, names)
        return _counted(double.log(), servers, volumes, unrelated)


def _run(file: Path, clouds: Path, names: Sequence[str]) -> None:
    os.environ["OS_CLIENT_CONFIG_FILE"] = str(clouds)
    with Local(config.load([file]), cloud="demo") as local:
        operation = local.protect(names, name="all")
        local.wait(operation.id)
        ended = local.operation(operation.id)
    if ended.state is not OperationState.DONE:
        raise RuntimeError(f"the protect ended as {ended.state}: {json.dumps(ended.error)}")


def _counted(log: Sequence[Mapping[str, Any]], servers: int, volumes: int, unrelated: int
             ) -> Counted:
    requests = Counter(f"{one['method']} {one['signature']}" for one in log)
    keystone = sum(1 for one in log if one["path"].startswith("/identity"))
    others = [one for one in log if not one["path"].startswith("/identity")]
    needed = sum(1 for one in others if one["mutates"] or _moves_data(one))
    return Counted(servers, volumes, unrelated, dict(requests), needed, len(others) - needed,
                   keystone)


def _moves_data(one: Mapping[str, Any]) -> bool:
    path = str(one["path"]).partition("?")[0]
    return one["method"] == "GET" and path.endswith("/file")
