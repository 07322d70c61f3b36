"""Log in with what a schedule runs on before something is begun on it: once, not each time."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from karbor.application.service_context import ServiceContext
from karbor.domain.errors import CredentialError, KeystoneUnreachable, RightsPending
from karbor.domain.scheduled_operation import ScheduledOperation
from karbor.store.scheduled_operations import ScheduledOperations

LOG = logging.getLogger(__name__)

GOOD_SECONDS = 5.0
"""So long a login that succeeded counts, within one tick: it begins what is due, and deletes what
retention does not keep, on one trial. What is removed in Keystone meanwhile is believed so long."""

SILENT_SECONDS = 30.0
"""So long nobody is asked again when Keystone does not answer: the thread that begins schedules
waits for it once, not once for each of them."""


class TrialLogins:
    """Of one process. Used from the thread that begins schedules."""

    def __init__(self, service: ServiceContext,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._service = service
        self._clock = clock
        self._good: dict[str, float] = {}
        self._silent_since = float("-inf")

    def forget(self) -> None:
        """Believe no earlier trial any more: what has been removed in Keystone since the last tick
        must be noticed before anything is accepted on it."""
        self._good.clear()

    def attempt(self, scheduled_operation: ScheduledOperation) -> None:
        """Log in with what it runs on. Raises CredentialError: RightsPending where that has been
        replaced meanwhile. While no Keystone answers, nothing is known: the operation is accepted,
        and waits for Keystone."""
        now = self._clock()
        self._good = {key: at for key, at in self._good.items() if now - at < GOOD_SECONDS}
        key = _digest(scheduled_operation.credential)
        if key in self._good or now - self._silent_since < SILENT_SECONDS:
            return
        try:
            self._service.authority.try_credential(scheduled_operation.credential)
        except KeystoneUnreachable as error:
            self._silent_since = self._clock()
            LOG.warning("scheduled operation %s: what it runs on could not be tried: %s",
                        scheduled_operation.id, error)
        except CredentialError:
            stands = ScheduledOperations(self._service.database).show(
                scheduled_operation.project_id, scheduled_operation.id)
            if stands.credential != scheduled_operation.credential:
                raise RightsPending("the rights that it shall run on have just been changed"
                                    ) from None
            raise
        else:
            self._good[key] = self._clock()


def _digest(credential: Mapping[str, Any]) -> str:
    """Return what tells credentials apart and is none."""
    return hashlib.sha256(json.dumps(credential, sort_keys=True).encode()).hexdigest()
