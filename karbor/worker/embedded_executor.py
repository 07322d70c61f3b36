"""Driving: the engine and the driver, put together for the operations that a command drives."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from functools import partial

from karbor.domain.operation import Operation, OperationState
from karbor.durable.engine import Engine
from karbor.durable.locks import Locks
from karbor.engine.concurrency_limits import ConcurrencyLimits, Living
from karbor.engine.driver import Driver
from karbor.engine.journal import Journal
from karbor.operations.events import NOBODY, Notifier, Remembered, run_notifying
from karbor.operations.execution_context import ExecutionContext
from karbor.operations.runner import OperationRunner


class EmbeddedExecutor:
    """`over` is told of each that has come to its end here; it raises nothing. `living`: see
    `Places`. `notifier` hears of their beginnings and ends, with what is `remembered` of
    checkpoints (see `driven`)."""

    def __init__(self, locks: Locks, journal: Journal, *, threads: int, carriers: int,
                 living: Living, over: Callable[[str], None] = lambda _operation_id: None,
                 notifier: Notifier = NOBODY,
                 remembered: Remembered = lambda _project, _checkpoint: None) -> None:
        self._engine = Engine(locks, lambda one: journal.operation(one).state, self._drive)
        self._journal = journal
        self._settings: dict[str, ExecutionContext] = {}
        self._threads = threads
        self._carriers = carriers
        self._living = living
        self._over = over
        self._notifier = notifier
        self._remembered = remembered
        self._ends: dict[str, Future[OperationState | None]] = {}

    def begin(self, operation: Operation, setting: ExecutionContext,
              prepared: Callable[[], bool] = lambda: True) -> None:
        """Drive it, or go on with it. It stays in that setting, with that provider, until its end.
        `prepared` is called when nobody else can drive it any more, and before anything is done.
        Raises Conflict when another process drives it, or it is over."""
        self._settings[operation.id] = setting
        self._ends[operation.id] = self._engine.begin(operation.id, prepared)

    def has(self, operation_id: str) -> bool:
        return operation_id in self._ends

    def wait(self, operation_id: str, timeout: float | None = None) -> None:
        """Until its driver has ended, or for so many seconds. Raises what ended the driver."""
        with suppress(NotYet):
            self._ends[operation_id].result(timeout)

    def stop(self) -> None:
        self._engine.stop()

    def _drive(self, operation_id: str, stopping: threading.Event) -> OperationState | None:
        setting = self._settings[operation_id]
        driver = Driver(self._journal, OperationRunner(setting),
                        places=ConcurrencyLimits(setting.limits, self._living),
                        threads=self._threads, carriers=self._carriers)
        state = run_notifying(operation_id, partial(driver.drive, operation_id, stopping),
                              self._journal, self._notifier, self._remembered)
        if state is not None:
            self._over(operation_id)
        return state
