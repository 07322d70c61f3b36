"""Runner: what a driver needs to know of the work itself, which is not its own business."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from karbor.domain.errors import KarborError
from karbor.domain.operation import Operation
from karbor.domain.step import Outcome, Progress, Step


@dataclass(frozen=True)
class Planned:
    """What planning found: the steps, and what must be known again after a restart."""

    plan: Mapping[str, Any]
    steps: Sequence[Step]
    checkpoint_id: str = ""


@dataclass(frozen=True)
class StepContext:
    """What one run of a step may see and say."""

    steps: Mapping[int, Step]               # as last settled
    report: Callable[[Progress], None]
    stopping: Callable[[], bool]


UNAVAILABLE = "unavailable"     # a kind of Wait: for a service that does not answer
REMOVAL = "removal"             # and for a thing to be gone


@dataclass(frozen=True)
class Anew:
    """That a failed step may be tried again from its beginning, for this `cause`, for the `time`-th
    of `most` times. `pause`: seconds until what the failed try left is removed. `rests_on`: the
    number of a step which has to be made anew before it."""

    cause: str
    time: int
    most: int
    pause: float = 0.0
    rests_on: int | None = None


class Runner(Protocol):
    """The work of one operation. Methods but `plan`, `finish` and `abandon` are called from pool
    threads; all may be called again after a crash and must then go on instead of doing it twice.
    Raising a transient KarborError means: again later."""

    def plan(self, operation: Operation) -> Planned:
        """Look up what there is to do. Makes nothing in the cloud."""

    def run(self, operation: Operation, step: Step, step_context: StepContext) -> Outcome:
        """Run one entry of a step. `step.state` is what it was before this entry: ENTERED means
        that an earlier entry was cut off and may have sent its request."""

    def undo(self, operation: Operation, step: Step, step_context: StepContext) -> Outcome:
        """Remove what the step made, if it made anything; re-entered until Done."""

    def undoable(self, operation: Operation, step: Step) -> bool:
        """Return whether there is anything to remove when the operation does not succeed."""

    def allowed(self, operation: Operation, step: Step, kind: str) -> float:
        """Return the seconds that a wait of this kind may last; "": the step as a whole, from the
        first entry of this try on."""

    def anew(self, operation: Operation, step: Step, error: KarborError) -> Anew | None:
        """Return how the step may be made anew after this failure, if it may."""

    def label(self, operation: Operation, step: Step) -> str:
        """Return what people know the step by."""

    def fail_fast(self, operation: Operation) -> bool:
        """Return whether the first failed step ends the operation (else the others still run)."""

    def ended(self, operation: Operation) -> KarborError | None:
        """Return why the operation must not go on, if it must not (its credential has come to
        its end): it is undone then. Asked between steps; must be quick."""

    def finish(self, operation: Operation, steps: Sequence[Step]) -> Mapping[str, Any]:
        """Make the success of an operation whose steps are all done true and known, and return the
        result."""

    def abandon(self, operation: Operation, steps: Sequence[Step], error: Mapping[str, Any]
                ) -> Mapping[str, Any]:
        """Make known that the operation did not succeed, when what could be removed is gone."""

    def explain(self, operation: Operation, step: Step, error: KarborError) -> KarborError:
        """Return the same error with what the user knows the step by."""
