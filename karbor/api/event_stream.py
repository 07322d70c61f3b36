"""Event streams: answers that go on while something happens, as server-sent events (WHATWG HTML,
section 9.2).

A stream occupies a thread of the server for as long as it is open. So each ends after a while, and
so many of them at once have a place; whoever has none is told what there is and to come back. A
client that takes up a stream says which event was its last (`Last-Event-ID`), and misses nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from karbor.domain.errors import KarborError

LOG = logging.getLogger(__name__)
MEDIA = "text/event-stream"
LONGEST = 30.0      # seconds that one answer lasts
LOOK = 1.0          # seconds between two looks at what happens
RETRY = 3.0         # seconds after which whoever was sent away comes back

Look = Callable[[], tuple[list["Message"], bool]]
"""What is new since the last call, and whether nothing more can follow."""


@dataclass(frozen=True)
class Message:
    """`number` is where a client goes on from; 0 for what is only true now."""

    kind: str
    data: object
    number: int = 0

    def __bytes__(self) -> bytes:
        head = f"id: {self.number}\n" if self.number else ""
        head += f"event: {self.kind}\ndata: "
        return head.encode() + msgspec.json.encode(self.data) + b"\n\n"


class StreamLimiter:
    """How many streams may be open at once in this process."""

    def __init__(self, count: int, *, longest: float = LONGEST, look: float = LOOK) -> None:
        self._free = threading.BoundedSemaphore(count)
        self._longest = longest
        self._look = look
        self._over = threading.Event()

    def end(self) -> None:
        """The server stops: every stream ends with its next look."""
        self._over.set()

    def stream(self, look: Look) -> Iterator[bytes]:
        """The first look is taken at once, and what it raises is raised by this call: it is still
        time for an error's status."""
        news, over = look()
        return self._stream(look, news, over=over)

    def _stream(self, look: Look, news: list[Message], *, over: bool) -> Iterator[bytes]:
        yield f"retry: {int(RETRY * 1000)}\n\n".encode()
        yield from map(bytes, news)
        if over or not self._free.acquire(blocking=False):
            return
        try:
            until = time.monotonic() + self._longest
            while not over and time.monotonic() < until and not self._over.wait(self._look):
                try:
                    news, over = look()
                except KarborError as error:    # it is too late for a status; the client comes back
                    LOG.warning("a stream of events ends: %s", error)
                    return
                # A line that means nothing: whoever has gone away is noticed by it.
                yield b"".join(map(bytes, news)) or b":\n\n"
        finally:
            self._free.release()
