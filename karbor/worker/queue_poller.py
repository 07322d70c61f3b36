"""Rounds: what a worker looks for again and again in the journal.

Operations that were entrusted to the workers and that nobody drives are taken up, as far as the
limits allow: those that were just accepted and those whose driver has died alike. All workers do
this at once and need not know of each other: only one of them gets an operation's lock.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from karbor.domain.errors import Conflict, StoreError
from karbor.providers import builtin
from karbor.providers.catalog import ProviderCatalog
from karbor.store.operations import Entrusted, Operations

if TYPE_CHECKING:
    from karbor.durable.engine import Engine, Limits

LOG = logging.getLogger(__name__)

GRACE = 45.0        # seconds that whoever accepts an operation has for making its trust
LONGEST = 600.0     # seconds between two tries to drive an operation that fails at once


@dataclass
class _Tries:
    """How often an operation was taken up here, and when it may be again."""

    count: int = 0
    after: float = 0.0


class QueuePoller:
    """`limits` are those that hold now. Called from one thread, but for `left`."""

    def __init__(self, engine: Engine, records: Operations, providers: ProviderCatalog,
                 limits: Callable[[], Limits], *, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._records = records
        self._providers = providers
        self._limits = limits
        self._clock = clock
        self._known: set[str] = set()
        self._tries: dict[str, _Tries] = {}
        self._unserved: set[str] = set()

    def look_for_providers(self) -> None:
        """Operations of every provider that there is are driven. Of those that are disabled as
        well: nothing new is accepted for them, and what was accepted before is brought to its end.
        """
        self._known = {info.id for info in self._providers.list()}

    def take_up(self, pause: float) -> None:
        """What nobody drives, as far as the limits allow. One that fails at once is tried again
        after longer and longer pauses, of which the first has `pause` seconds."""
        entrusted = self._records.entrusted(self._clock() - GRACE)
        driven = self._engine.driven([one.id for one in entrusted])
        self._forget({one.id for one in entrusted}, driven)
        of_provider: dict[str, list[Entrusted]] = defaultdict(list)
        for one in entrusted:
            of_provider[one.provider_id or builtin.ID].append(one)
        for provider, its in of_provider.items():
            if self._serves(provider, its):
                self._take_up_of(its, driven, pause)

    def left(self, operation_id: str, error: BaseException | None, pause: float) -> None:
        """This process has stopped driving it. What was the database's fault, or nobody's, is not
        held against the operation."""
        if error is None:
            self._tries.pop(operation_id, None)
        elif isinstance(error, StoreError):
            self._tries[operation_id] = _Tries(0, self._clock() + pause)

    def _take_up_of(self, its: list[Entrusted], driven: Collection[str], pause: float) -> None:
        now, limits = self._clock(), self._limits()
        free = [it for it in its if it.ready and it.id not in driven
                and now >= self._tries.get(it.id, _Tries()).after]
        for entrusted in in_turn(free, [it for it in its if it.id in driven], limits):
            tries = self._tries.setdefault(entrusted.id, _Tries())
            tries.after = now + min(LONGEST, pause * 2 ** min(tries.count, 16))
            tries.count += 1
            try:
                self._engine.begin(entrusted.id, partial(self._has_place, entrusted, its, limits))
            except Conflict as conflict:        # another worker was quicker, or took the last place
                LOG.info("%s", conflict)
                self._tries.pop(entrusted.id, None)
            except StoreError:      # no fault of the operation's: the next look is soon
                self._tries.pop(entrusted.id, None)
                raise
            else:
                LOG.info("operation %s is driven here", entrusted.id)

    def _has_place(self, wanted: Entrusted, its: Collection[Entrusted], limits: Limits) -> bool:
        """Asked while we have its lock. Of two workers that take the last place at once each may
        see the other: then both give way, and do not come back at the same moment."""
        driven = self._engine.driven([it.id for it in its])
        of_project = sum(it.id in driven for it in its if it.project_id == wanted.project_id)
        return len(driven) <= limits.provider and of_project <= limits.project

    def _forget(self, live: Collection[str], driven: Collection[str]) -> None:
        for operation_id, tries in list(self._tries.items()):
            well = operation_id in driven and self._clock() >= tries.after
            if operation_id not in live or well:
                self._tries.pop(operation_id, None)

    def _serves(self, provider: str, its: Iterable[Entrusted]) -> bool:
        """Whether there is such a provider; what waits for one that no file describes any more is
        said once."""
        if provider not in self._known:
            self.look_for_providers()
        if provider in self._known:
            return True
        for it in its:
            if it.id not in self._unserved:
                self._unserved.add(it.id)
                LOG.warning("operation %s waits: it wants the provider %s, which no file describes",
                            it.id, provider)
        return False


def in_turn(free: Iterable[Entrusted], driven: Iterable[Entrusted], limits: Limits
            ) -> Iterator[Entrusted]:
    """Those of one provider that there is room for. The project that has the fewest under way is
    next, so that none waits for all of another one's; within a project the oldest is. Pure."""
    under_way = Counter(entrusted.project_id for entrusted in driven)
    waiting: dict[str, deque[Entrusted]] = defaultdict(deque)
    for entrusted in free:
        waiting[entrusted.project_id].append(entrusted)
    while under_way.total() < limits.provider:
        projects = [project for project in waiting if under_way[project] < limits.project]
        if not projects:
            return
        project = min(projects, key=lambda one: under_way[one])     # the first among equals
        under_way[project] += 1
        yield waiting[project].popleft()
        if not waiting[project]:
            del waiting[project]
