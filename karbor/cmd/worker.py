"""Worker: a process that drives the operations of all projects. Any number of them are equal.

    with Worker(conf, providers, clouds, database) as worker:
        worker.wait()

Whoever accepts an operation needs none of this: `Desk.enter(…, offered=True)` writes it down, and
within `pickup_interval` some worker puts it into its provider's queue.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from karbor import config
from karbor.cmd.clouds import Clouds
from karbor.cmd.providers import Providers
from karbor.cmd.rounds import GRACE, Rounds
from karbor.cmd.serving import Serving
from karbor.domain.errors import KarborError
from karbor.domain.service import WORKER, Service, ServiceStatus
from karbor.operations.telling import NOBODY, Notifier
from karbor.store.checkpoints import CheckpointRecords
from karbor.store.operations import Operations
from karbor.store.services import Services

if TYPE_CHECKING:
    from karbor.durable.engine import Engine, Limits

LOG = logging.getLogger(__name__)


class Worker:
    """A context manager; one at a time in a process. What it is given stays its giver's, to be
    closed after it. `clouds` is to be made with `unattended`.

    Its heartbeat is a row of `services`. While that is disabled it takes nothing new, and finishes
    what it has.
    """

    def __init__(self, conf: config.ConfigOpts, providers: Providers, clouds: Clouds,
                 database: Any, *, clock: Callable[[], float] = time.time,
                 notifier: Notifier = NOBODY) -> None:
        self._conf = conf
        self._providers = providers
        self._database = database
        self._serving = Serving(conf, providers, clouds, database, living=self._living,
                                notifier=notifier)
        self._records = Operations(database)
        self._services = Services(database)
        self._checkpoints = CheckpointRecords(database)
        self._clock = clock
        self._engine: Engine | None = None
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._loop: threading.Thread | None = None
        self._enabled = True
        self._rereading = threading.Event()

    def __enter__(self) -> Self:
        """Raises StoreError, BadInput."""
        from karbor.durable.engine import Engine  # noqa: PLC0415 - DBOS: a third of a second

        engine = Engine(config.state_path(self._conf), self._serving.drive, serves={},
                        database=config.database_url(self._conf)).__enter__()
        self._engine = engine
        try:
            rounds = Rounds(engine, self._records, self._providers, self._limits,
                            clock=self._clock)
            self.beat()
            rounds.serve()
        except BaseException:
            self.stop()
            raise
        self._loop = threading.Thread(target=self._go_round, args=(rounds,), name="rounds")
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
        if self._engine is not None:
            self._engine.stop()

    def reload(self) -> None:
        """Read the configuration again, as far as it may change (limits, intervals), and the files
        of providers. May be called by the handler of a signal: the work is done soon after, and
        what is wrong with a file is logged."""
        self._rereading.set()
        self._wake.set()

    def hurry(self) -> None:
        """Look for what was accepted at once: for whoever accepts operations in this process."""
        self._wake.set()

    def beat(self) -> Service:
        """A sign of life; how the service stands. What operators want of it is done."""
        service = self._services.beat(WORKER, config.host(self._conf), self._clock())
        enabled = service.status is ServiceStatus.ENABLED
        if self._engine is not None and enabled != self._enabled:
            LOG.warning("the service was %s%s", service.status,
                        f": {service.disabled_reason}" if service.disabled_reason else "")
            (self._engine.go_on if enabled else self._engine.pause)()
            self._enabled = enabled
        return service

    # ------------------------------------------------------------------ round and round
    def _go_round(self, rounds: Rounds) -> None:
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
                self._tried("looking for providers", rounds.serve)
                self._tried("looking for what nobody drives",
                            lambda: rounds.sweep(self._conf.sweep_interval))
                self._tried("settling checkpoints", self._settle)
            if self._enabled:
                self._tried("looking for what was accepted", rounds.pick_up)
            self._wake.wait(self._conf.pickup_interval)

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

    def _living(self, operation_ids: Collection[str]) -> Collection[str]:
        return operation_ids if self._engine is None else self._engine.driven(operation_ids)

    def _reread(self) -> None:
        config.reread(self._conf)
        LOG.info("the configuration was read again")

    def _limits(self) -> Limits:
        from karbor.durable.engine import Limits  # noqa: PLC0415 - as above

        of = self._conf.limits
        return Limits(of.provider_operations,
                      min(of.project_operations, of.provider_operations))
