"""On the real cloud: `karbor` killed with -9 at twenty random instants loses and doubles nothing.

The instants of a run come from a seed, which is printed: KARBOR_SEED=… meets the same ones again
(as far as a real cloud repeats itself).
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from openstack.connection import Connection

from tests.cloud.conftest import Cloud
from tests.cloud.karbor_command import Karbor
from tests.cloud.small_application import small_application

PREFIX = "killed-"
KILLS = 10          # of each verb: twenty together


def killed_again_and_again(karbor: Karbor, chance: random.Random, *words: str) -> Any:
    """Start an operation, kill its process, resume it, kill that one, and so on; then let it end.

    Returns what `operation show` says of it.
    """
    known = {one["id"] for one in operations(karbor)}
    begin = list(words)
    for _ in range(KILLS):
        running = karbor.begin(*begin)
        try:
            running.process.wait(timeout=chance.uniform(0.8, 5.0))
        except subprocess.TimeoutExpired:
            running.process.kill()
        running.end()
        new = [one for one in operations(karbor) if one["id"] not in known]
        if new:     # else it was killed before it had been accepted
            begin = ["operation", "resume", new[0]["id"]]
            if new[0]["state"] in ("done", "failed", "cancelled"):
                break   # it was quicker than the dice
    else:
        karbor(*begin)
    [operation] = [one for one in operations(karbor) if one["id"] not in known]
    return operation


def operations(karbor: Karbor) -> list[Any]:
    return list(karbor("operation", "list", "-f", "json").json)


def marks(cloud: Connection, operation: Any) -> Counter[str]:
    """How often each mark of the operation stands on something in the cloud."""
    found: Counter[str] = Counter()
    storage = cloud.block_storage
    backups = storage.get("/backups/detail", microversion="3.43").json()["backups"]
    for one in [*storage.snapshots(), *storage.volumes(), *cloud.compute.servers()]:
        if mark := (one.metadata or {}).get("karbor_mark"):
            found[mark] += 1
    for backup in backups:
        if mark := (backup.get("metadata") or {}).get("karbor_mark"):
            found[mark] += 1
    for image in cloud.image.images(visibility="private"):
        if mark := image.properties.get("karbor_mark"):
            found[mark] += 1
    return Counter({mark: count for mark, count in found.items()
                    if mark.startswith(f"karbor:{operation['id']}:")})


def bytes_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


@pytest.mark.timeout(900)
def test_killed_at_twenty_random_instants_everything_comes_to_its_end(
        cloud: Cloud, tmp_path: Path) -> None:
    seed = os.environ.get("KARBOR_SEED") or str(random.SystemRandom().randrange(10**6))
    print(f"KARBOR_SEED={seed}")
    chance = random.Random(seed)
    karbor = Karbor(tmp_path, cloud.clouds_yaml)
    with cloud.connection() as demo, small_application(demo, PREFIX) as application:
        original = cloud.volumes / f"volume-{application.volume}"
        with original.open("r+b") as disk:
            disk.write(chance.randbytes(100_000))
        expected = bytes_of(original)

        protected = killed_again_and_again(
            karbor, chance, "protect", application.server_name, "--name", "killed")
        assert protected["state"] == "done", protected
        made = marks(demo, protected)
        assert list(made.values()) == [1], "one backup; snapshots and temporary images are gone"

        restored = killed_again_and_again(karbor, chance, "restore", "killed")
        assert restored["state"] == "done", restored
        assert set(marks(demo, restored).values()) <= {1}
        servers = [one for one in demo.compute.servers()
                   if one.name.startswith(PREFIX) and one.id != application.server]
        assert len(servers) == 1
        volumes = [one for one in demo.block_storage.volumes()
                   if one.name.startswith(PREFIX) and one.id != application.volume]
        assert len(volumes) == 1
        assert bytes_of(cloud.volumes / f"volume-{volumes[0].id}") == expected

        karbor("checkpoint", "delete", "killed", "--yes")
        assert not marks(demo, protected), "the deleted checkpoint left something behind"
