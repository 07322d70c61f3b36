"""Driver: runs the steps of one operation to the end; started again, it goes on.

One thread decides and writes to the journal; two pools run hooks: one for short requests, one for
those that move bytes. Steps that finish together are settled in one transaction.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from karbor.domain.errors import (
    BankError,
    Cancelled,
    CredentialSuspended,
    Fenced,
    KarborError,
    PluginFault,
)
from karbor.domain.operation import Operation, OperationState, Wanted
from karbor.domain.step import Again, Done, Failed, Outcome, Progress, Step, StepState
from karbor.engine import due_steps
from karbor.engine.concurrency_limits import ConcurrencyLimits
from karbor.engine.journal import NO_LIMITS, Journal, Settlement
from karbor.engine.judging import Judge, backoff
from karbor.engine.runner import Runner, StepContext

LOG = logging.getLogger(__name__)

TICK = 1.0                  # seconds between looks at whether the user wants it cancelled
MOST_TRIES = 8              # of planning and of concluding, beside the first
PROGRESS_EVERY = 2.0        # seconds between writes of the progress of one long entry


class Driver:
    """Drives operations of one journal with one kind of runner. Use one Driver per operation."""

    def __init__(self, journal: Journal, runner: Runner, *, places: ConcurrencyLimits = NO_LIMITS,
                 threads: int = 8, carriers: int = 2,
                 clock: Callable[[], float] = time.time) -> None:
        self._journal = journal
        self._runner = runner
        self._places = places
        self._clock = clock
        self._threads = threads
        self._carriers = carriers
        self._results: queue.Queue[tuple[Step, Outcome | KarborError]] = queue.Queue()
        self._progress: dict[int, Progress] = {}
        self._progress_written: dict[int, float] = {}
        self._judge = Judge(runner, clock)
        self._busy: set[int] = set()
        self._steps: dict[int, Step] = {}
        self._fence = 0
        self._stopping = threading.Event()

    def drive(self, operation_id: str, stopping: threading.Event | None = None
              ) -> OperationState | None:
        """Drive to the operation's end, or until `stopping` is set: then None, and it can be
        resumed.

        Raises Fenced when another driver has taken over, and an error that awaits repair: the
        operation stays as it is, and can be resumed when that is done.
        """
        self._stopping = stopping or self._stopping
        self._fence = self._journal.claim(operation_id)
        operation = self._journal.operation(operation_id)
        with ThreadPoolExecutor(self._threads, "look") as self._look, \
                ThreadPoolExecutor(self._carriers, "carry") as self._carry:
            if operation.state in (OperationState.QUEUED, OperationState.PLANNING):
                self._plan(operation)
                operation = self._journal.operation(operation_id)
            if operation.state in (OperationState.RUNNING, OperationState.UNDOING):
                self._steps = {step.number: step for step in self._journal.steps(operation_id)}
            if operation.state is OperationState.RUNNING:
                self._forward(operation)
                operation = self._journal.operation(operation_id)
            if operation.state is OperationState.UNDOING:
                self._backward(operation)
                operation = self._journal.operation(operation_id)
        return operation.state if operation.state.over else None

    # ------------------------------------------------------------------ planning
    def _plan(self, operation: Operation) -> None:
        failures = 0
        self._move(operation, OperationState.PLANNING)
        while not self._stopping.is_set():
            if self._journal.wanted(operation.id) is Wanted.CANCEL:
                self._end(operation, Cancelled("cancelled before anything was made").facts())
                return
            try:
                planned = self._runner.plan(operation)
            except Fenced:
                raise
            except KarborError as error:
                failures += 1
                if not _tried_again(error, failures):
                    self._end(operation, error.facts())
                    return
                self._pause(operation, failures)
                continue
            except Exception as error:      # a bug in a plugin: it must end, and be seen
                LOG.exception("planning %s failed", operation.id)
                self._end(operation, _unexpected(error).facts())
                return
            self._journal.planned(operation.id, self._fence, planned.plan, planned.steps,
                                  planned.checkpoint_id)
            return

    # ------------------------------------------------------------------ forward
    def _forward(self, operation: Operation) -> None:
        fail_fast = self._runner.fail_fast(operation)
        failed: Mapping[str, Any] | None = None
        if fail_fast:
            failed = next((step.error for step in self._steps.values()
                           if step.state is StepState.FAILED), None)
        while not self._stopping.is_set():
            if failed is None and self._journal.wanted(operation.id) is Wanted.CANCEL:
                failed = Cancelled("cancelled").facts()
            if failed is None and (ended := self._runner.ended(operation)) is not None:
                failed = ended.facts()
            if failed is not None:
                self._drain(operation)
                self._move(operation, OperationState.UNDOING, error=failed)
                return
            self._halt(operation)
            now = self._clock()
            ready = list(due_steps.due(self._steps, self._busy, self._places.limits, now))
            self._enter(operation, ready)
            if not ready and not self._busy and due_steps.wake_at(
                    self._steps.values(), self._busy) is None:
                self._conclude(operation)
                return
            for step in self._wait(operation):
                if step.state is StepState.FAILED and fail_fast:
                    failed = failed or step.error
        self._drain(operation)

    def _conclude(self, operation: Operation) -> None:
        """Conclude, since nothing is due and nothing sleeps: all is done, or (not fail-fast) as
        much as can be."""
        steps = list(self._steps.values())
        bad = next((step.error for step in steps if step.state is StepState.FAILED), None)
        if bad is not None:
            self._move(operation, OperationState.UNDOING, error=bad)
            return
        failures = 0
        while not self._stopping.is_set():
            if failures and self._journal.wanted(operation.id) is Wanted.CANCEL:
                self._move(operation, OperationState.UNDOING, error=Cancelled("cancelled").facts())
                return
            try:
                result = self._runner.finish(operation, steps)
            except KarborError as error:
                failures += 1
                if _tried_again(error, failures):
                    self._pause(operation, failures)
                    continue
                if error.awaits_repair or (error.transient and isinstance(error, BankError)):
                    raise       # all has been made: it is not undone because nothing can be noted
                self._move(operation, OperationState.UNDOING, error=error.facts())
                return
            except Exception as error:      # a bug: it must end as failed, not at every resume
                LOG.exception("finishing %s failed", operation.id)
                self._move(operation, OperationState.UNDOING, error=_unexpected(error).facts())
                return
            self._move(operation, OperationState.DONE, result=result)
            return

    def _pause(self, operation: Operation, failures: int) -> None:
        """Wait before the next try: the longer, the more have failed. Return at once when somebody
        stops the driver or cancels the operation."""
        until = time.monotonic() + backoff(failures)
        while (left := until - time.monotonic()) > 0 and not self._stopping.wait(min(left, TICK)):
            if self._journal.wanted(operation.id) is Wanted.CANCEL:
                return

    # ------------------------------------------------------------------ backward
    def _backward(self, operation: Operation) -> None:
        def undoable(step: Step) -> bool:
            return self._runner.undoable(operation, step)

        self._judge.halted_by = None      # what stopped a step forward need not stop its undoing
        while not self._stopping.is_set():
            if due_steps.undo_over(self._steps, undoable):
                self._end(operation, operation.error or {})
                return
            self._halt(operation)
            ready = list(due_steps.undo_due(self._steps, undoable, self._busy, self._clock()))
            begun = [step for step in ready if step.state is not StepState.UNDOING]
            if begun:
                self._settle(operation, [
                    Settlement(step.number, StepState.UNDOING) for step in begun])
            self._enter(operation, [self._steps[step.number] for step in ready], undoing=True)
            self._wait(operation)
        self._drain(operation)

    def _end(self, operation: Operation, error: Mapping[str, Any]) -> None:
        steps = list(self._steps.values())
        left = [{"resource": step.resource, "stage": step.stage, "handle": dict(step.handle),
                 "why": str((step.error or {}).get("message", ""))}
                for step in steps if step.state is StepState.LEFT]
        result = dict(self._runner.abandon(operation, steps, error))
        if left:
            result["left"] = left
        cancelled = error.get("error") == Cancelled.__name__
        self._move(operation, OperationState.CANCELLED if cancelled else OperationState.FAILED,
                   error=error, result=result)

    # ------------------------------------------------------------------ entering and settling
    def _enter(self, operation: Operation, ready: Iterable[Step], *, undoing: bool = False
               ) -> None:
        ready = list(ready)
        if not ready:
            return
        now = self._clock()
        entered = self._journal.enter(operation.id, self._fence, [step.number for step in ready],
                                      now, self._places)
        self._tell_to_wait(operation, [step for step in ready if step.number not in entered])
        for before in [step for step in ready if step.number in entered]:
            begun = replace(
                before, entries=before.entries + 1, entered_at=before.entered_at or now,
                progress=None if before.state is StepState.WAITING else before.progress,
                state=(StepState.UNDOING if before.state is StepState.UNDOING
                       else StepState.ENTERED))
            self._steps[before.number] = begun
            self._busy.add(before.number)
            pool = self._carry if before.carries and not undoing else self._look
            pool.submit(self._run, operation, replace(begun, state=before.state), undoing)

    def _tell_to_wait(self, operation: Operation, steps: Iterable[Step]) -> None:
        """Note in the steps why they do not begin, for whoever looks at them. Written once: what it
        waits for is taken and freed many times."""
        self._settle(operation, [Settlement(
            step.number, StepState.WAITING,
            progress=Progress(text=f"waits for others: {step.limit} has no place free"))
            for step in steps if step.progress is None])

    def _run(self, operation: Operation, step: Step, undoing: bool) -> None:
        """Run one entry of a step, in a pool thread. Never raises, always answers."""
        try:
            of = step
            if step.releases is not None and not undoing:
                # It undoes the other step, with a handle of its own.
                made = self._steps[step.releases]
                of, undoing = replace(made, handle={**made.handle, **step.handle}), True
            enter = self._runner.undo if undoing or step.removing else self._runner.run
            outcome: Outcome | KarborError = enter(operation, of, self._step_context(step))
        except KarborError as error:
            outcome = error
        except Exception as error:      # a bug in a plugin must end its step, not the driver
            LOG.exception("step %s of %s failed", step.number, operation.id)
            outcome = _unexpected(error)
        if not isinstance(outcome, Done | Again | Failed | KarborError):
            outcome = PluginFault(f"the stage {step.stage} returned a {type(outcome).__name__} "
                                  "instead of Done, Again or Failed")
        self._results.put((step, outcome))

    def _step_context(self, step: Step) -> StepContext:
        def report(progress: Progress) -> None:
            self._progress[step.number] = progress

        return StepContext(self._steps, report, self._stopping.is_set)

    def _wait(self, operation: Operation) -> list[Step]:
        """Wait until something finishes, wakes, or a tick has passed; settle what finished."""
        wake = due_steps.wake_at(self._steps.values(), self._busy)
        pause = TICK if wake is None else max(0.0, min(TICK, wake - self._clock()))
        finished = []
        try:
            finished.append(self._results.get(timeout=pause if self._busy else min(pause, TICK)))
            while True:
                finished.append(self._results.get_nowait())
        except queue.Empty:
            pass
        settlements = [settlement for step, outcome in finished
                       for settlement in self._judge.judge(operation, step, outcome, self._steps)]
        for step, _ in finished:
            self._busy.discard(step.number)
            self._progress.pop(step.number, None)
        settlements += self._due_progress()
        return self._settle(operation, settlements)

    def _halt(self, operation: Operation) -> None:
        """Raise what awaits repair, when the entries under way have ended."""
        if self._judge.halted_by is not None:
            self._drain(operation)
            raise self._judge.halted_by

    def _drain(self, operation: Operation) -> None:
        """Wait for the entries under way and write down how they ended."""
        while self._busy:
            self._wait(operation)

    def _settle(self, operation: Operation, settlements: list[Settlement]) -> list[Step]:
        if not settlements:
            return []
        self._journal.settle(operation.id, self._fence, settlements)
        for settlement in settlements:
            self._steps[settlement.number] = apply(self._steps[settlement.number], settlement)
        return [self._steps[settlement.number] for settlement in settlements]

    def _due_progress(self) -> list[Settlement]:
        now, out = self._clock(), []
        for number, progress in list(self._progress.items()):
            if now - self._progress_written.get(number, 0.0) >= PROGRESS_EVERY:
                self._progress_written[number] = now
                step = self._steps[number]
                out.append(Settlement(number, step.state, step.wake_at, step.failures,
                                      progress=progress))
        return out

    def _move(self, operation: Operation, state: OperationState, *,
              error: Mapping[str, Any] | None = None,
              result: Mapping[str, Any] | None = None) -> None:
        self._journal.move(operation.id, self._fence, state, now=self._clock(), error=error,
                           result=result)


def apply(step: Step, settlement: Settlement) -> Step:
    """Return the step as it is after a settlement; the law for every journal."""
    return replace(
        step, state=settlement.state, wake_at=settlement.wake_at, failures=settlement.failures,
        handle=step.handle if settlement.handle is None else settlement.handle,
        saved=step.saved if settlement.saved is None else settlement.saved,
        progress=settlement.progress or step.progress,
        error=settlement.error or step.error,
        finished_at=settlement.finished_at or step.finished_at,
        wait=step.wait if settlement.wait is None else settlement.wait,
        remade=step.remade if settlement.remade is None else settlement.remade)


def _tried_again(error: KarborError, failures: int) -> bool:
    """Return whether planning or concluding is tried again after so many failures in a row.
    While a credential is suspended, always: it says so, and ends that itself ([credentials]
    refusal_wait)."""
    return isinstance(error, CredentialSuspended) or (error.transient and failures <= MOST_TRIES)


def _unexpected(error: BaseException) -> KarborError:
    return KarborError(f"unexpected {type(error).__name__}: {error}",
                       remedy="this is a fault of Karbor or of a plugin: see the log")
