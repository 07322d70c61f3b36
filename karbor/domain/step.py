"""Step: one stage of one resource within an operation, and how a run of it may end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from karbor.domain.errors import KarborError


class Hook(StrEnum):
    """When a step is due, seen over the resource graph (as in Karbor 1.x, and one rule more:
    every prepare_* of an operation is over before its first main begins)."""

    PREPARE_BEGIN = "prepare_begin"     # parents first
    PREPARE_FINISH = "prepare_finish"   # children first
    MAIN = "main"                       # no order
    COMPLETE = "complete"               # children first
    VERIFY = "verify"                   # after its own complete: read back what was kept


class StepState(StrEnum):
    WAITING = "waiting"         # its needs are not met, or its turn has not come
    ENTERED = "entered"         # a request may have gone out; nothing is known of its answer
    RUNNING = "running"         # there is a handle, or it asked to be called again
    DONE = "done"
    FAILED = "failed"
    UNDOING = "undoing"
    UNDONE = "undone"           # what it had made is gone again (or it had made nothing)
    LEFT = "left"               # what it had made could not be removed: a person must

    @property
    def touched(self) -> bool:
        """Whether the step may have made something that still exists."""
        return self in _TOUCHED


_TOUCHED = {StepState.ENTERED, StepState.RUNNING, StepState.DONE, StepState.FAILED,
            StepState.UNDOING}


@dataclass(frozen=True)
class Progress:
    """How far a step has come: `done` of `total` units (0 = unknown), and a word for people."""

    done: int = 0
    total: int = 0
    unit: str = ""
    text: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {"done": self.done, "total": self.total, "unit": self.unit, "text": self.text}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Progress:
        return cls(raw["done"], raw["total"], raw["unit"], raw["text"])


@dataclass(frozen=True)
class Step:
    """One row of the journal. Immutable: the journal hands out new ones as things happen.

    `number` orders the steps of an operation and names them; `needs` are numbers of steps that
    must be done first. `limit` names a kind of work of which only so many may be under way.
    `releases` is the number of a step whose temporary thing this step removes. Times are seconds
    since the epoch.
    """

    number: int
    resource: str
    hook: Hook
    stage: str
    needs: tuple[int, ...] = ()
    limit: str = ""
    carries: bool = False           # moves bytes: runs in the pool for that
    releases: int | None = None
    state: StepState = StepState.WAITING
    entries: int = 0                # how often it has been entered
    wake_at: float = 0.0
    failures: int = 0               # transient failures in a row
    handle: Mapping[str, Any] = field(default_factory=dict)
    saved: Mapping[str, Any] = field(default_factory=dict)
    progress: Progress | None = None
    error: Mapping[str, Any] | None = None
    entered_at: float | None = None
    finished_at: float | None = None
    wait: Mapping[str, Any] = field(default_factory=dict)       # see `engine.patience`
    remade: Mapping[str, Any] = field(default_factory=dict)     # see `engine.remaking`

    @property
    def removing(self) -> bool:
        """Whether what a failed try left behind is being removed, so that it can be tried anew."""
        return bool(self.remade.get("removing"))


@dataclass(frozen=True)
class Wait:
    """What a step waits for, in words that go on after "waits for". `kind` names the option of
    [waits] that says for how long; "" stands for the deadline of the stage."""

    what: str
    kind: str = ""


@dataclass(frozen=True)
class Done:
    """The step is over. `saved` is what it keeps: small JSON, never a secret, never a body."""

    saved: Mapping[str, Any] = field(default_factory=dict)
    handle: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Again:
    """Call me again in `after` seconds. `handle` (if given) replaces the step's handle; `wait` says
    what for."""

    after: float = 0.0
    handle: Mapping[str, Any] | None = None
    progress: Progress | None = None
    wait: Wait | None = None


@dataclass(frozen=True)
class Failed:
    """The step cannot succeed any more."""

    error: KarborError


Outcome = Done | Again | Failed
