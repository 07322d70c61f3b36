"""Wiring of schedules: the clock of a process, and what the configuration allows triggers."""

from __future__ import annotations

from karbor.config import ConfigOpts
from karbor.schedule.properties import Limits
from karbor.schedule.retention import Retention, RetentionCheckpoints
from karbor.schedule.scheduler import OperationStarter, Scheduler, SchedulerIntervals
from karbor.store.occurrences import Occurrences, Outcomes


def limits(conf: ConfigOpts) -> Limits:
    """What [schedule] allows triggers."""
    return Limits(min_interval=conf.schedule.min_interval,
                  min_window=conf.schedule.min_window_time,
                  max_window=conf.schedule.max_window_time)


def clock(
    conf: ConfigOpts,
    occurrences: Occurrences,
    outcomes: Outcomes,
    operation_starter: OperationStarter,
    checkpoints: RetentionCheckpoints,
) -> Scheduler:
    """For one process, whose loop calls `tick` and sleeps until `sleep_until`."""
    allowed = limits(conf)
    return Scheduler(
        occurrences,
        operation_starter=operation_starter,
        outcomes=outcomes,
        post_run=Retention(checkpoints),
        limits=allowed,
        intervals=SchedulerIntervals.within(
            allowed, poll=conf.schedule.poll_interval, history=conf.schedule.history_days * 86400.0
        ),
    )
