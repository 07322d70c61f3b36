"""Rounds: what a worker looks for again and again in the journal.

Operations that were accepted are put into their provider's queue; those that nobody drives, though
somebody began to, go back into it. All workers do this at once and need not know of each other:
into a queue an operation gets once, and a live one is protected by its lock.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from karbor.cmd import provider as builtin
from karbor.cmd.providers import Providers
from karbor.domain.errors import Conflict
from karbor.domain.operation import Operation
from karbor.store.operations import Operations

if TYPE_CHECKING:
    from karbor.durable.engine import Engine, Limits

LOG = logging.getLogger(__name__)

GRACE = 120.0       # seconds that whoever accepts an operation has for making its trust
LONGEST = 600.0     # seconds between two tries to drive an operation that fails at once


@dataclass
class _Tries:
    """How often an operation was taken up here, and when it may be again."""

    count: int = 0
    after: float = 0.0


class Rounds:
    """`limits` are those that hold now. Called from one thread."""

    def __init__(self, engine: Engine, records: Operations, providers: Providers,
                 limits: Callable[[], Limits], *, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._records = records
        self._providers = providers
        self._limits = limits
        self._clock = clock
        self._serves: dict[str, Limits] = {}
        self._free: set[str] = set()
        self._tries: dict[str, _Tries] = {}
        self._unserved: set[str] = set()

    def serve(self) -> None:
        """Every provider that there is, under the limits that hold now. Those that are disabled as
        well: nothing new is accepted for them, and what was accepted before is brought to its end.
        """
        limits = self._limits()
        for one in self._providers.list():
            if self._serves.get(one.id) != limits:
                self._engine.serve(one.id, limits)
                self._serves[one.id] = limits

    def pick_up(self) -> None:
        """What was accepted since the last look."""
        for one in self._records.offered(self._clock() - GRACE):
            provider = self._served(one)
            if provider:
                self._engine.enqueue(one.id, provider, one.project_id)
                self._records.queued(one.id)

    def sweep(self, pause: float) -> None:
        """What nobody drives any more: found free twice in a row, because there is a moment between
        taking work from a queue and taking its lock. One that fails at once is tried again after
        longer and longer pauses, of which the first has `pause` seconds."""
        live = {one.id: one for one in self._records.in_queues()}
        free = set(self._engine.orphans(live))
        self._forget(live, free)
        again, self._free = free & self._free, free
        for operation in live.values():     # the oldest first
            if operation.id in again:
                self._take_up(operation, pause)

    def _take_up(self, operation: Operation, pause: float) -> None:
        now, tries = self._clock(), self._tries.setdefault(operation.id, _Tries())
        provider = self._served(operation)
        if not provider or now < tries.after:
            return
        tries.after = now + min(LONGEST, pause * 2 ** tries.count)
        tries.count += 1
        try:
            self._engine.resume(operation.id, provider, operation.project_id)
        except Conflict as conflict:        # another worker was quicker
            LOG.info("%s", conflict)
        else:
            LOG.warning("operation %s was driven by nobody: it is in its queue again",
                        operation.id)

    def _forget(self, live: Mapping[str, Operation], free: set[str]) -> None:
        for operation_id in list(self._tries):
            if operation_id not in live:
                del self._tries[operation_id]
            elif operation_id not in free and self._clock() >= self._tries[operation_id].after:
                del self._tries[operation_id]       # it waits or is driven, as it should

    def _served(self, operation: Operation) -> str:
        """Its provider's id; empty, and said once, when no file describes that any more."""
        provider = str(operation.request.get("provider_id") or builtin.ID)
        if provider not in self._serves:
            self.serve()
        if provider in self._serves:
            return provider
        if operation.id not in self._unserved:
            self._unserved.add(operation.id)
            LOG.warning("operation %s waits: it wants the provider %s, which no file describes",
                        operation.id, provider)
        return ""
