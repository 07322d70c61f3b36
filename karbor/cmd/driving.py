"""Driving: the engine library and the driver, put together for the operations of one process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from karbor.domain.operation import Operation, OperationState
from karbor.engine.driver import Driver
from karbor.engine.journal import Journal
from karbor.engine.places import Living, Places
from karbor.operations.runner import OperationRunner
from karbor.operations.setting import Setting
from karbor.operations.telling import NOBODY, Notifier, Remembered, driven

if TYPE_CHECKING:
    from karbor.durable.engine import Engine


class Driving:
    """The library is imported and launched when the first operation comes. `over` is told of each
    that has come to its end here; it raises nothing. `living`: see `Places`. `notifier` hears of
    their beginnings and ends, with what is `remembered` of checkpoints (see `driven`)."""

    def __init__(self, state: Path, database: str, journal: Journal, *, threads: int, carriers: int,
                 living: Living, over: Callable[[str], None] = lambda _operation_id: None,
                 notifier: Notifier = NOBODY,
                 remembered: Remembered = lambda _project, _checkpoint: None) -> None:
        self._state = state
        self._database = database
        self._journal = journal
        self._settings: dict[str, Setting] = {}
        self._threads = threads
        self._carriers = carriers
        self._living = living
        self._over = over
        self._notifier = notifier
        self._remembered = remembered
        self._engine: Engine | None = None
        self._ends: dict[str, Future[OperationState | None]] = {}

    def submit(self, operation: Operation, setting: Setting) -> None:
        """It stays in that setting, with that provider, until its end."""
        self._begin(operation, setting, self._launched().submit)

    def resume(self, operation: Operation, setting: Setting) -> None:
        """Raises Conflict when another process drives it, or it is over."""
        self._begin(operation, setting, self._launched().resume)

    def has(self, operation_id: str) -> bool:
        return operation_id in self._ends

    def wait(self, operation_id: str, timeout: float | None = None) -> None:
        """Until its driver has ended, or for so many seconds. Raises what ended the driver."""
        with suppress(NotYet):
            self._ends[operation_id].result(timeout)

    def stop(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.stop()

    def _begin(self, operation: Operation, setting: Setting,
               how: Callable[[str, str, str], None]) -> None:
        self._ends[operation.id] = Future()
        self._settings[operation.id] = setting
        try:
            how(operation.id, setting.provider.id, operation.project_id)
        except BaseException:
            del self._ends[operation.id]
            raise

    def _launched(self) -> Engine:
        if self._engine is None:
            from karbor.durable.engine import Engine  # noqa: PLC0415 - DBOS: a third of a second

            self._engine = Engine(self._state, self._drive, database=self._database).__enter__()
        return self._engine

    def _drive(self, operation_id: str, stopping: threading.Event) -> OperationState | None:
        setting = self._settings[operation_id]
        driver = Driver(self._journal, OperationRunner(setting),
                        places=Places(setting.limits, self._living),
                        threads=self._threads, carriers=self._carriers)
        end = self._ends[operation_id]
        try:
            state = driven(operation_id, partial(driver.drive, operation_id, stopping),
                           self._journal, self._notifier, self._remembered)
        except BaseException as error:
            end.set_exception(error)
            raise
        if state is not None:
            self._over(operation_id)
        end.set_result(state)
        return state
