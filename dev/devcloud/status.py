"""What runs, and how much memory it takes."""

from __future__ import annotations

import pathlib
from collections import Counter

from dev.devcloud.processes import Processes
from dev.devcloud.settings import State


def status(state: State) -> bool:
    """Print a table; whether there is a cloud and all its processes run."""
    settings = state.settings()
    processes = Processes(state)
    pids = {r.name: r.pid if processes.alive(r.name) else None for r in processes.records()}
    memory = _memory({pid for pid in pids.values() if pid})
    print(f"{'PROCESS':<26} {'PID':<8} {'MiB':>6}")
    for name, pid in pids.items():
        used = f"{memory[pid] / 1024:6.0f}" if pid else ""
        print(f"{name:<26} {pid or 'DEAD':<8} {used}")
    print(f"{'total':<26} {'':<8} {sum(memory.values()) / 1024:6.0f}")
    print(
        f"state {state.root}, address {settings.host}, token life {settings.token_expiration} s, "
        f"window {settings.allow_expired_window} s, token cache {settings.token_cache_time} s"
    )
    return bool(pids) and all(pids.values())


def _memory(leaders: set[int]) -> Counter[int]:
    """KiB of each process group: its share of common pages, as all of them import the same."""
    total: Counter[int] = Counter()
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text()
            group = int(stat[stat.rindex(")") + 2 :].split()[2])
            if group not in leaders:
                continue
            for line in (entry / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total[group] += int(line.split()[1])
        except (OSError, ValueError):
            continue  # it has just ended
    return total
