"""Remembering: an answer that is given again for a while, however many ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class _Answer(Generic[T]):
    value: T | None
    error: Exception | None
    at: float


class TtlCache(Generic[T]):
    """`ask` is asked by one thread at a time, once in `seconds`; the others get the last answer
    meanwhile. What it raises is an answer as well. `clock` never runs backwards."""

    def __init__(self, ask: Callable[[], T], seconds: float,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._seconds = seconds
        self._clock = clock
        self._context = threading.Lock()
        self._answer: _Answer[T] | None = None

    def __call__(self) -> T:
        answer = self._answer
        if answer is None or self._clock() - answer.at >= self._seconds:
            if self._context.acquire(blocking=answer is None):
                try:
                    if self._answer is answer:      # nobody has asked while this thread waited
                        self._answer = self._asked()
                finally:
                    self._context.release()
            answer = self._answer
        assert answer is not None   # noqa: S101 - whoever found none has waited for one
        if answer.error is not None:
            raise answer.error.with_traceback(None)     # else it grew with each who asks
        return answer.value     # type: ignore[return-value]

    def _asked(self) -> _Answer[T]:
        try:
            return _Answer(self._ask(), None, self._clock())
        except Exception as error:  # noqa: BLE001 - raised by __call__, to each who asks
            return _Answer(None, error, self._clock())
