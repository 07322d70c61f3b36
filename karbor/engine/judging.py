"""Judging: what the end of one run of a step means for the step, and for those it rests on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from karbor.domain.errors import DeadlinePassed, Fenced, KarborError, StepFailed
from karbor.domain.operation import Operation
from karbor.domain.step import Again, Done, Failed, Outcome, Progress, Step, StepState
from karbor.engine import patience
from karbor.engine.journal import Settlement
from karbor.engine.runner import REMOVAL, UNAVAILABLE, Anew, Runner

LOG = logging.getLogger(__name__)
LONGEST_BACKOFF_SECONDS = 60.0


def backoff(failures: int) -> float:
    """Return the seconds to wait after so many failures in a row: 1, 2, 4 … 60."""
    return float(min(LONGEST_BACKOFF_SECONDS, 2.0 ** min(max(0, failures - 1), 16)))


class Judge:
    """Of one operation's driver.

    A step whose failure may pass is made anew: what the failed try left is removed (its state is
    RUNNING, `Step.removing`), then it is WAITING again with an empty handle. Each of the two is one
    settlement, so that wherever the process is killed nothing is left over or counted twice.
    """

    def __init__(self, runner: Runner, clock: Callable[[], float]) -> None:
        self._runner = runner
        self._clock = clock
        self._undo_since: dict[int, float] = {}
        self.halted_by: KarborError | None = None
        """What a person has to repair before the operation can go on."""

    def judge(self, operation: Operation, step: Step, outcome: Outcome | KarborError,
              steps: Mapping[int, Step]) -> list[Settlement]:
        """Return the settlement of an outcome. Raises Fenced when that is the outcome."""
        if isinstance(outcome, Fenced):
            raise outcome
        now = self._clock()
        undoing = step.state is StepState.UNDOING
        match outcome:
            case Done() if step.removing and not undoing:
                return _removed(step, steps, now)
            case Done(saved=saved, handle=handle):
                return [Settlement(step.number, StepState.UNDONE if undoing else StepState.DONE,
                                   handle=handle, saved=None if undoing else saved,
                                   finished_at=now, wait={} if step.wait else None)]
            case Again():
                settled = self._again(operation, step, outcome, now)
            case Failed(error=error):
                settled = error
            case error if error.awaits_repair:
                settled = self._halted(operation, step, error, now)
            case error if error.transient:
                settled = self._troubled(operation, step, error, now)
            case error:
                settled = error
        if isinstance(settled, Settlement):
            return [settled]
        return [self._failed(operation, step, settled, now)]

    # ------------------------------------------------------------------ waiting
    def _again(self, operation: Operation, step: Step, again: Again, now: float
               ) -> Settlement | KarborError:
        undoing = step.state is StepState.UNDOING
        kind = REMOVAL if undoing or step.removing else again.wait.kind if again.wait else ""
        allowed = self._runner.allowed(operation, step, kind)
        wait = patience.waited(step, again, allowed, now)
        since = self._since(step, now)
        if kind and not (undoing or step.removing) and now - wait["since"] >= allowed:
            return DeadlinePassed(
                f"it waited for {wait['what']} in vain, from {patience.clock(wait['since'])} until "
                f"{patience.clock(now)}",
                remedy=f"see how it stands in its service; [waits] {kind} allows longer waits")
        deadline = self._runner.allowed(operation, step, REMOVAL if undoing else "")
        if now - since >= deadline:
            what = f": it waits for {wait['what']}" if wait["what"] else ""
            return _late(deadline, what)
        return Settlement(
            step.number, StepState.UNDOING if undoing else StepState.RUNNING,
            wake_at=now + patience.pause(again, wait, now), handle=again.handle,
            progress=again.progress, wait=wait, events=self._tell(operation, step, wait, now))

    def _troubled(self, operation: Operation, step: Step, error: KarborError, now: float
                  ) -> Settlement | KarborError:
        undoing = step.state is StepState.UNDOING
        wait = patience.troubled(step, error.message, now)
        for kind, since in ((UNAVAILABLE, wait["trouble"]["since"]),
                            (REMOVAL if undoing else "", self._since(step, now))):
            allowed = self._runner.allowed(operation, step, kind)
            if now - since >= allowed:
                return _late(allowed, f": {error.message}")
        LOG.info("step %s of %s: %s; again later", step.number, operation.id, error)
        return Settlement(
            step.number, StepState.UNDOING if undoing else StepState.ENTERED,
            wake_at=now + backoff(step.failures + 1), failures=step.failures + 1, wait=wait,
            events=self._tell(operation, step, wait, now))

    def _halted(self, operation: Operation, step: Step, error: KarborError, now: float
                ) -> Settlement | KarborError:
        undoing = step.state is StepState.UNDOING
        allowed = self._runner.allowed(operation, step, REMOVAL if undoing else "")
        if now - self._since(step, now) >= allowed:
            return _late(allowed, f": {error.message}")
        self.halted_by = error
        return Settlement(
            step.number, StepState.UNDOING if undoing else StepState.ENTERED, wake_at=now,
            failures=step.failures, progress=Progress(text=error.message))

    def _since(self, step: Step, now: float) -> float:
        if step.state is StepState.UNDOING:     # counted from this process's first try at it
            return self._undo_since.setdefault(step.number, now)
        return float(step.remade.get("at") or step.entered_at or now)

    def _tell(self, operation: Operation, step: Step, wait: Mapping[str, Any], now: float
              ) -> list[tuple[float, str]]:
        line = patience.told(self._runner.label(operation, step), wait)
        if not line:
            return []
        LOG.warning("operation %s: %s", operation.id, line)
        return [(now, line)]

    # ------------------------------------------------------------------ failing
    def _failed(self, operation: Operation, step: Step, error: KarborError, now: float
                ) -> Settlement:
        undoing = step.state is StepState.UNDOING
        if step.removing and not undoing and step.remade.get("error"):
            error = _not_removed(step.remade["error"], error)
        elif not undoing:
            anew = self._runner.anew(operation, step, error)
            if anew is not None:
                return self._begin_anew(operation, step, error, anew, now)
            if tries := sum(step.remade.get("counts", {}).values()):
                error.message += f" (also after it was made anew, {tries} of {tries} times)"
        told = self._runner.explain(operation, step, error)
        return Settlement(step.number, StepState.LEFT if undoing else StepState.FAILED,
                          error=told.facts(), finished_at=now, wait={} if step.wait else None)

    def _begin_anew(self, operation: Operation, step: Step, error: KarborError, anew: Anew,
                    now: float) -> Settlement:
        line = (f"{self._runner.label(operation, step)} is made anew ({anew.time} of {anew.most}): "
                f"{error.message}")
        LOG.warning("operation %s: %s", operation.id, line)
        counts = {**step.remade.get("counts", {}), anew.cause: anew.time}
        return Settlement(
            step.number, StepState.RUNNING, wake_at=now + anew.pause, wait={},
            remade={"counts": counts, "removing": True, "at": now + anew.pause,
                    "rests_on": anew.rests_on,
                    "error": self._runner.explain(operation, step, error).facts()},
            events=[(now, line)])


def _removed(step: Step, steps: Mapping[int, Step], now: float) -> list[Settlement]:
    """Return the settlements of a failed try of which nothing is left: the step waits for its turn
    again. What it rested on goes as well, and is made anew before it."""
    kept = {"counts": step.remade.get("counts", {}), "at": now}
    settled = [Settlement(step.number, StepState.WAITING, handle={}, wait={}, remade=kept)]
    base = step.remade.get("rests_on")
    if base is not None:
        settled.append(Settlement(base, StepState.RUNNING, wait={}, remade={
            **steps[base].remade, "removing": True, "at": now}))
    return settled


def _late(allowed: float, why: str) -> DeadlinePassed:
    return DeadlinePassed(f"not finished within {allowed:.0f} s{why}",
                          remedy="see how it stands in the service that does it")


def _not_removed(first: Mapping[str, Any], error: KarborError) -> StepFailed:
    """Return the failure itself, and why the step was not made anew after it."""
    return StepFailed({**first, "message": f"{first.get('message', '')}; it was not made anew, "
                       f"since what it left could not be removed: {error.message}"})
