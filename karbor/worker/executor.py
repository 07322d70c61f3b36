"""Serving: drives whatever operation of whatever project comes off a queue.

What a command knows because a person is there, who has logged in and named a provider, stands here
in the operation's own record: its provider by id, its caller by the sealed credential.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from functools import partial
from typing import Any

from karbor import config
from karbor.application.checkpoint_sync import note_verify
from karbor.application.clouds import Clouds
from karbor.application.execution_context import execution_context
from karbor.domain.errors import Fenced, KarborError, StoreError, TokenRejected
from karbor.domain.operation import Operation, OperationState
from karbor.engine.concurrency_limits import ConcurrencyLimits, Living
from karbor.engine.driver import Driver
from karbor.operations.admission import Admission
from karbor.operations.events import NOBODY, Notifier, run_notifying
from karbor.operations.execution_context import ExecutionContext
from karbor.operations.runner import OperationRunner
from karbor.plugin import registry
from karbor.providers.catalog import ProviderCatalog
from karbor.store.checkpoints import CheckpointRecords
from karbor.store.journal import SqlJournal
from karbor.store.operations import Operations

LOG = logging.getLogger(__name__)


class OperationExecutor:
    """`drive` is what the engine calls, from several threads."""

    def __init__(self, conf: config.ConfigOpts, providers: ProviderCatalog, clouds: Clouds,
                 database: Any, *, living: Living, notifier: Notifier = NOBODY) -> None:
        """`living`: see `Places`. `notifier` hears of operations' beginnings and ends."""
        self._conf = conf
        self._providers = providers
        self._clouds = clouds
        self._records = Operations(database)
        self._journal = SqlJournal(database)
        self._living = living
        self._notifier = notifier
        self._checkpoints = CheckpointRecords(database)
        self._remembered = self._checkpoints.show
        self._protectables = registry.protectables()
        self._told: dict[str, str] = {}

    def drive(self, operation_id: str, stopping: threading.Event) -> OperationState | None:
        """To its end, or until `stopping` is set. Raises what keeps it from going on for now; then
        it stays as it is, to be resumed."""
        operation = self._journal.operation(operation_id)
        try:
            return self._driven(operation, stopping)
        except Fenced:
            raise
        except KarborError as error:
            self._tell(operation, error)
            raise
        finally:
            self._clouds.forget(operation)
            self._providers.forget(operation)

    def _driven(self, operation: Operation, stopping: threading.Event) -> OperationState | None:
        here = execution_context(
            self._conf,
            self._providers.of(operation),
            self._protectables,
            self._clouds,
            self._providers.of_id,
        )
        operation = self._taken_up(operation, here)
        driver = Driver(
            self._journal,
            OperationRunner(here),
            places=ConcurrencyLimits(here.limits, self._living),
            threads=self._conf.limits.workers,
            carriers=self._conf.limits.carriers,
        )
        state = run_notifying(
            operation.id,
            partial(driver.drive, operation.id, stopping),
            self._journal,
            self._notifier,
            self._remembered,
        )
        if state is not None:
            note_verify(self._checkpoints, self._journal.operation(operation.id))
            self._clouds.trusts.end(operation.project_id, operation.id)
            self._told.pop(operation.id, None)
        return state

    def _taken_up(self, operation: Operation, here: ExecutionContext) -> Operation:
        """Log in first. A credential that is over for good lets the operation end, with a list of
        what could not be removed; whatever else fails leaves it as it is."""
        operation = self._clouds.take_up(operation)
        with suppress(TokenRejected):
            self._clouds.of(operation)
            Admission(here, self._records).tidy(operation)
        self._clouds.trusts.sweep(operation.project_id)
        return operation

    def _tell(self, operation: Operation, error: KarborError) -> None:
        """Its owner sees why nothing happens; the same is not told at every try."""
        LOG.warning("operation %s cannot go on for now: %s", operation.id, error)
        if self._told.get(operation.id) != error.message:
            try:
                self._records.note(operation.id, time.time(),
                                   f"cannot go on for now: {error.message}")
            except StoreError as failure:
                LOG.warning("not written down: operation %s: %s", operation.id, failure)
            else:
                self._told[operation.id] = error.message
