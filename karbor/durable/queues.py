"""Queues: the threads that take work from the library's queues in this process.

The library listens to what it was told before it was launched, and cannot be told to stop without
stopping altogether. A server takes up providers that were added later, and a disabled one takes
nothing new while it finishes what it has. So it listens to nothing by itself, and its own loop for
one queue is run here: the one thing of its inside that we use.
"""

from __future__ import annotations

import threading

from dbos import DBOS
from dbos._dbos import _get_dbos_instance
from dbos._queue import queue_worker_thread


class Queues:
    """Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loops: dict[str, tuple[threading.Event, threading.Thread]] = {}

    def listen(self, name: str) -> None:
        """Take work from this queue, which must have been registered, from now on."""
        with self._lock:
            running = self._loops.get(name)
            if running is not None and running[1].is_alive():
                return
            stop = threading.Event()
            loop = threading.Thread(
                target=queue_worker_thread, name=f"takes from {name}", daemon=True,
                args=(stop, _get_dbos_instance(), DBOS.retrieve_queue(name)))
            self._loops[name] = (stop, loop)
            loop.start()

    def leave(self) -> None:
        """Take nothing more, from any. What was taken has begun when this returns."""
        with self._lock:
            loops, self._loops = list(self._loops.values()), {}
        for stop, _ in loops:
            stop.set()
        for _, loop in loops:
            loop.join()
