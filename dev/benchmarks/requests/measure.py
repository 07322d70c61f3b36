"""Protects an application in the double, and counts what arrived there."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from karbor_testing.openstack import Double

from dev.benchmarks.requests.application import build
from karbor import config
from karbor.cmd.embedded import EmbeddedKarbor
from karbor.domain.operation import OperationState

CONFIGURATION = """\
[DEFAULT]
state_path = {place}
[service_user]
auth_type = password
{account}
[limits]
provider_cinder_backups = 50
project_cinder_backups = 50
provider_glance_transfers = 8
project_glance_transfers = 8
provider_server_images = 8
project_server_images = 8
"""


@dataclass(frozen=True)
class Counted:
    """What one protect sent.

    `unavoidable` are those that change something or move an image's data into the bank. Karbor 1.x
    knew no more than these and looks. `proofs` read back what Cinder wrote for a backup, and `tags`
    ask what no list tells: the tags of a server's devices. `looks` are all others but those to
    Keystone, which do not depend on what is protected. `beforehand` are the looks of the command,
    which refuses at once what cannot be protected; the service answers without them.
    """

    servers: int
    volumes: int
    unrelated: int
    requests: Mapping[str, int]     # "METHOD service what" → how many
    unavoidable: int
    proofs: int
    tags: int
    looks: int
    beforehand: int
    keystone: int
    evidence: str       # the weakest of what was read back

    @property
    def karbor_1(self) -> int:
        """What Karbor 1.6.0 sent for the same, each wait over at its first look: S(P + 12 + A +
        8V) + 5 with P pages of a thousand volumes and A = 1 address."""
        pages = max(1, -(-(self.servers * self.volumes + self.unrelated) // 1000))
        return self.servers * (pages + 12 + 1 + 8 * self.volumes) + 5


def protect(servers: int, volumes: int, unrelated: int, place: Path,
            pages: Mapping[str, int] | None = None) -> Counted:
    """Everything that was asked for has come about at the first look. `pages` are the items that a
    page of a service's lists has at most. Raises RuntimeError when the protect did not succeed."""
    with Double() as double:
        names = build(double, servers, volumes, unrelated)
        double.set(looks={"*": 0}, pages=dict(pages or {}))
        account = "".join(f"{key} = {value}\n"
                          for key, value in double.cloud("karbor")["auth"].items())
        place.mkdir(parents=True, exist_ok=True)
        file = place / "karbor.conf"
        file.write_text(CONFIGURATION.format(place=place, account=account))
        clouds = double.clouds_yaml(place / "clouds.yaml")
        beforehand, evidence = _run(double, file, clouds, names)
        return _counted(double.log(), servers, volumes, unrelated, beforehand,
                        evidence=evidence)


def _run(double: Double, file: Path, clouds: Path, names: Sequence[str]) -> tuple[int, str]:
    """Returns how many looks were made before anything was accepted (the double's log has what
    came after), and what was proved in the end."""
    os.environ["OS_CLIENT_CONFIG_FILE"] = str(clouds)
    with EmbeddedKarbor(config.load([file]), cloud="demo") as local:
        draft = local.draft_protect(names, name="all")
        beforehand = sum(1 for one in double.log() if not one["path"].startswith("/identity"))
        double.forget_log()
        operation = local.start(draft)
        local.wait(operation.id)
        ended = local.operation(operation.id)
    if ended.state is not OperationState.DONE:
        raise RuntimeError(f"the protect ended as {ended.state}: {json.dumps(ended.error)}")
    return beforehand, str(ended.result["evidence"])


def _counted(log: Sequence[Mapping[str, Any]], servers: int, volumes: int, unrelated: int,
             beforehand: int, *, evidence: str) -> Counted:
    requests = Counter(f"{one['method']} {one['signature']}" for one in log)
    keystone = sum(1 for one in log if one["path"].startswith("/identity"))
    kinds = Counter(_kind(one) for one in log if not one["path"].startswith("/identity"))
    return Counted(servers, volumes, unrelated, dict(requests), kinds["unavoidable"],
                   kinds["proof"], kinds["tag"], kinds["look"], beforehand, keystone,
                   evidence)


def _kind(one: Mapping[str, Any]) -> str:
    parts = str(one["path"]).partition("?")[0].strip("/").split("/")
    match one["method"], parts:
        case "GET", ["image", "v2", "images", _, "file"]:
            return "unavoidable"
        case "GET", ["object-store", "v1", _, _, *name] if name:
            return "proof"
        case "GET", ["compute", _, "servers", _, "os-volume_attachments" | "os-interface"]:
            return "tag"
    return "unavoidable" if one["mutates"] else "look"
