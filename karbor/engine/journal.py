"""Journal: what a driver writes down, so that another one can go on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from karbor.domain.operation import Operation, OperationState, Wanted
from karbor.domain.step import Progress, Step, StepState
from karbor.engine.concurrency_limits import ConcurrencyLimits

NO_LIMITS = ConcurrencyLimits()


@dataclass(frozen=True)
class Settlement:
    """How one run of a step ended, as the journal keeps it. None leaves a field as it is."""

    number: int
    state: StepState
    wake_at: float = 0.0
    failures: int = 0
    handle: Mapping[str, Any] | None = None
    saved: Mapping[str, Any] | None = None
    progress: Progress | None = None
    error: Mapping[str, Any] | None = None
    finished_at: float | None = None
    wait: Mapping[str, Any] | None = None
    remade: Mapping[str, Any] | None = None
    events: Sequence[tuple[float, str]] = ()        # (when, what), in the same transaction


class Journal(Protocol):
    """One durable record of operations and their steps.

    Every write bears the fence that `claim` handed out and is one transaction; when a later claim
    has been made, it changes nothing and raises Fenced. Methods may be called from any thread.
    """

    def operation(self, operation_id: str) -> Operation:
        """Return the operation. Raises NotFound."""

    def steps(self, operation_id: str) -> list[Step]:
        """Return the operation's steps in the order of their numbers."""

    def claim(self, operation_id: str) -> int:
        """Become the one driver of the operation; returns a fence higher than any before."""

    def wanted(self, operation_id: str) -> Wanted: ...

    def planned(self, operation_id: str, fence: int, plan: Mapping[str, Any],
                steps: Sequence[Step], checkpoint_id: str) -> None:
        """Write the plan and all steps, and move the operation to RUNNING, in one transaction."""

    def enter(self, operation_id: str, fence: int, numbers: Iterable[int], now: float,
              places: ConcurrencyLimits = NO_LIMITS) -> set[int]:
        """Note that these steps are about to send requests: entries + 1, entered_at set at the
        first entry. WAITING and RUNNING become ENTERED (until a settlement says more), UNDOING
        stays; what a WAITING one said of its waiting is forgotten.

        Returns which; those for which there is no place among all operations of the provider stay
        as they are. However many processes ask at once, no place is given twice.
        """

    def settle(self, operation_id: str, fence: int, settlements: Sequence[Settlement]) -> None:
        """Write how runs ended, and their events: all in one transaction."""

    def move(self, operation_id: str, fence: int, state: OperationState, *, now: float,
             error: Mapping[str, Any] | None = None,
             result: Mapping[str, Any] | None = None) -> None:
        """Change the operation's state (a legal move only) and what is known of its end."""
