"""A bank that many use at once, one call at a time, in an order that a test decides."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from karbor_testing.bank import MemoryBank

from karbor.plugin.bank import Stored


class Killed(BaseException):
    """The actor's process is gone: nothing of it runs any more, no `finally` reaches the bank."""


class LateBank:
    """A bank whose lists are as old as `late()` says, in seconds; everything else is as it is."""

    def __init__(self, clock: Callable[[], float], late: Callable[[], float]) -> None:
        self._bank = MemoryBank()
        self._clock, self._late = clock, late
        self._history: dict[str, list[tuple[float, Stored | None]]] = {}

    def put(self, key: str, body: Iterable[bytes], *, absent: bool = False) -> Stored:
        stored = self._bank.put(key, body, absent=absent)
        self._history.setdefault(key, []).append((self._clock(), stored))
        return stored

    def get(self, key: str) -> Iterator[bytes]:
        return self._bank.get(key)

    def read(self, key: str, offset: int, length: int) -> bytes:
        return self._bank.read(key, offset, length)

    def stat(self, key: str) -> Stored | None:
        return self._bank.stat(key)

    def list(self, prefix: str = "", *, after: str = "", limit: int = 1000) -> list[Stored]:
        then = self._clock() - self._late()
        seen = []
        for key in sorted(self._history):
            if key.startswith(prefix) and key > after:
                past = [stored for at, stored in self._history[key] if at <= then]
                if past and past[-1] is not None:
                    seen.append(past[-1])
        return seen[:limit]

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            if self._bank.stat(key) is not None:
                self._history[key].append((self._clock(), None))
        self._bank.delete(keys)


class Actor:
    """Something that works on a bank in a thread of its own, and stands before each of its calls
    until it is let through. `result` is what it returned, `error` what it raised."""

    def __init__(self, bank: LateBank, work: Callable[[ActorsBank], object]) -> None:
        self._condition = threading.Condition()
        self._waiting = 0
        self._permits = 0
        self._calling = 0
        self._killed = False
        self.finished = False
        self.result: object = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(work, ActorsBank(bank, self)),
                                        daemon=True)
        self._thread.start()
        self._settle()

    def step(self) -> None:
        """Let one call through, and return when the next one is waited for, or all is over."""
        with self._condition:
            if self.finished:
                return
            self._permits += 1
            self._condition.notify_all()
        self._settle()

    def run(self) -> None:
        """Let it come to its end."""
        while not self.finished:
            self.step()

    def kill(self) -> None:
        with self._condition:
            self._killed = True
            self._condition.notify_all()
        self._thread.join(20)
        assert not self._thread.is_alive(), "the actor does not die"

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Stand before a call of the bank, in any thread of the actor, until it is let through."""
        with self._condition:
            self._waiting += 1
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._permits or self._killed)
            self._waiting -= 1
            if self._killed:
                raise Killed
            self._permits -= 1
            self._calling += 1
        try:
            yield
        finally:
            with self._condition:
                self._calling -= 1
                self._condition.notify_all()

    def _settle(self) -> None:
        with self._condition:
            settled = self._condition.wait_for(
                lambda: self.finished or (
                    self._waiting and not self._permits and not self._calling), 20)
            assert settled, "the actor neither waits for the bank nor ends"

    def _run(self, work: Callable[[ActorsBank], object], bank: ActorsBank) -> None:
        try:
            self.result = work(bank)
        except BaseException as error:  # noqa: BLE001  the test looks at it
            self.error = error
        with self._condition:
            self.finished = True
            self._condition.notify_all()


class ActorsBank:
    """The bank as one actor sees it."""

    def __init__(self, bank: LateBank, actor: Actor) -> None:
        self._bank, self._actor = bank, actor

    def wait_for_turn(self) -> None:
        """Stand still until a step is allowed, without calling the bank."""
        with self._actor.turn():
            pass

    def put(self, key: str, body: Iterable[bytes], *, absent: bool = False) -> Stored:
        with self._actor.turn():
            return self._bank.put(key, body, absent=absent)

    def get(self, key: str) -> Iterator[bytes]:
        with self._actor.turn():
            return self._bank.get(key)

    def read(self, key: str, offset: int, length: int) -> bytes:
        with self._actor.turn():
            return self._bank.read(key, offset, length)

    def stat(self, key: str) -> Stored | None:
        with self._actor.turn():
            return self._bank.stat(key)

    def list(self, prefix: str = "", *, after: str = "", limit: int = 1000) -> list[Stored]:
        with self._actor.turn():
            return self._bank.list(prefix, after=after, limit=limit)

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            with self._actor.turn():
                self._bank.delete([key])


