"""Engine: drives operations in threads of this process, each under the operation's lock.

There is nothing else that says who drives what: no queue, no claim, no row. An operation that the
journal does not call over and whose lock is free is driven by nobody, and any process may take it
up: one that was just accepted, one whose process was killed, one whose database went away. What the
journal calls over is over, whoever dies in which moment.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from karbor.domain.errors import Conflict
from karbor.domain.operation import OperationState
from karbor.durable.locks import Held, Locks, released_on_error

LOG = logging.getLogger(__name__)

Drive = Callable[[str, threading.Event], OperationState | None]
"""Drive the operation to its end and return how it ended; or, when the event has been set, return
None as soon as what is under way is written down. Called from several threads."""

Stand = Callable[[str], OperationState]
"""How an operation stands in the journal. Raises NotFound, StoreUnavailable."""

Left = Callable[[str, BaseException | None], None]
"""Hears of each operation that this process has stopped driving, and of what its driver raised;
None: it is over, or the driver was told to stop. Called from the operation's thread."""


@dataclass(frozen=True)
class Limits:
    """How many operations of a provider may be driven at once, by all processes together."""

    provider: int = 10
    project: int = 2


@dataclass
class _Driven:
    """An operation that this process drives."""

    thread: threading.Thread
    stop: threading.Event


class Engine:
    """A context manager. `locks` are those of the journal's database; they stay their giver's."""

    def __init__(self, locks: Locks, stand: Stand, drive: Drive, *,
                 left: Left = lambda _operation_id, _error: None) -> None:
        self._locks = locks
        self._stand = stand
        self._drive = drive
        self._left = left
        self._guard = threading.Lock()
        self._stopping = False
        self._driving: dict[str, _Driven] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()

    def begin(self, operation_id: str, admitted: Callable[[], bool] = lambda: True
              ) -> Future[OperationState | None]:
        """Drive the operation from now on, or go on with it; its end, or None when it was told to
        stop.

        `admitted` is asked when nobody else can drive the operation any more. It may do what has to
        be done before, and may still say no.

        Raises Conflict, which names the process, when another one drives it; when it is over; when
        it was not admitted; and when the engine is stopping. Raises NotFound, StoreUnavailable, and
        what `admitted` raises.
        """
        with self._guard:
            # The lock may have been lost before its driver has noticed.
            if operation_id in self._driving:
                raise Conflict(f"{operation_id} is being driven by this process")
        held = self._locks.take(operation_id)
        with released_on_error(held):
            # Whoever had the lock before may have brought it to its end.
            state = self._stand(operation_id)
            if state.over:
                raise Conflict(f"operation {operation_id} is over: {state}",
                               remedy="there is nothing to resume; begin anew")
            if not admitted():
                raise Conflict(f"operation {operation_id} has to wait for others")
            return self._begin(operation_id, held)

    def _begin(self, operation_id: str, held: Held) -> Future[OperationState | None]:
        end: Future[OperationState | None] = Future()
        stop = threading.Event()
        held.tell(stop)     # without its lock another process may be driving it
        thread = threading.Thread(target=self._run, args=(operation_id, held, stop, end),
                                  name=f"drives {operation_id}")
        with self._guard:
            if self._stopping or operation_id in self._driving:
                raise Conflict("the engine is stopping" if self._stopping else
                               f"{operation_id} is being driven by this process")
            thread.start()
            self._driving[operation_id] = _Driven(thread, stop)
        return end

    def _run(self, operation_id: str, held: Held, stop: threading.Event,
             end: Future[OperationState | None]) -> None:
        failure: BaseException | None = None
        state: OperationState | None = None
        try:
            state = self._drive(operation_id, stop)
        except BaseException as error:  # noqa: BLE001 - whoever waits for the end hears of it
            LOG.info("operation %s is left to be resumed: %r", operation_id, error)
            failure = error
        try:
            held.release()
            self._left(operation_id, failure)
        finally:
            with self._guard:
                del self._driving[operation_id]
            if failure is None:
                end.set_result(state)
            else:
                end.set_exception(failure)

    def stop(self) -> None:
        """Tell the drivers to stop, and wait until they have. Nothing is undone: what is not over
        can be resumed. May be called again, also when waiting was interrupted."""
        with self._guard:
            self._stopping = True
            driving = list(self._driving.values())
            for driven in driving:
                driven.stop.set()
        for driven in driving:
            driven.thread.join()

    def driven(self, operation_ids: Collection[str]) -> Collection[str]:
        """Return those of the operations that some process drives, this one or another."""
        return self._locks.holders(operation_ids)
