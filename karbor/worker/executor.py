"""Drive operations to their end: those that a command begins, and those off a worker's queue.

What a command knows because a person is there, who has logged in and named a provider, stands in
the operation's own record too: its provider by id, its caller by the sealed credential.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from karbor import config
from karbor.application.admission import Admission
from karbor.application.checkpoint_sync import note_verify
from karbor.application.clouds import Clouds
from karbor.application.execution_context import execution_context
from karbor.domain.errors import Fenced, KarborError, StoreError, TokenRejected
from karbor.domain.operation import Operation, OperationState
from karbor.engine.concurrency_limits import ConcurrencyLimits, Living
from karbor.engine.driver import Driver
from karbor.operations.events import NOBODY, Notifier, run_notifying
from karbor.operations.execution_context import ExecutionContext
from karbor.operations.run import Lookup
from karbor.operations.runner import OperationRunner
from karbor.plugin.protectable import Protectable
from karbor.providers.catalog import ProviderCatalog
from karbor.store.checkpoints import CheckpointRecords
from karbor.store.journal import SqlJournal
from karbor.store.operations import Operations

LOG = logging.getLogger(__name__)


class OperationExecutor:
    """One per process, for all its threads. `drive` and `drive_queued` are what an engine calls."""

    def __init__(self, conf: config.ConfigOpts, providers: ProviderCatalog, clouds: Clouds,
                 database: Any, protectables: Mapping[str, Protectable], *, living: Living,
                 notifier: Notifier = NOBODY) -> None:
        """`living`: see `ConcurrencyLimits`. `notifier` hears of operations' beginnings and
        ends."""
        self._conf = conf
        self._providers = providers
        self._clouds = clouds
        self._records = Operations(database)
        self._journal = SqlJournal(database)
        self._living = living
        self._notifier = notifier
        self._checkpoints = CheckpointRecords(database)
        self._protectables = protectables
        self._noted: dict[str, str] = {}
        self._lookups: dict[str, Lookup] = {}

    def context_of(self, operation: Operation) -> ExecutionContext:
        """Return where the operation takes place: its provider, with the options as they are now.
        Raise NotFound when no file describes its provider any more."""
        return execution_context(self._conf, self._providers.of(operation), self._protectables,
                                 self._clouds, self._providers.of_id)

    def hand_on(self, operation: Operation, lookup: Lookup | None) -> None:
        """Have `drive` use what was looked up for the operation's draft."""
        if lookup is not None:
            self._lookups[operation.id] = lookup

    def take_up(self, operation: Operation) -> Operation:
        """Log in for an operation that another process or thread accepted, and return it with the
        credential that it runs on now. A credential that is over for good lets the operation end,
        with a list of what could not be removed. Raise whatever else keeps it from logging in: the
        operation stays as it is, to be resumed. Call it under the operation's lock."""
        context = self.context_of(operation)
        operation = self._clouds.take_up(operation)
        with suppress(TokenRejected):
            self._clouds.of(operation)
            Admission(context, self._records).tidy(operation)
        self._clouds.trusts.sweep(operation.project_id)
        return operation

    def drive(self, operation_id: str, stopping: threading.Event) -> OperationState | None:
        """Drive an operation that is logged in to its end, or until `stopping` is set: then return
        None. Raise what keeps it from going on for now; it can be resumed."""
        context = self.context_of(self._journal.operation(operation_id))
        runner = OperationRunner(context, self._lookups.pop(operation_id, None))
        driver = Driver(self._journal, runner,
                        places=ConcurrencyLimits(context.limits, self._living),
                        threads=self._conf.limits.workers, carriers=self._conf.limits.carriers)
        state = run_notifying(operation_id, partial(driver.drive, operation_id, stopping),
                              self._journal, self._notifier, self._checkpoints.show)
        if state is not None:
            operation = self._journal.operation(operation_id)
            note_verify(self._checkpoints, operation)
            self._clouds.trusts.end(operation.project_id, operation_id)
            self._noted.pop(operation_id, None)
        return state

    def drive_queued(self, operation_id: str, stopping: threading.Event) -> OperationState | None:
        """Take up an operation off the queue and `drive` it. What keeps it from going on for now is
        raised, and stands among its events."""
        operation = self._journal.operation(operation_id)
        try:
            self.take_up(operation)
            return self.drive(operation_id, stopping)
        except Fenced:
            raise
        except KarborError as error:
            self._note(operation, error)
            raise
        finally:
            self._clouds.forget(operation)
            self._providers.forget(operation)

    def _note(self, operation: Operation, error: KarborError) -> None:
        """Let its owner see why nothing happens; the same is not noted at every try."""
        LOG.warning("operation %s cannot go on for now: %s", operation.id, error)
        if self._noted.get(operation.id) != error.message:
            try:
                self._records.note(operation.id, time.time(),
                                   f"cannot go on for now: {error.message}")
            except StoreError as failure:
                LOG.warning("not written down: operation %s: %s", operation.id, failure)
            else:
                self._noted[operation.id] = error.message
