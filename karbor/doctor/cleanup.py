"""Cleanup: what the doctor makes is removed again, also when it is interrupted."""

from __future__ import annotations

import threading
from collections.abc import Callable

from karbor.domain.errors import KarborError
from karbor.plugin.token_probe import Answer

Undo = Callable[[], Answer]


class Cleanup:
    """Register a thing before the request that makes it goes out: an interruption may come between
    the request and its answer. `left` names what could not be removed; `renew` gets new tokens,
    where the present ones are refused."""

    def __init__(self, renew: Callable[[], None] = lambda: None) -> None:
        self._renew = renew
        self._things: list[tuple[str, Undo]] = []
        self._lock = threading.Lock()
        self._failed: list[str] = []

    @property
    def left(self) -> list[str]:
        """The things that are still there, when the removing is over or was interrupted too."""
        with self._lock:
            return [*self._failed, *(what for what, _ in self._things)]

    def add(self, what: str, undo: Undo) -> None:
        with self._lock:
            self._things.append((what, undo))

    def has(self, what: str) -> bool:
        with self._lock:
            return any(name == what for name, _ in self._things)

    def remove(self, what: str) -> Answer:
        """Remove one of them now."""
        with self._lock:
            found = [undo for name, undo in self._things if name == what]
        answer = Answer(204)
        for undo in found:
            answer = self._undo(what, undo)
        self.forget(what)
        return answer

    def forget(self, what: str) -> None:
        """Forget a thing that is gone already."""
        with self._lock:
            self._things = [thing for thing in self._things if thing[0] != what]

    def remove_all(self) -> None:
        """Remove everything, the last made first. May be called again."""
        while True:
            with self._lock:
                if not self._things:
                    return
                what, undo = self._things[-1]
            self._undo(what, undo)
            self.forget(what)

    def _undo(self, what: str, undo: Undo) -> Answer:
        try:
            answer = undo()
            if answer.status == 401:
                self._renew()
                answer = undo()
        except KarborError as error:
            answer = Answer(0, error.message)
        if not answer.good and answer.status != 404:
            self._failed.append(f"{what} ({answer.status or 'no answer'}: {answer.text})")
        return answer
