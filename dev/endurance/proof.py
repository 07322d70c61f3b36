"""What an operation's own record must show before it counts as one that has endured."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dev.endurance.commands import Ended
from karbor.domain.credential_chain import CredentialKind, margin

RELEASE = "release:"        # a step that removes what the named one has made
CHANGE = re.compile(r"^credential changed from (.+?) to (.+?): (.+)$")


@dataclass(frozen=True)
class Scale:
    """How many operations of each verb, how long each is made to last at least, and how long their
    tokens do. `size` is that of each of the two disks of the smallest application. Seconds and
    bytes. `uncached` are the services that remember no token; none named: all."""

    operations: int
    seconds: int
    token_life: int
    window: int
    size: int
    uncached: Sequence[str] = ()

    @property
    def rate(self) -> int:
        """Bytes per second at which both disks of the smallest application, one after the other,
        take `seconds`. A limiter may be generous in the first second of a connection."""
        return 2 * self.size // (self.seconds + 4)

    @property
    def sizes(self) -> list[int]:
        """Of the disks of each application, in whole KiB. Applications differ: of twenty the last
        is larger by a third, so that not all of them are over in the same second, and one
        hypervisor has to build twenty servers at once."""
        return [self.size + self.size * number // 60 // 1024 * 1024
                for number in range(self.operations)]


SERVICE_WORK = "a service was to be asked for work"


@dataclass(frozen=True)
class Change:
    """A change of the credential in mid-flight."""

    at: float
    before: str
    after: str
    why: str


@dataclass(frozen=True)
class Passage:
    """One operation: what its process was, and its record in the end (`karbor operation show`),
    which is empty where nothing was begun. `begun` is when its process was started."""

    tenant: str
    verb: str
    begun: float
    ended: Ended
    record: dict[str, Any]

    @property
    def seconds(self) -> float:
        """From its acceptance to its end; 0 where it came to none."""
        return float((self.record.get("finished_at") or 0.0) and
                     self.record["finished_at"] - self.record["created_at"])

    @property
    def changes(self) -> list[Change]:
        found = []
        for event in self.record.get("events", ()):
            if match := CHANGE.match(event["text"]):
                found.append(Change(float(event["at"]), *match.groups()))
        return found

    @property
    def steps_after(self) -> list[str]:
        """Those that ended well on the last credential, all or in part."""
        at = self.changes[-1].at if self.changes else float("inf")
        return [one["stage"].removeprefix(RELEASE) for one in self.record.get("steps", ())
                if one["state"] == "done" and (one["finished_at"] or 0.0) > at]

    def faults(self, scale: Scale) -> Iterator[str]:
        """A line for everything that is not as it should be."""
        if self.ended.code or not self.record or self.record["state"] != "done":
            yield f"ended with {self.ended.code}: {self.ended.complaint}"
            return
        if self.seconds < max(scale.seconds, scale.token_life + scale.window):
            yield f"was over after {self.seconds:.0f} s"
        changes = self.changes
        if [(one.before, one.after) for one in changes] != [
                (CredentialKind.USER_AND_SERVICE.value, CredentialKind.TRUST.value)]:
            yield f"changed its credential otherwise than it should: {changes or 'never'}"
            return
        # Its token was made after its process was started.
        earliest = self.begun + scale.token_life + scale.window - margin(scale.window)
        # A service's work is begun with a credential that outlasts it, so with the next one.
        if changes[0].at < earliest and SERVICE_WORK not in changes[0].why:
            yield f"changed {earliest - changes[0].at:.0f} s too early: {changes[0].why}"
        if self.record["credential"]["rung"] != CredentialKind.TRUST.value:
            yield f"says that it stands on {self.record['credential']['rung']}"
        needed = {"protect": {"disk", "bytes"}, "restore": {"image", "server"}}[self.verb]
        if not needed & set(self.steps_after):
            yield f"asked for nothing after the change: {self.steps_after}"
