"""Service processes: which there are, and which operations each of them has.

A heartbeat says that a process lives, and its locks say what it has: one that was stopped
(SIGSTOP) or hangs has its locks still, and gives no heartbeat.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from karbor import config
from karbor.domain.service import ServiceProcess
from karbor.durable.locks import Locks, Process, operation_locks
from karbor.store.operations import Operations
from karbor.store.services import Services


class ServiceProcesses:
    """Of all hosts. Safe for threads: each answer has locks, that is a connection, of its own."""

    def __init__(self, conf: config.ConfigOpts, database: Any) -> None:
        self._conf = conf
        self._services = Services(database)
        self._records = Operations(database)

    def all(self) -> Sequence[ServiceProcess]:
        """With their operations. Those that ended without a word have none, and stay among them
        for a while. Raises StoreUnavailable."""
        known = self._services.processes()
        if not known:
            return known
        locks = operation_locks(config.state_path(self._conf), config.database_url(self._conf))
        with closing(locks):
            has = self._operations(locks)
        return [
            replace(
                service_process, operations=tuple(has[service_process.pid, service_process.machine])
            )
            for service_process in known
        ]

    def of(self, process: Process) -> ServiceProcess | None:
        """Its row, if it is one of a service; without its operations."""
        return next((service_process for service_process in self._services.processes()
                     if (service_process.pid, service_process.machine) == process), None)

    def _operations(self, locks: Locks) -> dict[tuple[int, str], list[str]]:
        has: dict[tuple[int, str], list[str]] = defaultdict(list)
        live = self._records.all_live()
        holders = locks.processes(live)
        for operation_id in live:
            if operation_id in holders:
                has[holders[operation_id]].append(operation_id)
        return has
