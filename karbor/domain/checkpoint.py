"""Checkpoint: what was kept of an application at one time, and how far that is proved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from karbor.domain.resource import ResourceGraph
from karbor.domain.verification import Verification, told

FORMAT = 1
"""Version of what a bank holds for a checkpoint; see docs/bank-format.md."""


class CheckpointState(StrEnum):
    """Shown to users; derived from which objects of the checkpoint the bank has."""

    PROTECTING = "protecting"   # begun, no head yet
    AVAILABLE = "available"     # head written after everything was read back
    ERROR = "error"             # ended without success; says why
    DELETING = "deleting"       # hidden; what it holds is being removed

    def may_become(self, other: CheckpointState) -> bool:
        """Return whether a checkpoint in this state can get into the other one."""
        return other in _MOVES[self]


_MOVES: dict[CheckpointState, set[CheckpointState]] = {
    CheckpointState.PROTECTING: {CheckpointState.AVAILABLE, CheckpointState.ERROR,
                                 CheckpointState.DELETING},
    CheckpointState.AVAILABLE: {CheckpointState.DELETING},
    CheckpointState.ERROR: {CheckpointState.DELETING},
    # Nothing makes it available again; but a deletion that has removed nothing takes its mark away.
    CheckpointState.DELETING: set(),
}


class Evidence(StrEnum):
    """What was proved of a kept resource when it was last read back, weakest first."""

    STATUS = "status"           # the service says that it is good
    METADATA = "metadata"       # the service's own description of the data was read and fits
    OBJECTS = "objects"         # every object that holds the data is there, with its size
    CHECKSUMS = "checksums"     # every byte was read back and its checksum compared

    @property
    def rank(self) -> int:
        return list(Evidence).index(self)


@dataclass(frozen=True)
class Kept:
    """What a checkpoint holds for one resource: what each stage saved, and the proof."""

    key: str
    saved: Mapping[str, Any]                    # stage name → what it saved
    evidence: Evidence | None = None
    unproved: str = ""                          # why the proof goes no further
    not_kept: tuple[Mapping[str, str], ...] = ()    # fields that could not be read: field, why

    def to_dict(self) -> dict[str, Any]:
        return {"key": self.key, "saved": dict(self.saved), "evidence": self.evidence,
                "unproved": self.unproved, "not_kept": [dict(one) for one in self.not_kept]}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Kept:
        evidence = raw.get("evidence")
        return cls(raw["key"], raw["saved"], Evidence(evidence) if evidence else None,
                   raw.get("unproved", ""), tuple(raw.get("not_kept", ())))


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint as its bank tells it. Times are seconds since the epoch.

    `skew` is the time between the first and the last snapshot of the operation, in seconds, by the
    creation times that the storage services tell of them (most tell whole seconds); None where one
    of them tells none. Between its creation time and its being ready a snapshot may be of any
    instant.
    `left` is what one that failed could not remove (`resource`, `stage`, `handle` of each): it goes
    with its deletion.
    `origin` says what asked for it, where that was not a person at the command line: `plan` (its
    id, name and resources then), `created_by`, `scheduled_operation_id`, `extra_info`. A copy says
    there, beside what the original said, what it was `copied_from`: `checkpoint_id`, `provider_id`,
    and `taken_at`, when what it holds was protected. `verified` is what its last verify found, None
    before there was one: the proofs in `kept` are those of the day it was made.
    """

    id: str
    project_id: str
    name: str
    created_at: float
    state: CheckpointState
    graph: ResourceGraph
    kept: Mapping[str, Kept] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    operation_id: str = ""
    provider_id: str = ""
    finished_at: float | None = None
    skew: float | None = None
    reason: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)
    left: Sequence[Mapping[str, Any]] = ()
    verified: Verification | None = None

    @property
    def damage(self) -> str:
        """The damage that the last verify found, in one line; "" when there is none."""
        return told(self.verified.damage) if self.verified else ""

    @property
    def evidence(self) -> Evidence | None:
        """The weakest proof among its resources: a chain is as strong as that. Where nothing was
        saved of a resource (a project is no more than what belongs to it) nothing is to prove."""
        levels = [one.evidence for one in self.kept.values() if one.saved]
        known = [level for level in levels if level is not None]
        if not known or len(known) < len(levels):
            return None
        return min(known, key=lambda evidence: evidence.rank)
