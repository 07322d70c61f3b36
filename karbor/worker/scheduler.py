"""Begin scheduled operations in a thread of the worker.

    with SchedulerThread(service, requests) as thread:
        thread.wake_up()      # something has changed: look at once
"""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType
from typing import Self

from karbor.application.checkpoints import CheckpointRequests
from karbor.application.schedule_trusts import ScheduleTrusts
from karbor.application.scheduled_runs import ScheduledCheckpoints, ScheduledRuns
from karbor.application.scheduler_settings import clock
from karbor.application.service_context import ServiceContext
from karbor.application.trial_logins import TrialLogins
from karbor.domain.errors import KarborError
from karbor.schedule.scheduler import Scheduler
from karbor.store.occurrences import Occurrences, Outcomes
from karbor.store.scheduled_operations import ScheduledOperations

LOG = logging.getLogger(__name__)

SWEEP = 300.0       # seconds between two looks for rights that were left
SHORTEST = 0.05     # seconds between two ticks: others shall have the processor too
DAY = 86400.0


class SchedulerThread:
    """A context manager. It outlives whatever goes wrong in one tick."""

    def __init__(self, service: ServiceContext, requests: CheckpointRequests) -> None:
        self._service = service
        self._records = ScheduledOperations(service.database)
        self._rights = ScheduleTrusts(service, self._records, time.time)
        self._trials = TrialLogins(service)
        self._clock: Scheduler = clock(service.conf, Occurrences(service.database),
                                       Outcomes(service.database),
                                       ScheduledRuns(service, requests, self._trials),
                                       ScheduledCheckpoints(
                                           service, requests, self._trials))
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._go, name="scheduler")
        self._swept = self._warned = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stopping.set()
        self._wake.set()
        self._thread.join()

    def wake_up(self) -> None:
        """From any thread."""
        self._wake.set()

    def _go(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            now = time.time()
            pause = float(self._service.conf.schedule.poll_interval)
            try:
                self._look_after_rights(now)
                self._trials.forget()
                told = self._clock.tick(now)
                if told.fired:
                    LOG.info("begun: %s", told)
                pause = self._clock.sleep_until(now) - time.time()
            except KarborError as error:
                LOG.warning("schedules wait: %s", error)
            except Exception:       # a fault of ours must be seen, and not end every schedule
                LOG.exception("schedules wait")
            self._wake.wait(max(SHORTEST, pause))

    def _look_after_rights(self, now: float) -> None:
        if now - self._swept >= SWEEP:
            self._swept = now
            self._rights.sweep()
        if now - self._warned >= DAY:
            self._warned = now
            days = self._service.conf.schedule.rights_warning_days
            for scheduled_operation in self._records.ending(now + days * DAY):
                LOG.warning(
                    "the rights of scheduled operation %s (%s) of project %s end within %s days: "
                    "its user renews them with `karbor schedule take-over`, or another member of "
                    "the project takes it over",
                    scheduled_operation.id,
                    scheduled_operation.name,
                    scheduled_operation.project_id,
                    days,
                )
