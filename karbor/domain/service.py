"""Service: a process of Karbor that runs for others, as operators see it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

WORKER = "karbor-operationengine"
"""The name of workers: what drives operations was called so in Karbor 1.x."""


class ServiceStatus(StrEnum):
    ENABLED = "enabled"
    DISABLED = "disabled"       # takes nothing new; what it has it finishes


@dataclass(frozen=True)
class ServiceProcess:
    """One process of a service, with the operations that it has right now.

    One that gives no sign of life and has operations is stopped or hangs (a dead one has none):
    nobody else can go on with them before somebody ends it.
    """

    binary: str
    host: str       # the service's
    machine: str    # its host name, which may be another word for the same
    pid: int
    updated_at: float = 0.0
    operations: tuple[str, ...] = ()

    def up(self, now: float, down_time: float) -> bool:
        """Return whether it was heard of within `down_time` seconds."""
        return now - self.updated_at <= down_time


@dataclass(frozen=True)
class Service:
    """One row of `os-services`: all processes of one kind on one host, which share it.

    `updated_at` is the last heartbeat of any of them, in seconds since the epoch.
    """

    id: int
    binary: str
    host: str
    status: ServiceStatus = ServiceStatus.ENABLED
    disabled_reason: str | None = None
    updated_at: float = 0.0

    def up(self, now: float, down_time: float) -> bool:
        """Return whether one of them was heard of within `down_time` seconds."""
        return now - self.updated_at <= down_time
