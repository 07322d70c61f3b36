"""Cloud: all that the double holds, and how it changes by itself.

A record is the JSON of a resource plus private members whose names begin with `_`: `_project`
(owner), `_bytes` (the data), `_change` (what it is in the middle of). Everything happens under one
lock (the server's), so nothing here locks.
"""

from __future__ import annotations

import copy
import hashlib
import random
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from karbor_testing.openstack.exchange import Refusal

Record = dict[str, Any]
SomePart = TypeVar("SomePart")


@dataclass
class Settings:
    """What a test may change while the double runs.

    `looks` says how often a thing is seen in its passing state before it has arrived, by kind of
    change or `*`: 0 shows it arrived at the first look, -1 has it arrive before the answer. After
    `seconds` it has arrived whether anybody looked or not.
    `page` is how many items a page of a list has at most; `pages` says it for services by their
    names in paths (volume, compute, image, network, object-store), whatever is asked for: the next
    page is linked to as usual, or (Swift) shows itself only when it is asked for.
    `object_store` is swift, or rgw: what speaks Swift's API in Ceph does not know `If-None-Match`,
    says 401 where Swift says 403, and lists no content type that was not given.
    `held` names kinds of change that do not go on until they are taken out of it. `outcomes` are
    changes that end badly: kind, nth (of that kind, from the time it is set), status, reason.
    """

    token_life: float = 3600.0              # seconds
    window: float = 172800.0                # seconds an expired token stays good with a service's
    looks: dict[str, int] = field(default_factory=lambda: {"*": 1})
    seconds: float = 1.0
    held: list[str] = field(default_factory=list)
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    backup_service: bool = True
    backups_need_tokens: bool = False       # one fails when its token ends before it does
    quotas: dict[str, int] = field(default_factory=dict)    # e.g. cinder.volumes, nova.cores
    page: int = 1000
    pages: dict[str, int] = field(default_factory=dict)
    object_store: str = "swift"

    def page_of(self, service: str) -> int:
        """Items that a page of a list of this service has at most."""
        return self.pages.get(service, self.page)


@dataclass
class Change:
    """Something a service does in the background to one or several records."""

    kind: str
    looks: int
    done: Callable[[], None]
    failed: Callable[[str, str], None]
    outcome: Mapping[str, Any] | None = None
    began: float = field(default_factory=time.monotonic)
    over: bool = False

    def finish(self) -> None:
        if self.over:
            return
        self.over = True
        if self.outcome:
            self.failed(self.outcome.get("status", "error"), self.outcome.get("reason", ""))
        else:
            self.done()


@dataclass(frozen=True)
class Kept:
    """A cloud at one time."""

    kinds: dict[str, dict[str, Record]]
    settings: Settings
    ledger: list[dict[str, Any]]
    random: tuple[Any, ...]


class Cloud:
    """The state. `authenticated` and `usable` are set by the identity service. `usable` tells
    whether a service can still work with the token of a request, with a service token of its own
    beside it, at some moment of this cloud's clock."""

    authenticated: Callable[[Mapping[str, str]], Mapping[str, Any]]
    usable: Callable[[str, float], bool]

    def __init__(self, seed: int = 1) -> None:
        self.settings = Settings()
        self.root = ""                      # the server's own address
        self.kinds: dict[str, dict[str, Record]] = defaultdict(dict)
        self.ledger: list[dict[str, Any]] = []
        self.offset = 0.0                   # seconds that its clock is ahead
        self.on_populated: list[Callable[[Mapping[str, str]], None]] = []   # get project ids
        self._parts: dict[Callable[[Cloud], Any], Any] = {}
        self._random = random.Random(seed)  # noqa: S311 (ids of a double need not be secret)

    def part(self, kind: Callable[[Cloud], SomePart]) -> SomePart:
        if kind not in self._parts:
            self._parts[kind] = kind(self)
        found: SomePart = self._parts[kind]
        return found

    def now(self) -> float:
        return time.time() + self.offset

    def stamp(self, at: float | None = None, form: str = "%Y-%m-%dT%H:%M:%S.%f") -> str:
        return datetime.fromtimestamp(self.now() if at is None else at, UTC).strftime(form)

    def new_id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def new_hex(self) -> str:
        return f"{self._random.getrandbits(128):032x}"

    def add(self, kind: str, record: Record, project: str) -> Record:
        """Put a record in and write its creation into the ledger."""
        record.setdefault("id", self.new_id())
        record["_project"] = project
        self.kinds[kind][record["id"]] = record
        self.ledger.append({"event": "created", "kind": kind, "id": record["id"],
                            "record": public(record)})
        return record

    def remove(self, kind: str, id: str) -> None:
        gone = self.kinds[kind].pop(id, None)
        if gone is not None:
            gone["_gone"] = True
            self.ledger.append({"event": "removed", "kind": kind, "id": id})

    def change(self, kind: str, records: list[Record], done: Callable[[], None],
               failed: Callable[[str, str], None] | None = None) -> Change:
        """Begin a change that the records' next looks (or a control request) bring to its end."""
        looks = self.settings.looks.get(kind, self.settings.looks.get("*", 1))

        def error(status: str, reason: str) -> None:
            for record in records:
                record["status"] = status
                record["fail_reason"] = reason
        change = Change(kind, looks, done, failed or error, self._outcome(kind))
        for record in records:
            record["_change"] = change
        if looks < 0 and kind not in self.settings.held:
            change.finish()
        return change

    def _outcome(self, kind: str) -> Mapping[str, Any] | None:
        for outcome in self.settings.outcomes:
            if outcome["kind"] == kind:
                outcome["seen"] = outcome.get("seen", 0) + 1
                if outcome["seen"] == outcome.get("nth", 1):
                    return outcome
        return None

    def look(self, record: Record) -> bool:
        """Somebody sees the record: whether it is still there. May bring its change to its end."""
        change: Change | None = record.get("_change")
        if self.exists(record) and change and change.kind not in self.settings.held:
            if change.looks <= 0:
                change.finish()
            else:
                change.looks -= 1
        return not record.get("_gone")

    def exists(self, record: Record) -> bool:
        """Whether it is still there, which nobody has to look at for time to pass."""
        change: Change | None = record.get("_change")
        if (change and change.kind not in self.settings.held
                and time.monotonic() - change.began >= self.settings.seconds):
            change.finish()
        return not record.get("_gone")

    def settle(self) -> None:
        """Bring every change to its end that is not held."""
        for records in list(self.kinds.values()):
            for record in list(records.values()):
                change: Change | None = record.get("_change")
                if change and change.kind not in self.settings.held:
                    change.finish()

    def keep(self) -> Kept:
        """A copy of everything, for `bring_back`. What is under way comes to its end first."""
        self.settle()
        kinds = {kind: {id: {name: value for name, value in one.items() if name != "_change"}
                        for id, one in records.items()} for kind, records in self.kinds.items()}
        return Kept(copy.deepcopy(kinds), copy.deepcopy(self.settings), list(self.ledger),
                    self._random.getstate())

    def bring_back(self, kept: Kept) -> None:
        """Everything as it was kept, but the clock."""
        self.kinds.clear()
        self.kinds.update(copy.deepcopy(kept.kinds))
        self.settings = copy.deepcopy(kept.settings)
        self.ledger = list(kept.ledger)
        self._random.setstate(kept.random)

    def over_quota(self, name: str, wanted: int, used: int) -> bool:
        limit = self.settings.quotas.get(name, -1)
        return 0 <= limit < used + wanted

    def dump(self) -> dict[str, dict[str, Record]]:
        """Everything, by kind and id; bytes as their length and SHA-256."""
        return {kind: {id: public(one) for id, one in records.items()}
                for kind, records in self.kinds.items() if records}


def public(record: Record) -> Record:
    """The record without what cannot be JSON; `bytes` and `sha256` describe its data."""
    out = {name: value for name, value in record.items() if not name.startswith("_")}
    out["project"] = record.get("_project", "")
    if "_bytes" in record:
        out["bytes"] = len(record["_bytes"])
        out["sha256"] = hashlib.sha256(record["_bytes"]).hexdigest()
    return out


def need(condition: object, status: int, message: str, kind: str = "") -> None:
    """Refuse unless the condition holds."""
    if not condition:
        raise Refusal(status, message, kind)
