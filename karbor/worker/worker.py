"""Worker: a process that drives the operations of all projects. Any number of them are equal.

    with Worker(conf, providers, clouds, database) as worker:
        worker.wait()

Whoever accepts an operation needs none of this: `Admission.enter(…, offered=True)` writes it down,
and within `pickup_interval` some worker that has room for it takes it up.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Collection
from functools import partial
from types import TracebackType
from typing import Any, Self

from karbor import config
from karbor.application.clouds import Clouds
from karbor.domain.errors import KarborError
from karbor.domain.operation import OperationState
from karbor.domain.service import WORKER, Service, ServiceProcess, ServiceStatus
from karbor.durable.engine import Engine, Limits
from karbor.durable.locks import machine, operation_locks
from karbor.operations.events import NOBODY, Notifier
from karbor.plugin import registry
from karbor.providers.catalog import ProviderCatalog
from karbor.store.checkpoints import CheckpointRecords
from karbor.store.journal import SqlJournal
from karbor.store.operations import Operations
from karbor.store.services import Services
from karbor.worker.executor import OperationExecutor
from karbor.worker.queue_poller import GRACE, QueuePoller
from karbor.worker.vault_collector import VaultCollector

LOG = logging.getLogger(__name__)
JITTER = 0.2        # of the pause between two looks: workers do not go round in step
TRUSTS_EVERY_SECONDS = 20.0     # between two looks for trusts that were left


class Worker:
    """A context manager; one at a time in a process. What it is given stays its giver's, to be
    closed after it. `clouds` is to be made with `unattended`.

    Its heartbeat is a row of `services`. While that is disabled it takes nothing new, and finishes
    what it has.
    """

    def __init__(self, conf: config.ConfigOpts, providers: ProviderCatalog, clouds: Clouds,
                 database: Any, *, clock: Callable[[], float] = time.time,
                 notifier: Notifier = NOBODY) -> None:
        self._conf = conf
        self._database = database
        self._clouds = clouds
        self._locks = operation_locks(config.state_path(conf), config.database_url(conf))
        executor = OperationExecutor(conf, providers, clouds, database, registry.protectables(),
                                     living=self._living, notifier=notifier)
        self._records = Operations(database)
        self._journal = SqlJournal(database)
        self._trusts: threading.Thread | None = None
        self._trusts_at = 0.0
        self._process: ServiceProcess | None = None
        self._services = Services(database)
        self._checkpoints = CheckpointRecords(database)
        self._clock = clock
        self._engine = Engine(self._locks, self._standing, executor.drive_queued,
                              left=self._left)
        self._rounds = QueuePoller(
            self._engine, self._records, providers, self._limits, clock=clock
        )
        self._collector = VaultCollector(conf, providers, clock=clock)
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._loop: threading.Thread | None = None
        self._enabled = True
        self._rereading = threading.Event()

    def __enter__(self) -> Self:
        """Raises StoreError, BadInput."""
        try:
            self.beat()
            self._rounds.look_for_providers()
        except BaseException:
            self.stop()
            raise
        self._loop = threading.Thread(target=self._go_round, name="rounds")
        self._loop.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Until somebody has called `stop`; False when `timeout` seconds passed before."""
        return self._stopping.wait(timeout)

    def stop(self) -> None:
        """Take nothing more; returns when everything under way is written down. What is not over
        goes on in another worker. From any thread, also twice."""
        self._stopping.set()
        self._wake.set()
        if self._loop is not None:
            self._loop.join()
        if self._trusts is not None:
            self._trusts.join()
        self._collector.stop()
        self._engine.stop()
        self._locks.close()
        if self._process is not None:
            self._tried("saying that the worker has ended",
                        partial(self._services.end_process, self._process))

    def reload(self) -> None:
        """Read the configuration again, as far as it may change (limits, intervals), and the files
        of providers. May be called by the handler of a signal: the work is done soon after, and
        what is wrong with a file is logged."""
        self._rereading.set()
        self._wake.set()

    def wake_up(self) -> None:
        """Look for what was accepted at once: for whoever accepts operations in this process."""
        self._wake.set()

    def beat(self) -> Service:
        """A sign of life; how the service stands. What operators want of it is done."""
        host, now = config.host(self._conf), self._clock()
        service = self._services.beat(WORKER, host, now)
        self._process = ServiceProcess(WORKER, host, machine(), os.getpid(), now)
        self._services.beat_process(self._process)
        enabled = service.status is ServiceStatus.ENABLED
        if enabled != self._enabled:
            LOG.warning("the service was %s%s", service.status,
                        f": {service.disabled_reason}" if service.disabled_reason else "")
            self._enabled = enabled
        return service

    # ------------------------------------------------------------------ round and round
    def _go_round(self) -> None:
        beat_at = sweep_at = 0.0
        while not self._stopping.is_set():
            self._wake.clear()
            now = time.monotonic()
            if self._rereading.is_set():
                self._rereading.clear()
                self._tried("reading the configuration again", self._reread)
                sweep_at = 0.0
            if now >= beat_at:
                beat_at = now + self._conf.report_interval
                self._tried("the heartbeat", self.beat)
            if self._enabled and now >= sweep_at:
                sweep_at = now + self._conf.sweep_interval
                self._tried("looking for providers", self._rounds.look_for_providers)
                self._tried("settling checkpoints", self._settle)
                self._tried("looking for trusts that were left", self._sweep_trusts)
                self._tried("collecting garbage", self._collector.look)
            if self._enabled:
                self._tried("looking for what nobody drives",
                            lambda: self._rounds.take_up(self._conf.sweep_interval))
            self._wake.wait(self._conf.pickup_interval
                            * random.uniform(1.0 - JITTER, 1.0 + JITTER))  # noqa: S311 - no secret

    @staticmethod
    def _tried(what: str, call: Callable[[], object]) -> None:
        """A worker outlives what goes wrong in one round: the next one is soon."""
        try:
            call()
        except KarborError as error:
            LOG.warning("%s failed: %s", what, error)
        except Exception:       # a fault of ours must be seen, and not end every other operation
            LOG.exception("%s failed", what)

    def _settle(self) -> None:
        self._checkpoints.settle()
        # Whoever accepts an operation has GRACE to write it down.
        self._checkpoints.give_up(self._clock() - 2 * GRACE)

    def _sweep_trusts(self) -> None:
        """Of operations that were over when their process died."""
        if self._clock() < self._trusts_at or (self._trusts is not None
                                               and self._trusts.is_alive()):
            return
        projects = self._records.projects_with_standing_trusts()
        self._trusts_at = self._clock() + TRUSTS_EVERY_SECONDS
        if projects:        # in a thread of its own: Keystone may take its time
            self._trusts = threading.Thread(target=self._end_trusts, args=(projects,),
                                            name="trusts")
            self._trusts.start()

    def _end_trusts(self, projects: Collection[str]) -> None:
        for project_id in projects:
            if not self._stopping.is_set():
                self._tried("removing trusts", partial(self._clouds.trusts.sweep, project_id))

    def _living(self, operation_ids: Collection[str]) -> Collection[str]:
        return self._locks.holders(operation_ids)

    def _standing(self, operation_id: str) -> OperationState:
        return self._journal.operation(operation_id).state

    def _left(self, operation_id: str, error: BaseException | None) -> None:
        self._rounds.left(operation_id, error, self._conf.sweep_interval)
        self._wake.set()        # there is room for another one

    def _reread(self) -> None:
        config.reread(self._conf)
        LOG.info("the configuration was read again")

    def _limits(self) -> Limits:
        of = self._conf.limits
        return Limits(of.provider_operations,
                      min(of.project_operations, of.provider_operations))
