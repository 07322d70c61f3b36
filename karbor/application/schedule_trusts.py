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


def _unchanged(one: ScheduledOperation) -> ScheduledOperation:
    return one


class ScheduleTrusts:
    """One per process. `clock` is in seconds since the epoch."""

    def __init__(self, service: ServiceContext, records: ScheduledOperations,
                 clock: Callable[[], float]) -> None:
        self._service = service
        self._records = records
        self._clock = clock

    def give(self, one: ScheduledOperation, delegation: Delegation, caller: Caller,
             change: Change = _unchanged) -> ScheduledOperation:
        """Let it run on what `caller` leaves behind from now on, with the `change` that they make
        of it at the same moment; what it had before goes. Raises CredentialError, Conflict,
        NotFound, and what `change` raises; it is as it was then."""
        if ENDING in one.credential:
            raise Conflict(f"scheduled operation {one.id} is being deleted")
        change(one)     # what is wrong with it is said before anything is made in Keystone
        one = self.tidy(one)
        if GOING in one.credential:
            raise Conflict(f"scheduled operation {one.id} changed hands a short time ago, and an "
                           "operation still runs on the rights that it had before",
                           remedy="wait for its end")
        wanted = first_written(delegation, one.credential)
        if COMING not in wanted:
            return self.tidy(self.write(one, lambda now: replace(
                change(now), caller=caller.to_dict(), credential=wanted,
                updated_at=self._clock())))
        one = self.write(one, lambda now: replace(now, credential=wanted, updated_at=self._clock()))
        return self.grant(one, delegation, caller, change)

    def grant(self, one: ScheduledOperation, delegation: Delegation, caller: Caller,
              change: Change = _unchanged) -> ScheduledOperation:
        """Give it what stands as `coming` in its record, and make the `change`; what it had before
        goes. Raises CredentialError, Conflict, NotFound, and what `change` raises; then it is as it
        was, or, if it is new, not there."""
        made: Mapping[str, Any] = one.credential[COMING]
        try:
            made = self._made(one, delegation)
            one = self.write(one, lambda now: replace(
                change(now), caller=caller.to_dict(),
                credential={**made, **_gone(now.credential)}))
        except KarborError:
            self._withdraw(one, made)
            raise
        return self.tidy(one)

    def _made(self, one: ScheduledOperation, delegation: Delegation) -> Mapping[str, Any]:
        wanted: Mapping[str, Any] = one.credential[COMING]
        for _ in range(TRIES):
            try:
                return delegation.grant(wanted)
            except Conflict:        # that very second is another trust's
                wanted = delegation.choose(0.0)
                one = self.write(one, lambda now, w=wanted: replace(     # type: ignore[misc]
                    now, credential={**now.credential, COMING: w}))
        return delegation.grant(wanted)

    def _withdraw(self, one: ScheduledOperation, made: Mapping[str, Any]) -> None:
        """What was made, or may have been, goes; with it a record that never had any rights."""
        try:
            self._end(made)
            now = self._records.show(one.project_id, one.id)
            if "rung" not in now.credential:
                self._records.drop(now.project_id, now.id)
            else:
                self.write(now, lambda it: replace(it, credential=_without(it.credential, COMING)))
        except KarborError as error:
            LOG.warning("scheduled operation %s: what was made for it is removed later: %s",
                        one.id, error)

    def tidy(self, one: ScheduledOperation) -> ScheduledOperation:
        """Remove what is `going`, once no operation runs on it any more."""
        going = one.credential.get(GOING)
        if not going or self.in_use(one.project_id, going):
            return one
        try:
            self._end(going)
        except CredentialError as error:
            LOG.warning("scheduled operation %s: rights that it had still stand: %s", one.id, error)
            if error.transient:
                return one
        return self.write(one, lambda now: replace(now, credential=_without(now.credential,
                                                                            GOING)))

    def end(self, one: ScheduledOperation) -> None:
        """Everything that stands in Keystone for it. Raises a transient CredentialError when that
        cannot be told; what Keystone refuses for good ends by itself."""
        for credential in (one.credential.get(COMING), one.credential.get(GOING), one.credential):
            if credential and credential.get("grant"):
                try:
                    self._end(credential)
                except CredentialError as error:
                    if error.transient:
                        raise
                    LOG.warning("scheduled operation %s: its rights stand until they end: %s",
                                one.id, error)

    def in_use(self, project_id: str, credential: Mapping[str, Any]) -> str:
        """The id of an operation that runs on it."""
        trust = (credential.get("grant") or {}).get("id")
        return next((one.id for one in self._service.records.live(project_id)
                     if trust and (one.credential.get("grant") or {}).get("id") == trust), "")

    def sweep(self) -> None:
        """What killed processes have left, of all projects."""
        for one in self._records.unsettled():
            with suppress(NotFound):        # somebody deletes it just now
                self._settle(one)

    def _settle(self, one: ScheduledOperation) -> None:
        fresh = self._clock() - (one.updated_at or one.created_at) < GRACE
        if ENDING in one.credential:
            if not fresh:
                LOG.warning("scheduled operation %s: the process that deleted it has died", one.id)
                self._finish(one)
        elif COMING in one.credential:
            if not fresh:
                LOG.warning("scheduled operation %s: the process that made its rights has died",
                            one.id)
                self._withdraw(one, one.credential[COMING])
        else:
            self.tidy(one)

    def _finish(self, one: ScheduledOperation) -> None:
        """The deletion of one whose deleter has died."""
        try:
            self.end(one)
        except CredentialError as error:
            LOG.warning("scheduled operation %s is deleted later: %s", one.id, error)
        else:
            self._records.drop(one.project_id, one.id)

    def _end(self, credential: Mapping[str, Any]) -> None:
        if credential.get("grant"):
            self._service.authority.end(credential)

    def write(self, one: ScheduledOperation, change: Change) -> ScheduledOperation:
        """The change, whatever else has changed. Raises NotFound, Conflict."""
        for _ in range(TRIES):
            with suppress(Conflict):
                return self._records.replace(change(one))
            one = self._records.show(one.project_id, one.id)
        return self._records.replace(change(one))


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
