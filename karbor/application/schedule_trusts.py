"""Rights of scheduled operations: made while their user is there, ended when nobody needs them.

What is to be made in Keystone is written down before (`coming` in the credential), what is to be
removed until it is gone (`going`). So whatever a killed process left is found by the next one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from karbor.application.service_context import ServiceContext
from karbor.domain.caller import Caller
from karbor.domain.errors import Conflict, CredentialError, KarborError, NotFound
from karbor.domain.scheduled_operation import ENDING, ScheduledOperation
from karbor.plugin.delegation import Delegation
from karbor.store.scheduled_operations import ScheduledOperations

LOG = logging.getLogger(__name__)

COMING, GOING = "coming", "going"
TRIES = 5               # of what somebody else changed in between
GRACE = 300.0           # seconds that whoever makes rights has, before they are taken for left

Change = Callable[[ScheduledOperation], ScheduledOperation]


def _unchanged(scheduled_operation: ScheduledOperation) -> ScheduledOperation:
    return scheduled_operation


class ScheduleTrusts:
    """One per process. `clock` is in seconds since the epoch."""

    def __init__(self, service: ServiceContext, records: ScheduledOperations,
                 clock: Callable[[], float]) -> None:
        self._service = service
        self._records = records
        self._clock = clock

    def give(self, scheduled_operation: ScheduledOperation, delegation: Delegation, caller: Caller,
             change: Change = _unchanged) -> ScheduledOperation:
        """Let it run on what `caller` leaves behind from now on, with the `change` that they make
        of it at the same moment; what it had before goes. Raises CredentialError, Conflict,
        NotFound, and what `change` raises; it is as it was then."""
        if ENDING in scheduled_operation.credential:
            raise Conflict(f"scheduled operation {scheduled_operation.id} is being deleted")
        change(
            scheduled_operation
        )  # what is wrong with it is said before anything is made in Keystone
        scheduled_operation = self.tidy(scheduled_operation)
        if GOING in scheduled_operation.credential:
            raise Conflict(
                f"scheduled operation {scheduled_operation.id} changed hands a short time ago, and "
                "an operation still runs on the rights that it had before",
                remedy="wait for its end",
            )
        wanted = first_written(delegation, scheduled_operation.credential)
        if COMING not in wanted:
            return self.tidy(self.write(scheduled_operation, lambda now: replace(
                change(now), caller=caller.to_dict(), credential=wanted,
                updated_at=self._clock())))
        scheduled_operation = self.write(
            scheduled_operation,
            lambda now: replace(now, credential=wanted, updated_at=self._clock()),
        )
        return self.grant(scheduled_operation, delegation, caller, change)

    def grant(self, scheduled_operation: ScheduledOperation, delegation: Delegation, caller: Caller,
              change: Change = _unchanged) -> ScheduledOperation:
        """Give it what stands as `coming` in its record, and make the `change`; what it had before
        goes. Raises CredentialError, Conflict, NotFound, and what `change` raises; then it is as it
        was, or, if it is new, not there."""
        made: Mapping[str, Any] = scheduled_operation.credential[COMING]
        try:
            made = self._made(scheduled_operation, delegation)
            scheduled_operation = self.write(scheduled_operation, lambda now: replace(
                change(now), caller=caller.to_dict(),
                credential={**made, **_gone(now.credential)}))
        except KarborError:
            self._withdraw(scheduled_operation, made)
            raise
        return self.tidy(scheduled_operation)

    def _made(
        self, scheduled_operation: ScheduledOperation, delegation: Delegation
    ) -> Mapping[str, Any]:
        wanted: Mapping[str, Any] = scheduled_operation.credential[COMING]
        for _ in range(TRIES):
            try:
                return delegation.grant(wanted)
            except Conflict:        # that very second is another trust's
                wanted = delegation.choose(0.0)
                scheduled_operation = self.write(scheduled_operation, lambda now, w=wanted: replace(     # type: ignore[misc]
                    now, credential={**now.credential, COMING: w}))
        return delegation.grant(wanted)

    def _withdraw(self, scheduled_operation: ScheduledOperation, made: Mapping[str, Any]) -> None:
        """What was made, or may have been, goes; with it a record that never had any rights."""
        try:
            self._end(made)
            now = self._records.show(scheduled_operation.project_id, scheduled_operation.id)
            if "rung" not in now.credential:
                self._records.drop(now.project_id, now.id)
            else:
                self.write(now, lambda it: replace(it, credential=_without(it.credential, COMING)))
        except KarborError as error:
            LOG.warning("scheduled operation %s: what was made for it is removed later: %s",
                        scheduled_operation.id, error)

    def tidy(self, scheduled_operation: ScheduledOperation) -> ScheduledOperation:
        """Remove what is `going`, once no operation runs on it any more."""
        going = scheduled_operation.credential.get(GOING)
        if not going or self.in_use(scheduled_operation.project_id, going):
            return scheduled_operation
        try:
            self._end(going)
        except CredentialError as error:
            LOG.warning(
                "scheduled operation %s: rights that it had still stand: %s",
                scheduled_operation.id,
                error,
            )
            if error.transient:
                return scheduled_operation
        return self.write(
            scheduled_operation,
            lambda now: replace(now, credential=_without(now.credential, GOING)),
        )

    def end(self, scheduled_operation: ScheduledOperation) -> None:
        """Everything that stands in Keystone for it. Raises a transient CredentialError when that
        cannot be told; what Keystone refuses for good ends by itself."""
        for credential in (
            scheduled_operation.credential.get(COMING),
            scheduled_operation.credential.get(GOING),
            scheduled_operation.credential,
        ):
            if credential and credential.get("grant"):
                try:
                    self._end(credential)
                except CredentialError as error:
                    if error.transient:
                        raise
                    LOG.warning("scheduled operation %s: its rights stand until they end: %s",
                                scheduled_operation.id, error)

    def in_use(self, project_id: str, credential: Mapping[str, Any]) -> str:
        """The id of an operation that runs on it."""
        trust = (credential.get("grant") or {}).get("id")
        return next((operation.id for operation in self._service.records.live(project_id)
                     if trust and (operation.credential.get("grant") or {}).get("id") == trust), "")

    def sweep(self) -> None:
        """What killed processes have left, of all projects."""
        for scheduled_operation in self._records.unsettled():
            with suppress(NotFound):        # somebody deletes it just now
                self._settle(scheduled_operation)

    def _settle(self, scheduled_operation: ScheduledOperation) -> None:
        fresh = (
            self._clock() - (scheduled_operation.updated_at or scheduled_operation.created_at)
            < GRACE
        )
        if ENDING in scheduled_operation.credential:
            if not fresh:
                LOG.warning(
                    "scheduled operation %s: the process that deleted it has died",
                    scheduled_operation.id,
                )
                self._finish(scheduled_operation)
        elif COMING in scheduled_operation.credential:
            if not fresh:
                LOG.warning("scheduled operation %s: the process that made its rights has died",
                            scheduled_operation.id)
                self._withdraw(scheduled_operation, scheduled_operation.credential[COMING])
        else:
            self.tidy(scheduled_operation)

    def _finish(self, scheduled_operation: ScheduledOperation) -> None:
        """The deletion of one whose deleter has died."""
        try:
            self.end(scheduled_operation)
        except CredentialError as error:
            LOG.warning(
                "scheduled operation %s is deleted later: %s", scheduled_operation.id, error
            )
        else:
            self._records.drop(scheduled_operation.project_id, scheduled_operation.id)

    def _end(self, credential: Mapping[str, Any]) -> None:
        if credential.get("grant"):
            self._service.authority.end(credential)

    def write(self, scheduled_operation: ScheduledOperation, change: Change) -> ScheduledOperation:
        """The change, whatever else has changed. Raises NotFound, Conflict."""
        for _ in range(TRIES):
            with suppress(Conflict):
                return self._records.replace(change(scheduled_operation))
            scheduled_operation = self._records.show(
                scheduled_operation.project_id, scheduled_operation.id
            )
        return self._records.replace(change(scheduled_operation))


def first_written(delegation: Delegation, now: Mapping[str, Any]) -> Mapping[str, Any]:
    """The credential as it is to be written down before anything is made: with what is to be made,
    or, where that is nothing, complete. Raises NoLastingCredential."""
    chosen = delegation.choose(0.0)
    if delegation.wants(chosen):
        return {**now, COMING: chosen}
    return {**chosen, **_gone(now)}


def _without(credential: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in credential.items() if key != name}


def _gone(credential: Mapping[str, Any]) -> dict[str, Any]:
    """What is to be removed of rights that were replaced; nothing secret."""
    if not credential.get("grant"):
        return {}
    old = {key: value for key, value in credential.items()
           if key not in (COMING, GOING, "registered", "sealed")}
    return {GOING: {**old, "sealed": "", "registered": None}}
