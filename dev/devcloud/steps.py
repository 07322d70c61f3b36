"""Steps that run at the same time as far as their dependencies allow."""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Sequence


@dataclasses.dataclass(frozen=True)
class Step:
    """Something to do once everything in `after` is done; its result is a remark to print."""

    name: str
    action: Callable[[], str | None]
    after: tuple[str, ...] = ()


def run(
    steps: Sequence[Step],
    report: Callable[[str, float, str], None],
    cancel: Callable[[], None],
    limit: int,
) -> None:
    """Run all steps, `limit` at most at a time and the first in the list first.

    After a failure nothing more is started and `cancel` is called, which tells the running steps
    not to wait any longer; the failure is raised when they have ended.
    """
    waiting = list(steps)
    done: set[str] = set()
    results: queue.SimpleQueue[tuple[Step, float, str, BaseException | None]] = queue.SimpleQueue()

    def work(step: Step) -> None:
        begin = time.monotonic()
        remark, error = "", None
        try:
            remark = step.action() or ""
        except BaseException as caught:  # noqa: BLE001 - carried to the caller's thread
            error = caught
        results.put((step, time.monotonic() - begin, remark, error))

    running = 0
    failure: BaseException | None = None
    while running or (waiting and failure is None):
        ready = [step for step in waiting if done.issuperset(step.after)]
        for step in ready[: max(0, limit - running)] if failure is None else ():
            waiting.remove(step)
            running += 1
            threading.Thread(target=work, args=(step,), name=step.name, daemon=True).start()
        if not running:
            raise RuntimeError(f"steps that wait for each other: {[s.name for s in waiting]}")
        step, took, remark, error = results.get()
        running -= 1
        if error is None:
            done.add(step.name)
            report(step.name, took, remark)
        elif failure is None:
            failure = error
            cancel()
            report(step.name, took, "FAILED")
    if failure is not None:
        raise failure
