"""Clock: what makes scheduled operations happen.

Any number of processes call `tick` in a loop, each with its own clock on one database. Nothing is
kept in memory that counts, no process has schedules of its own, and none of them leads: each looks
for what is due, and of those that see the same due time the database lets one win. That one has the
operation accepted, under an id that follows from the due time; if it dies before, another does, and
if both do, the second finds the operation there.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Protocol

from karbor.domain.errors import KarborError, StoreError, why
from karbor.domain.occurrence import WANTED, Occurrence, OccurrenceState
from karbor.domain.operation import Operation, OperationState
from karbor.domain.scheduled_operation import OperationType, ScheduledOperation
from karbor.domain.trigger import Trigger
from karbor.schedule.due import written_down
from karbor.schedule.properties import Limits
from karbor.schedule.retention import Retention
from karbor.store.occurrences import Occurrences, Outcomes

LOG = logging.getLogger(__name__)

_S = OccurrenceState


@dataclass(frozen=True)
class SchedulerIntervals:
    """How the clock goes; all in seconds.

    `hold`: after which a process that claimed an occurrence and had no operation accepted is taken
    for dead. `retry`: between two tries of what failed and may work later. `poll`: the longest
    sleep; outcomes, and changes made elsewhere, are seen that late. `history`: for how long ended
    occurrences are remembered. `at_once`: how many are begun in one tick, so that the time which
    the tick was given stays near the real one.
    """

    hold: float = 300.0
    retry: float = 30.0
    poll: float = 15.0
    history: float = 90 * 86400.0
    at_once: int = 10

    @classmethod
    def within(cls, limits: Limits, poll: float, history: float) -> SchedulerIntervals:
        """What a dead process has claimed must be found while the shortest window is open."""
        hold = min(cls.hold, limits.min_window / 3)
        return cls(hold=hold, retry=min(cls.retry, hold / 2), poll=poll, history=history)


@dataclass
class TickResult:
    """What one tick did, in numbers."""

    fired: int = 0
    postponed: int = 0
    failed: int = 0
    missed: int = 0
    skipped: int = 0
    ended: int = 0
    retained: int = 0
    broken: int = 0
    more: bool = False      # some are still due: tick again at once


class OperationStarter(Protocol):
    """Begins the operation of an occurrence."""

    def run(self, scheduled_operation: ScheduledOperation, occurrence: Occurrence) -> str:
        """Have an operation accepted under the id `occurrence.reserved_operation_id`, on behalf of
        the scheduled operation's caller, and return that id.

        Called from the thread of the clock; again with the same occurrence, from any process, when
        the one before died or was slow: where an operation with that id exists already it does
        nothing and returns the id. It returns when the operation stands in the records, not when
        it is over. Raises KarborError: a transient one is tried again while the occurrence's
        window lasts, any other one ends the occurrence as failed, with its words.
        """
        ...


class Scheduler:
    """Of one process; not for several threads at once."""

    def __init__(
        self,
        occurrences: Occurrences,
        *,
        operation_starter: OperationStarter,
        outcomes: Outcomes,
        post_run: Retention,
        limits: Limits,
        intervals: SchedulerIntervals,
    ) -> None:
        self._occurrences = occurrences
        self._operation_starter = operation_starter
        self._outcomes = outcomes
        self._post_run = post_run
        self._limits = limits
        self._intervals = intervals
        self._pruned = float("-inf")
        self._more = False

    def tick(self, now: float) -> TickResult:
        """Everything there is to do at this moment. Raises StoreError when the database cannot be
        used (try again later); nothing else: what goes wrong with one scheduled operation is
        recorded with it, and the others go on."""
        told = TickResult()
        # First what has ended: what is due is skipped while the run before it is going.
        self._follow(now, told)
        self._take_over(now, told)
        self._begin_due(now, told)
        self._retain(now, told)
        if now - self._pruned >= 3600.0:
            self._occurrences.prune(now - self._intervals.history)
            self._pruned = now
        self._more = told.more
        return told

    def sleep_until(self, now: float) -> float:
        """When to tick again: at the next due time, or after `poll` seconds if that is sooner; now
        if the last tick did not get to everything. Raises StoreError."""
        if self._more:
            return now
        coming = self._occurrences.next_due()
        longest = now + self._intervals.poll
        if coming is None or coming >= longest:
            return longest
        # One that is due although we have just looked: somebody else is about to claim it.
        return coming if coming > now else min(longest, now + 1.0)

    # ------------------------------------------------------------------ what was begun earlier
    def _follow(self, now: float, told: TickResult) -> None:
        """Occurrences end as their operations do."""
        last = ""
        while page := self._occurrences.running(last):
            last = page[-1][0].id
            known = self._outcomes.of([one.operation_id for one, _ in page])
            for occurrence, scheduled in page:
                ended = _outcome(known.get(occurrence.operation_id))
                if ended is None:
                    continue
                state, reason = ended
                wanted = (WANTED if state is _S.DONE and scheduled.operation_type
                          is OperationType.RETENTION_PROTECT else "")
                told.ended += self._occurrences.end(occurrence, state, now, reason, wanted)

    def _take_over(self, now: float, told: TickResult) -> None:
        """Those that somebody claimed, asked for or postponed, and nobody holds."""
        for occurrence, scheduled, trigger in self._occurrences.waiting(now):
            if told.fired + told.failed + told.postponed >= self._intervals.at_once:
                told.more = True
                return
            held = self._occurrences.hold(occurrence, now + self._intervals.hold)
            if held is None:
                continue
            if self._outcomes.of([held.reserved_operation_id]):
                # Whoever claimed it died between the acceptance and the note of it.
                told.fired += self._occurrences.begin(held, held.reserved_operation_id, now)
            elif not scheduled.enabled:
                told.skipped += self._occurrences.end(held, _S.SKIPPED, now,
                                                      "it was paused before this run was begun")
            elif now > occurrence.due_at + self._limits.window(trigger.properties):
                if occurrence.reason:
                    told.failed += self._occurrences.end(held, _S.FAILED, now, occurrence.reason)
                else:
                    told.missed += self._occurrences.end(held, _S.MISSED, now,
                                                         "nobody began it in its window")
            else:
                self._fire(scheduled, held, now, told)

    # ------------------------------------------------------------------ what is due now
    def _begin_due(self, now: float, told: TickResult) -> None:
        for scheduled, trigger in self._occurrences.due(now):
            if told.fired + told.failed + told.postponed >= self._intervals.at_once:
                told.more = True
                return
            try:
                self._begin(scheduled, trigger, now, told)
            except StoreError:
                raise       # that concerns them all
            except KarborError as error:
                self._broken(scheduled, trigger, str(error), told)
            except Exception as error:
                LOG.exception("scheduled operation %s", scheduled.id)
                self._broken(scheduled, trigger, _unexpected(error), told)

    def _begin(self, scheduled: ScheduledOperation, trigger: Trigger, now: float,
               told: TickResult) -> None:
        rows, coming = written_down(
            scheduled, trigger, now=now, window=self._limits.window(trigger.properties),
            held_until=now + self._intervals.hold)
        if trigger.fault:
            self._occurrences.fault(trigger.id, "")
        claimed = self._occurrences.claim(scheduled, coming, rows)
        for row in claimed or ():
            if row.state is _S.DUE:
                self._fire(scheduled, row, now, told)
                continue
            LOG.warning("scheduled operation %s of project %s: %s: %s", scheduled.id,
                        scheduled.project_id, row.state, row.reason)
            told.missed += row.count if row.state is _S.MISSED else 0
            told.skipped += row.state is _S.SKIPPED

    def _broken(self, scheduled: ScheduledOperation, trigger: Trigger, why: str, told: TickResult
                ) -> None:
        """Recorded for its owner; said once in the log, for it stays so until somebody acts."""
        told.broken += 1
        if trigger.fault != why:
            LOG.error("trigger %s of project %s cannot tell its times, so scheduled operation %s "
                      "does not run: %s", trigger.id, trigger.project_id, scheduled.id, why)
            self._occurrences.fault(trigger.id, why)

    def _fire(self, scheduled: ScheduledOperation, held: Occurrence, now: float, told: TickResult
              ) -> None:
        try:
            operation_id = self._operation_starter.run(scheduled, held)
        except KarborError as error:
            if error.transient:
                told.postponed += self._occurrences.postpone(
                    held, now + self._intervals.retry, str(error)
                )
            else:
                told.failed += self._occurrences.end(held, _S.FAILED, now, str(error))
            LOG.warning("scheduled operation %s of project %s was not begun: %s", scheduled.id,
                        scheduled.project_id, error)
        except Exception as error:      # a fault of ours must not stop the others
            LOG.exception("scheduled operation %s of project %s was not begun", scheduled.id,
                          scheduled.project_id)
            told.failed += self._occurrences.end(held, _S.FAILED, now, _unexpected(error))
        else:
            told.fired += self._occurrences.begin(held, operation_id, now)
            LOG.info("scheduled operation %s of project %s began operation %s", scheduled.id,
                     scheduled.project_id, operation_id)

    # ------------------------------------------------------------------ what follows
    def _retain(self, now: float, told: TickResult) -> None:
        for occurrence, scheduled, trigger in self._occurrences.to_retain(now):
            if told.retained >= self._intervals.at_once:
                told.more = True
                return
            held = self._occurrences.hold(occurrence, now + self._intervals.hold)
            if held is None:
                continue
            try:
                words = self._post_run.carry_out(scheduled, trigger, now)
            except KarborError as error:
                LOG.warning("retention of scheduled operation %s of project %s: %s", scheduled.id,
                            scheduled.project_id, error)
                if error.transient:
                    self._occurrences.postpone(held, now + self._intervals.retry, "")
                    continue
                words = f"failed: {error}"
            except Exception as error:
                LOG.exception("retention of scheduled operation %s of project %s", scheduled.id,
                              scheduled.project_id)
                words = f"failed: {_unexpected(error)}"
            told.retained += self._occurrences.retained(held, words)


def _outcome(operation: Operation | None) -> tuple[OccurrenceState, str] | None:
    """What an operation's end means for its occurrence; None while it goes on."""
    if operation is None:
        return _S.FAILED, "the record of its operation is gone"
    if not operation.state.over:
        return None
    if operation.state is OperationState.DONE:
        return _S.DONE, ""
    if operation.state is OperationState.CANCELLED:
        return _S.FAILED, "its operation was cancelled"
    return _S.FAILED, why(operation.error or {}) or "its operation failed"


def _unexpected(error: Exception) -> str:
    """Its kind only: nobody knows what the text of a stranger's error holds."""
    return f"an unexpected {type(error).__name__}; the log of the engine has more"
