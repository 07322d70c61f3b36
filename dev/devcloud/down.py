"""Stopping the cloud."""

from __future__ import annotations

import shutil
import signal

from dev.devcloud.processes import Processes
from dev.devcloud.settings import State

_LAST = ("keystone", "memcached", "rabbit", "epmd", "mariadb")


def down(state: State, wipe: bool) -> None:
    """Stop all processes, what the others need last; with `wipe` remove everything."""
    if state.root.exists() and state.run.exists():
        processes = Processes(state)
        names = processes.names()
        others = [name for name in names if name not in _LAST]
        for name in others:  # all at once, then wait for each
            processes.signal(name, signal.SIGTERM)
        for name in (*others, *_LAST):
            processes.remove(name)
    if wipe and state.root.exists():
        shutil.rmtree(state.root)
    print("devcloud: down, and everything removed" if wipe else "devcloud: down", flush=True)
