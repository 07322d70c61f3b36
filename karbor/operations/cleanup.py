"""Sweeping: what deletions had to leave in the cloud is removed by later operations.

It is housekeeping beside the operation that somebody asked for: whatever goes wrong is told, and
never raised.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from karbor.checkpoints.deferred_deletions import DeferredDeletions
from karbor.domain.errors import CloudError, KarborError, PluginFault
from karbor.operations.execution_context import Provider
from karbor.plugin.cloud import Cloud

LOG = logging.getLogger(__name__)


@dataclass
class CleanupResult:
    """The ids of what has gone, and what kept others from being removed."""

    gone: list[str] = field(default_factory=list)
    obstacles: list[str] = field(default_factory=list)

    @property
    def why(self) -> str:
        """Empty where nothing went wrong."""
        return "; ".join(dict.fromkeys(self.obstacles))


def sweep(provider: Provider, project_id: str, connect: Callable[[], Cloud]) -> CleanupResult:
    """Remove what earlier deletions had to leave, where nothing is built upon it any more.

    `connect` is called only where something was left. Raises nothing."""
    swept = CleanupResult()
    try:
        deferred_deletions = DeferredDeletions(provider.bank, project_id)
        left = dict(deferred_deletions.all())
        if left:
            _delete_deferred(left, provider, connect(), deferred_deletions, swept)
    except KarborError as error:
        swept.obstacles.append(str(error))
    except Exception as error:      # a bug in a plugin must not hinder what was asked for
        LOG.exception("sweeping failed")
        swept.obstacles.append(f"unexpected {type(error).__name__}: {error}")
    return swept


def _delete_deferred(left: dict[str, Mapping[str, Any]], provider: Provider, cloud: Cloud,
                     deferred_deletions: DeferredDeletions, swept: CleanupResult) -> None:
    before = -1
    while len(swept.gone) > before:     # a chain is freed from its end, one after another
        before = len(swept.gone)
        for name, facts in list(left.items()):
            protection = provider.protections.get(facts["type"])
            try:
                gone = protection is not None and protection.delete_deferred(facts, cloud)
            except (CloudError, PluginFault) as error:
                if error.transient:
                    raise               # the others would only wait in vain as well
                swept.obstacles.append(str(error))
                del left[name]
                continue
            if gone:
                deferred_deletions.remove(name)
                swept.gone.append(facts["id"])
                del left[name]
