"""Leases and condemnations: how garbage collection runs while backups are written.

    leases/ID.json          a writer at work; renewed while it lives
    dead/ID.json            a lease that was not renewed, declared dead for good
    condemned/ID.json       packs that nothing needs, and that no writer may rely upon any more
    damaged/PACK.json       a pack that could not be read: nothing more is built upon it

A writer puts its lease before it looks at what the vault has, then reads which packs are condemned,
and writes into its lease which condemnations it has read. A collector removes a condemned pack only
when no lease stands that does not know of it (see `collection`).
"""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from karbor.domain.errors import BankUnavailable, ObjectDamaged, ObjectMissing
from karbor.plugin.bank import Section
from karbor.vault.pack import FORMAT

T = TypeVar("T")

RENEWAL_SECONDS = 600.0
DEAD_SECONDS = 24 * 3600.0
"""A lease that was not renewed for so long is declared dead."""

ABANDONED_SECONDS = DEAD_SECONDS / 2
"""A writer that did not come to renew its lease for so long gives up by itself."""


class LeaseLost(BankUnavailable):
    """The lease was declared dead: what was built upon it may be gone. The writer begins anew."""


@dataclass(frozen=True)
class LeaseRecord:
    """What the bank says of a writer. `ignores` are the condemnations that it has read: it relies
    on none of their packs. Times in seconds since the epoch, by the writer's clock."""

    id: str
    began_at: float
    renewed_at: float
    ignores: frozenset[str]
    writer: str = ""

    @property
    def key(self) -> str:
        return f"leases/{self.id}.json"

    def body(self) -> bytes:
        return _json({"kind": "karbor-vault-lease", "format": FORMAT, "id": self.id,
                      "began_at": self.began_at, "renewed_at": self.renewed_at,
                      "ignores": sorted(self.ignores), "writer": self.writer})

    @classmethod
    def parse(cls, body: bytes, key: str) -> LeaseRecord:
        """Raises ObjectDamaged."""
        try:
            raw = dict(json.loads(body))
            return cls(str(raw["id"]), float(raw["began_at"]), float(raw["renewed_at"]),
                       frozenset(map(str, raw["ignores"])), str(raw.get("writer", "")))
        except (ValueError, KeyError, TypeError) as error:
            raise _unreadable(key) from error


@dataclass(frozen=True)
class Condemnation:
    """Packs of which a mark found all or much unneeded. `condemned_at`: when; `clear_since`: since
    when no lease is in the way (None: one may be); `swept_at`: when they were removed or written
    anew. Times in seconds since the epoch."""

    id: str
    packs: tuple[bytes, ...]
    condemned_at: float
    clear_since: float | None = None
    swept_at: float | None = None

    @property
    def key(self) -> str:
        return f"condemned/{self.id}.json"

    def body(self) -> bytes:
        return _json({"kind": "karbor-vault-condemnation", "format": FORMAT, "id": self.id,
                      "condemned_at": self.condemned_at, "clear_since": self.clear_since,
                      "swept_at": self.swept_at, "packs": [pack.hex() for pack in self.packs]})

    @classmethod
    def parse(cls, body: bytes, key: str) -> Condemnation:
        """Raises ObjectDamaged."""
        try:
            raw = dict(json.loads(body))
            return cls(str(raw["id"]), tuple(bytes.fromhex(pack) for pack in raw["packs"]),
                       float(raw["condemned_at"]), _optional(raw["clear_since"]),
                       _optional(raw["swept_at"]))
        except (ValueError, KeyError, TypeError) as error:
            raise _unreadable(key) from error


@dataclass
class Lease:
    """A writer's own lease. `ignored` are the packs that it must not rely upon. Begun with
    `Lease.begin`; used by one thread at a time."""

    section: Section
    clock: Callable[[], float]
    record: LeaseRecord
    ignored: frozenset[bytes] = field(default_factory=frozenset)

    @classmethod
    def begin(cls, section: Section, clock: Callable[[], float]) -> Lease:
        """Put a lease, then read what is condemned and damaged."""
        now = clock()
        record = LeaseRecord(uuid.uuid4().hex, now, now, frozenset(),
                             f"{socket.gethostname()} {os.getpid()}")
        try:
            section.put(record.key, [record.body()])
            read = condemnations(section)
            record = replace(record, ignores=frozenset(one.id for one in read))
            section.put(record.key, [record.body()])
            ignored = frozenset(pack for one in read for pack in one.packs)
            return cls(section, clock, record, ignored | damaged(section))
        except BaseException:       # it may stand although the bank has said otherwise
            section.delete([record.key])
            raise

    def renew(self) -> None:
        """Renew the lease where it is time to. Raises LeaseLost."""
        now = self.clock()
        if now - self.record.renewed_at < RENEWAL_SECONDS:
            return
        if now - self.record.renewed_at > ABANDONED_SECONDS:
            raise self._lost("was not renewed for too long")
        self.ensure_alive()
        self.record = replace(self.record, renewed_at=now)
        self.section.put(self.record.key, [self.record.body()])

    def ensure_alive(self) -> None:
        """Raise LeaseLost when somebody has declared this lease dead, or removed it."""
        if self.section.stat(dead_key(self.record.id)) is not None:
            raise self._lost("was declared dead")
        if self.section.stat(self.record.key) is None:
            raise self._lost("is gone")

    def end(self) -> None:
        """Say that nothing more is written under this lease."""
        self.section.delete([self.record.key])

    def _lost(self, what: str) -> LeaseLost:
        return LeaseLost(f"the lease {self.record.id} on the project's vault {what}: the disk is "
                         "written again")


def leases(section: Section) -> list[LeaseRecord]:
    """Return the leases that stand. One that ends meanwhile is left out."""
    return list(_read_all(section, "leases/", LeaseRecord.parse))


def condemnations(section: Section) -> list[Condemnation]:
    """Return what is condemned, those that were carried out lately as well."""
    return list(_read_all(section, "condemned/", Condemnation.parse))


def declare_dead(section: Section, lease: LeaseRecord, now: float) -> None:
    """Declare a lease dead: its writer finds that before it says that anything is kept."""
    section.put(dead_key(lease.id), [_json({"kind": "karbor-vault-dead-lease", "format": FORMAT,
                                            "declared_at": now})])
    section.delete([lease.key])


def dead_key(lease_id: str) -> str:
    return f"dead/{lease_id}.json"


def damaged(section: Section) -> frozenset[bytes]:
    """Return the packs that were found damaged."""
    packs = set()
    for stored in section.all("damaged/"):
        name = stored.key.removeprefix("damaged/").removesuffix(".json")
        packs.add(bytes.fromhex(name))
    return frozenset(packs)


def note_damaged(section: Section, pack: bytes, why: str, now: float) -> None:
    """Write down that a pack is damaged, so that the next protect stores its chunks anew."""
    section.put(f"damaged/{pack.hex()}.json", [_json({
        "kind": "karbor-vault-damaged-pack", "format": FORMAT, "found_at": now, "why": why})])


def _read_all(section: Section, prefix: str, parse: Callable[[bytes, str], T]) -> Iterator[T]:
    for stored in section.all(prefix):
        try:
            body = b"".join(section.get(stored.key))
        except ObjectMissing:
            continue
        yield parse(body, stored.key)


def _optional(value: Any) -> float | None:
    return None if value is None else float(value)


def _json(raw: dict[str, Any]) -> bytes:
    return json.dumps(raw, sort_keys=True).encode()


def _unreadable(key: str) -> ObjectDamaged:
    return ObjectDamaged(f"{key} in the bank is not what Karbor writes there")
