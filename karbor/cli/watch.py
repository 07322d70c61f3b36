"""Follows one operation to its end, or until the person has seen enough of it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from karbor.cli.credential_view import credential_facts
from karbor.cli.formatting import driven_by
from karbor.cli.output import say
from karbor.cli.progress_lines import Lines
from karbor.domain.operation import Operation
from karbor.domain.step import Step

if TYPE_CHECKING:
    from karbor.cmd.embedded import EmbeddedKarbor

SILENCE_LOOK_SECONDS = 10.0     # between two looks whether the worker gives signs of life
QUICKEST = 0.3      # seconds between two looks at the journal, more where a look takes long


MOVED = " → "       # in the event of an operation that went from one state to another


class Interrupted(Exception):
    """Somebody pressed Ctrl-C; the operation stands in the journal as it was left."""

    def __init__(self, operation: Operation) -> None:
        super().__init__(operation.id)
        self.operation = operation


class Show(Protocol):
    def __enter__(self) -> Show: ...

    def __exit__(self, *error: object) -> None: ...

    def show(self, operation: Operation, steps: Sequence[Step], now: float) -> None: ...

    def event(self, at: float, text: str) -> None: ...

    def note(self, text: str) -> None: ...


class Silence:
    """Tells, once, of a worker that has an operation and gives no sign of life: nothing else would
    ever be seen of that."""

    def __init__(self, local: EmbeddedKarbor) -> None:
        self._local = local
        self._look_at = time.monotonic() + SILENCE_LOOK_SECONDS
        self._told = False

    def of(self, operation: Operation) -> str:
        if self._told or time.monotonic() < self._look_at:
            return ""
        self._look_at = time.monotonic() + SILENCE_LOOK_SECONDS
        driver = self._local.driver(operation)
        if driver is None or driver.silent_since is None:
            return ""
        self._told = True
        return f"the operation is driven by {driven_by(driver)}"


def introduce(operation: Operation) -> None:
    """Tell what a person may want to write down: which operation, as whom, until when, and why."""
    say(f"operation   {operation.id} ({operation.verb})")
    if operation.checkpoint_id:
        say(f"checkpoint  {operation.checkpoint_id}")
    for name, text in credential_facts(operation.credential):
        say(f"{name:<10}  {text}")


def follow(local: EmbeddedKarbor, operation: Operation) -> Operation:
    """Show how it goes until it is over; the operation as it is then. Raises Interrupted."""
    steps = local.steps(operation.id)
    silence = Silence(local)
    told = len(local.events(operation.id))
    show: Show = _screen() if sys.stderr.isatty() else Lines(since=steps)
    with _Interruption() as interruption, show:
        while True:
            begun = time.monotonic()
            operation, steps = local.operation(operation.id), local.steps(operation.id)
            events = local.events(operation.id)
            for at, text in events[told:]:
                if MOVED not in text:       # the state is shown anyway
                    show.event(at, text)
            told = len(events)
            show.show(operation, steps, time.time())
            if operation.state.over:
                return operation
            if interruption.asked:
                show.note("stopping … (once more to stop at once)")
                local.stop()
                raise Interrupted(local.operation(operation.id))
            if warning := silence.of(operation):
                show.note(warning)
            looked = time.monotonic() - begun
            local.wait(operation.id, timeout=max(QUICKEST, 10 * looked))


def _screen() -> Show:
    from karbor.cli.progress_table import Screen  # noqa: PLC0415 - rich only where there is a terminal

    return Screen()


class _Interruption:
    """The first Ctrl-C (or SIGTERM) asks, the second ends the process: what is in the journal then
    is as good as after a power cut, and can be resumed."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._before: dict[int, Any] = {}

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    def __enter__(self) -> _Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        if self._asked.is_set():
            os._exit(130)
        self._asked.set()
