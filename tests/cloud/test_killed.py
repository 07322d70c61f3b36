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
KILLS = 20          # at least, over as many turns as that takes
AT_MOST = 10        # of one operation


class Killer:
    """Kills what runs, at instants that a seed decides."""

    def __init__(self, karbor: Karbor, seed: str) -> None:
        self.karbor = karbor
        self.chance = random.Random(seed)
        self.kills = 0

    def end(self, *words: str) -> Any:
        """Start an operation, kill its process, resume it, kill that one, and so on, at most
        AT_MOST times; then let it end. Returns what `operation list` says of it."""
        known = {one["id"] for one in operations(self.karbor)}
        begin, kills = list(words), 0
        while True:
            running = self.karbor.begin(*begin)
            try:
                patience = None if kills == AT_MOST else self.chance.uniform(0.5, 4.0)
                running.process.wait(timeout=patience)
            except subprocess.TimeoutExpired:
                running.process.kill()
                kills += 1
            running.end()
            new = [one for one in operations(self.karbor) if one["id"] not in known]
            if new and new[0]["state"] in ("done", "failed", "cancelled"):
                self.kills += kills
                return new[0]
            if new:     # else it was killed before it had been accepted
                begin = ["operation", "resume", new[0]["id"]]


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
    karbor = Karbor(tmp_path, cloud.clouds_yaml)
    killer = Killer(karbor, seed)
    with cloud.connection() as demo, small_application(demo, PREFIX) as application:
        original = cloud.volumes / f"volume-{application.volume}"
        with original.open("r+b") as disk:
            disk.write(killer.chance.randbytes(100_000))
        expected = bytes_of(original)
        own = {application.server, application.volume}

        for turn in range(20):
            protected = killer.end("protect", application.server_name, "--name", f"turn {turn}")
            assert protected["state"] == "done", protected
            made = marks(demo, protected)
            assert list(made.values()) == [1], "one backup; all that is temporary is gone"

            restored = killer.end("restore", f"turn {turn}")
            assert restored["state"] == "done", restored
            assert set(marks(demo, restored).values()) <= {1}
            [server] = [one.id for one in demo.compute.servers()
                        if one.name.startswith(PREFIX) and one.id not in own]
            [volume] = [one.id for one in demo.block_storage.volumes()
                        if one.name.startswith(PREFIX) and one.id not in own]
            assert bytes_of(cloud.volumes / f"volume-{volume}") == expected
            own |= {server, volume}

            deleted = killer.end("checkpoint", "delete", f"turn {turn}", "--yes")
            assert deleted["state"] == "done", deleted
            assert not marks(demo, protected), "the deleted checkpoint left something behind"
            if killer.kills >= KILLS:
                break
        assert killer.kills >= KILLS
