"""Notifications: what is told of operations, on its way to a message bus that may be away.

An operation waits for nobody who listens: what is told goes into a queue, and one thread sends it.
While the bus is away it is tried again and again; that is logged once, and once when it is back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from karbor import config

LOG = logging.getLogger(__name__)

FIRST, LONGEST = 1.0, 60.0      # seconds between two tries while the bus is away

SENT, LOST = "sent", "lost"

Send = Callable[[str, Mapping[str, Any]], None]
"""Hand one event to the bus. Raises what kept it from that."""

_Waiting = tuple[str, Mapping[str, Any]]


def notifications(conf: config.ConfigOpts, publisher: str) -> Bus | None:
    """Return the notifier that [notifications] asks for; None where it is not enabled. `publisher`
    is what this process is called there (`karbor.worker.HOST`). Raises BadInput."""
    if not conf.notifications.enabled:
        return None
    from karbor.telemetry.message_bus import sender  # noqa: PLC0415 - optional, and it loads much

    return Bus(sender(conf, publisher), waiting=conf.notifications.waiting,
               shutdown_timeout=conf.notifications.shutdown_timeout)


class Bus:
    """A Notifier (see `karbor.operations.events`), and a context manager. At most `waiting` events
    wait; `close` takes `shutdown_timeout` seconds at most. The thread begins with the first event,
    so that a process may be forked before. `first_pause` is in seconds."""

    def __init__(self, send: Send, *, waiting: int = 1000, shutdown_timeout: float = 5.0,
                 first_pause: float = FIRST) -> None:
        self._send = send
        self._room = waiting
        self._shutdown_timeout = shutdown_timeout
        self._first_pause = first_pause
        self._changed = threading.Condition()
        self._queue: deque[_Waiting] = deque()
        self._counted = Counter({SENT: 0, LOST: 0})
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._full = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def tell(self, event: str, payload: Mapping[str, Any]) -> None:
        """Put the event in the queue. Raises nothing and waits for nothing."""
        with self._changed:
            lost = self._closing.is_set() or len(self._queue) >= self._room
            news = lost and not self._full
            if lost:
                self._counted[LOST] += 1
                self._full = True
            else:
                self._queue.append((event, payload))
                self._begin()
                self._changed.notify_all()
        if news:
            LOG.warning("notifications are lost from now on: %s wait for the message bus already",
                        self._room)

    @property
    def counted(self) -> Mapping[str, int]:
        """Return how many notifications were sent, and how many were lost."""
        with self._changed:
            return dict(self._counted)

    @property
    def waiting(self) -> int:
        with self._changed:
            return len(self._queue)

    def close(self) -> None:
        """Send what waits, each once more if the bus is away, for as long as that may take."""
        with self._changed:
            self._closing.set()
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(self._shutdown_timeout)
        with self._changed:
            self._counted[LOST] += len(self._queue)
            self._queue.clear()
            lost = self._counted[LOST]
        if lost:
            LOG.warning("%s notifications of this process were lost", lost)

    # ------------------------------------------------------------------ the thread
    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._go, name="notifications", daemon=True)
            self._thread.start()

    def _go(self) -> None:
        while (first := self._next()) is not None:
            sent = self._delivered(*first)
            with self._changed:
                if self._queue and self._queue[0] is first:     # `close` has not given it up
                    self._queue.popleft()
                    self._counted[SENT if sent else LOST] += 1
                self._full = False

    def _next(self) -> _Waiting | None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing.is_set())
            return self._queue[0] if self._queue else None

    def _delivered(self, event: str, payload: Mapping[str, Any]) -> bool:
        """Try until the event is sent, or, once the process ends, only this time."""
        pause, away_since = self._first_pause, 0.0
        while True:
            try:
                self._send(event, payload)
            except Exception as error:  # noqa: BLE001 - whatever it is, no operation shall notice
                if not away_since:
                    away_since = time.monotonic()
                    LOG.warning("the message bus takes no notifications: %s: %s",
                                type(error).__name__, error)
                if self._closing.wait(pause):
                    return False
                pause = min(LONGEST, 2 * pause)
            else:
                if away_since:
                    LOG.warning("the message bus takes notifications again, after %.0f s",
                                time.monotonic() - away_since)
                return True
