"""Collects the garbage of all vaults, in a thread of the worker, by its own rhythm."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from karbor import config
from karbor.application.vault_collection import collect_vaults
from karbor.domain.errors import KarborError
from karbor.providers.catalog import ProviderCatalog
from karbor.vault.collection import CollectionReport

LOG = logging.getLogger(__name__)


class VaultCollector:
    """`look` begins a round when it is time for one; `stop` ends it between two projects. Workers
    that share banks share the work: a vault that another one has just collected is left out."""

    def __init__(self, conf: config.ConfigOpts, providers: ProviderCatalog, *,
                 clock: Callable[[], float] = time.time) -> None:
        self._conf = conf
        self._providers = providers
        self._clock = clock
        self._next_at = 0.0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def look(self) -> None:
        """Begin a round in a thread of its own, if it is time to and none is under way."""
        interval = self._conf.vault_collection_interval
        if not interval or self._clock() < self._next_at or (
                self._thread is not None and self._thread.is_alive()):
            return
        self._next_at = self._clock() + interval
        self._thread = threading.Thread(target=self._round, args=(interval,),
                                        name="vault-collector")
        self._thread.start()

    def stop(self) -> None:
        """Return when the round that is under way has come to the end of its project."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _round(self, interval: float) -> None:
        for info in self._providers.list():
            try:
                for project_id, result in collect_vaults(
                        self._providers.open(info), pause=interval,
                        stopping=self._stopping.is_set, clock=self._clock):
                    _tell(info.name, project_id, result)
            except KarborError as error:
                LOG.warning("the vaults of provider %s cannot be collected: %s", info.name, error)
            except Exception:       # a fault of ours must be seen, and not end the worker
                LOG.exception("collecting the vaults of provider %s failed", info.name)


def _tell(provider: str, project_id: str, result: CollectionReport | KarborError) -> None:
    if isinstance(result, KarborError):
        LOG.warning("the vault of project %s (provider %s) was not collected: %s", project_id,
                    provider, result)
    elif result.condemned_packs or result.removed_packs or result.rewritten_packs:
        LOG.info("the vault of project %s (provider %s): %d packs condemned, %d removed, %d "
                 "written anew, %d bytes freed", project_id, provider, result.condemned_packs,
                 result.removed_packs, result.rewritten_packs, result.freed_bytes)
