"""What storing a disk costs: Karbor's vault beside borg and restic, encrypted, in directories.

    python -m dev.benchmarks.vault [--mib 1024] [--repeats 3] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
CHANGED_BYTES = 64 * 1024
ENVIRONMENT = {**os.environ, "BORG_PASSPHRASE": "x", "RESTIC_PASSWORD": "x",
               "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes", "PYTHONPATH": "."}


@dataclass(frozen=True)
class Tool:
    """Commands by their verbs; `{root}`, `{name}`, `{disk}` and `{out}` are filled in."""

    name: str
    prepare: str
    store: str
    restore: str
    check: str


KARBOR = f"{sys.executable} -m dev.benchmarks.vault.store"
BORG = ("borg create --compression zstd,1 --files-cache disabled {options} {{root}}::{{name}} "
        "{{disk}}")
BORG_REST = ("borg init --encryption=repokey-blake2 {root}", "borg extract {root}::{name}",
             "borg check --verify-data {root}")
TOOLS = [
    Tool("karbor", "true", f"{KARBOR} store {{root}} {{name}} {{disk}}",
         f"{KARBOR} restore {{root}} {{name}} {{out}}", f"{KARBOR} check {{root}} {{name}} -"),
    Tool("borg", BORG_REST[0], BORG.format(options=""), *BORG_REST[1:]),
    Tool("borg fixed", BORG_REST[0],
         BORG.format(options="--chunker-params fixed,65536 --sparse"), *BORG_REST[1:]),
    Tool("restic", "restic init -q -r {root}", "restic backup -q --force -r {root} {disk}",
         "restic restore -q -r {root} latest --target {out}.d",
         "restic check -q -r {root} --read-data"),
]


@dataclass
class Cost:
    """CPU-seconds, seconds, and the MiB of memory above those at its start, where it tells them."""

    cpu: float
    wall: float
    memory_mib: float


def run(command: str, where: Path) -> Cost:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command.split(), check=True, capture_output=True, env=ENVIRONMENT,
                          cwd=where if command.startswith("borg extract") else None)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = json.loads(done.stdout) if command.startswith(KARBOR) else {}
    return Cost(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
                time.monotonic() - began, told.get("peak_mib", 0.0) - told.get("start_mib", 0.0))


def size_of(root: Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*")
               if path.is_file() and "index" not in path.parts)


def make_disk(path: Path, size: int) -> None:
    """Files of this system, as a file system lays them: at multiples of 4 KiB, the rest zeros."""
    written, target = 0, int(size * 0.72)
    with path.open("wb") as out:
        for directory, _, names in os.walk("/usr"):
            for name in sorted(names):
                file = Path(directory) / name
                if file.is_symlink() or not file.is_file():
                    continue
                body = file.read_bytes()[:target - written]
                out.write(body + bytes(-len(body) % 4096))
                written += len(body) + -len(body) % 4096
            if written >= target:
                break
        out.truncate(size)


def change(path: Path, size: int, seed: int) -> int:
    """Overwrite 1 % of the disk in places of 64 KiB; return how many bytes."""
    chance = random.Random(seed)
    places = chance.sample(range(int(size * 0.7) // CHANGED_BYTES), size // 100 // CHANGED_BYTES)
    with path.open("r+b") as disk:
        for place in places:
            disk.seek(place * CHANGED_BYTES)
            disk.write(chance.randbytes(CHANGED_BYTES))
    return len(places) * CHANGED_BYTES


def measure(tool: Tool, work: Path, disk: Path, size: int, seed: int) -> dict[str, float]:
    """Return what one round of a tool cost, in CPU-seconds per GiB, seconds and MiB."""
    root, out = work / tool.name.replace(" ", "-"), work / "out"
    for path in (root, work / "out.d", work / "there"):
        shutil.rmtree(path, ignore_errors=True)
    out.unlink(missing_ok=True)
    (work / "there").mkdir()
    copy = work / "disk.img"
    shutil.copy(disk, copy)

    def perform(command: str, name: str) -> Cost:
        return run(command.format(root=root, name=name, disk=copy, out=out), work / "there")

    perform(tool.prepare, "")
    gib = size / (1 << 30)
    found: dict[str, float] = {}
    first = perform(tool.store, "one")
    stored = size_of(root)
    found |= {"first: CPU-s/GiB": first.cpu / gib, "first: wall s": first.wall,
              "first: stored MiB": stored / MIB}
    second = perform(tool.store, "two")
    found |= {"unchanged: CPU-s/GiB": second.cpu / gib,
              "unchanged: added MiB": (size_of(root) - stored) / MIB}
    stored, changed = size_of(root), change(copy, size, seed)
    third = perform(tool.store, "three")
    found |= {"1 % changed: CPU-s/GiB": third.cpu / gib,
              "1 % changed: added / change": (size_of(root) - stored) / changed}
    found["restore: CPU-s/GiB"] = perform(tool.restore, "three").cpu / gib
    found["check: CPU-s/GiB"] = perform(tool.check, "three").cpu / gib
    found["memory above start, MiB"] = max(first.memory_mib, third.memory_mib)
    return found


def main(report: Callable[[str], None] = print) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    tools = [tool for tool in TOOLS if tool.name == "karbor" or shutil.which(tool.store.split()[0])]
    missing = {tool.store.split()[0] for tool in TOOLS} - {tool.store.split()[0] for tool in tools}
    for name in sorted(missing):
        report(f"{name} is not installed and left out")
    size = options.mib * MIB
    rounds: dict[str, list[dict[str, float]]] = {tool.name: [] for tool in tools}
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        make_disk(work / "original.img", size)
        for number in range(options.repeats):
            for tool in tools[number % len(tools):] + tools[:number % len(tools)]:
                rounds[tool.name].append(measure(tool, work, work / "original.img", size, number))
    medians = {name: {what: statistics.median(one[what] for one in costs) for what in costs[0]}
               for name, costs in rounds.items()}
    if options.json:
        report(json.dumps(medians, indent=2))
        return
    report(f"{'':<30}" + "".join(f"{name:>14}" for name in medians))
    for what in medians["karbor"]:
        report(f"{what:<30}" + "".join(f"{costs[what]:>14.2f}" for costs in medians.values()))


if __name__ == "__main__":
    main()
