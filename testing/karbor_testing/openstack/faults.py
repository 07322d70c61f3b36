"""Faults: what goes wrong at which request.

A fault is due at the `nth` request that it matches, counted from when it was planned, and at
`times - 1` more matching ones after it. What it does is its `act`:

- `answer`: the status (and message) instead of an answer; nothing is done;
- `close-before`, `close-after`: the connection is closed without an answer, before the request
  was carried out or after it;
- `kill-before`, `kill-after`: the same, and the process `pid` is killed with SIGKILL first;
- `kill-overtaken`: the process `pid` is killed at once; the request is carried out after the next
  one with the same path and body, or after `seconds` when none comes;
- `truncate`: half of the answer's body, then the connection is closed;
- `delay`: the request waits `seconds` before anything is done;
- `expire`: every token given out so far expires, then the request is carried out.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from karbor.domain.errors import BadInput

ACTS = ("answer", "close-before", "close-after", "kill-before", "kill-after", "kill-overtaken",
        "truncate", "delay", "expire")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}")


def signature(method: str, path: str) -> str:
    """The request without ids and query: alike for the same call in two runs."""
    return f"{method} {_ID.sub('{id}', path.split('?', maxsplit=1)[0])}"


def mutates(method: str, path: str) -> bool:
    """Whether the request may change what the cloud holds (a login does not)."""
    return method not in {"GET", "HEAD", "OPTIONS"} and not path.endswith("/auth/tokens")


@dataclass
class Fault:
    act: str
    nth: int = 1
    times: int = 1
    method: str = ""            # of these requests only
    path: str = ""              # a regular expression found in the path (query included)
    signature: str = ""         # this call only
    mutating: bool = False      # requests that change something only
    status: int = 503
    message: str = "The service is not available."
    seconds: float = 0.0
    pid: int = 0
    seen: int = 0
    fired: int = 0

    def __post_init__(self) -> None:
        if self.act not in ACTS:
            raise BadInput(f"no fault is called {self.act!r}", remedy=", ".join(ACTS))
        if self.act.startswith("kill") and self.pid <= 1:
            raise BadInput(f"this fault needs the id of a process, not {self.pid}")

    def matches(self, method: str, path: str) -> bool:
        return ((not self.method or self.method == method)
                and (not self.path or re.search(self.path, path) is not None)
                and (not self.signature or self.signature == signature(method, path))
                and (not self.mutating or mutates(method, path)))

    def due(self, method: str, path: str) -> bool:
        if not self.matches(method, path):
            return False
        self.seen += 1
        if self.nth <= self.seen < self.nth + self.times:
            self.fired += 1
            return True
        return False

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class FaultPlan:
    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def due(self, method: str, path: str) -> list[Fault]:
        """Those due now. Every fault counts every request, so all are asked."""
        return [fault for fault in self.faults if fault.due(method, path)]
