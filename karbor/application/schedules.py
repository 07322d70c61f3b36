"""Carry out the requests of the API about triggers and scheduled operations."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from karbor.application.checkpoints import CheckpointRequests
from karbor.application.schedule_trusts import COMING, Change, ScheduleTrusts, first_written
from karbor.application.scheduled_runs import ScheduledCheckpoints
from karbor.application.scheduler_settings import limits
from karbor.application.service_context import Requester, ServiceContext
from karbor.domain.errors import (
    Conflict,
    CredentialError,
    Forbidden,
    InUse,
    KeystoneUnreachable,
    NoLastingCredential,
    NotFound,
)
from karbor.domain.listing import Listing, Page
from karbor.domain.occurrence import Occurrence
from karbor.domain.retention import Verdict
from karbor.domain.scheduled_operation import ScheduledOperation
from karbor.domain.trigger import Trigger
from karbor.plugin.delegation import Delegation
from karbor.schedule.retention import Retention
from karbor.schedule.scheduled_operations import ScheduleRequests, ScheduleUpdate
from karbor.schedule.times import next_after
from karbor.schedule.triggers import TriggerRequests
from karbor.store.occurrences import Occurrences
from karbor.store.scheduled_operations import ScheduledOperations
from karbor.store.triggers import Triggers

DAY = 86400.0


class Schedules:
    """One per process, for all its threads. `wake_up` wakes the scheduler."""

    def __init__(self, service: ServiceContext, requests: CheckpointRequests,
                 wake_up: Callable[[], None] = lambda: None,
                 clock: Callable[[], float] = time.time) -> None:
        self._service = service
        self._wake_up = wake_up
        self._clock = clock
        self.triggers = Triggers(service.database)
        self.records = ScheduledOperations(service.database)
        self._occurrences = Occurrences(service.database)
        self._trigger_requests = TriggerRequests(self.triggers, limits(service.conf))
        self._admission = ScheduleRequests(
            self.records,
            triggers=self.triggers,
            plans=service.plans,
            occurrences=self._occurrences,
        )
        self._retention = Retention(ScheduledCheckpoints(service, requests))
        self.rights = ScheduleTrusts(service, self.records, clock)

    # ------------------------------------------------------------------ triggers
    def coming(self, trigger: Trigger, count: int) -> Sequence[float]:
        """When it is due next. Raises BadInput if that cannot be told."""
        return self._trigger_requests.coming(trigger.project_id, trigger.id, self._clock(), count)

    def create_trigger(self, project_id: str, *, name: str, type: str,
                       properties: Mapping[str, Any]) -> Trigger:
        """Raises BadInput."""
        return self._trigger_requests.create(
            project_id, name=name, type=type, properties=properties, now=self._clock())

    def update_trigger(self, trigger: Trigger, *, name: str | None,
                       properties: Mapping[str, Any] | None) -> Trigger:
        """Raises BadInput, NotFound."""
        changed = self._trigger_requests.update(
            trigger.project_id, trigger.id, now=self._clock(), name=name, properties=properties)
        self._wake_up()
        return changed

    # ------------------------------------------------------------------ scheduled operations
    def create(
        self, who: Requester, operation_type: str, options: ScheduleUpdate
    ) -> ScheduledOperation:
        """With rights of its own, of whoever asks. Raises BadInput, NotFound, CredentialError;
        nothing is left behind then."""
        with self._delegation(who) as delegation:
            made = self._admission.create(
                who.caller.project_id, operation_type, replace(
                    options, caller=who.caller.to_dict(), credential=first_written(delegation, {})),
                self._clock())
            if COMING in made.credential:
                made = self.rights.grant(made, delegation, who.caller)
        self._wake_up()
        return made

    def update(
        self,
        who: Requester,
        scheduled_operation: ScheduledOperation,
        options: ScheduleUpdate,
        enabled: bool | None,
    ) -> ScheduledOperation:
        """Whoever changes what it does, does it in their own name from then on; its owner renews
        rights that end soon, where their login allows it. Raises BadInput, NotFound, Conflict,
        Forbidden, CredentialError; it is as it was then."""
        mine = who.caller.user_id == scheduled_operation.caller.get("user_id")
        home = who.caller.project_id == scheduled_operation.project_id
        now = self._clock()
        new_name = (
            not mine
            and options.operation_definition is not None
            and dict(options.operation_definition) != dict(scheduled_operation.operation_definition)
        )
        renew = (
            mine
            and self.ends_soon(scheduled_operation)
            and home
        )

        def change(it: ScheduledOperation) -> ScheduledOperation:
            return self._admission.changed(it, options, enabled, now)

        if new_name:
            changed = self._given(who, scheduled_operation, change)
        elif renew:
            try:
                changed = self._given(who, scheduled_operation, change)
            except NoLastingCredential:     # those that it has may still be good
                changed = self._on_its_rights(who, scheduled_operation, change, renew=False)
        else:
            changed = self._on_its_rights(who, scheduled_operation, change, renew=mine and home)
        self._wake_up()
        return changed

    def _on_its_rights(self, who: Requester, scheduled_operation: ScheduledOperation,
                       change: Change, *, renew: bool) -> ScheduledOperation:
        """The change, where what it runs on works: one that is not paused would fail at its next
        time. `renew`: who asks gives it new rights in place of dead ones. Raises
        NoLastingCredential, a transient CredentialError, and what `change` raises."""
        wanted = change(scheduled_operation)
        if wanted.enabled and "rung" in scheduled_operation.credential:
            try:
                self._service.authority.try_credential(scheduled_operation.credential)
            except CredentialError as error:
                if renew and not isinstance(error, KeystoneUnreachable):
                    return self._given(who, scheduled_operation, change)
                if error.transient:
                    raise
                raise NoLastingCredential(
                    f"scheduled operation {scheduled_operation.id} can run no more: what it runs "
                    f"on was tried, and {error.message}",
                    remedy="let it run on rights of your own (karbor schedule take-over), or pause "
                           "it") from None
        return self.records.replace(wanted)

    def take_over(
        self, who: Requester, scheduled_operation: ScheduledOperation
    ) -> ScheduledOperation:
        """It runs on the rights of whoever asks from now on. What runs goes on with those that it
        has. Raises Forbidden, CredentialError, Conflict, NotFound; it is as it was then."""
        return self._given(who, scheduled_operation, lambda it: it)

    def _given(self, who: Requester, scheduled_operation: ScheduledOperation, change: Change
               ) -> ScheduledOperation:
        self._require_project(who, scheduled_operation)
        with self._delegation(who) as delegation:
            return self.rights.give(scheduled_operation, delegation, who.caller, change)

    def run(self, scheduled_operation: ScheduledOperation) -> Occurrence:
        """Now, beside its times. Raises BadInput when it is paused, Conflict while it runs."""
        asked = self._admission.run_now(
            scheduled_operation.project_id, scheduled_operation.id, self._clock()
        )
        self._wake_up()
        return asked

    def delete(self, scheduled_operation: ScheduledOperation) -> None:
        """Its checkpoints stay. While an operation runs on its rights it is paused only: raises
        Conflict then, which says so. Raises a transient CredentialError when Keystone cannot be
        heard; it is as it was then."""
        paused = self._admission.pause(
            scheduled_operation.project_id, scheduled_operation.id, self._clock()
        )
        try:
            # Nothing begins on its rights from here on, so that none of them ends under it.
            ending = self.records.begin_end(
                scheduled_operation.project_id, scheduled_operation.id, self._clock()
            )
        except InUse as error:
            raise Conflict(
                f"The scheduled operation {scheduled_operation.id} can not be deleted yet: "
                f"{error.message}. It is paused now",
                remedy="delete it again when that operation has ended",
            ) from error
        try:
            self.rights.end(ending)
        except CredentialError:
            now = self._clock()
            self.rights.write(
                ending,
                lambda it: self._admission.changed(
                    replace(it, credential=paused.credential),
                    ScheduleUpdate(),
                    scheduled_operation.enabled,
                    now,
                ),
            )
            raise
        with suppress(NotFound):        # a worker that took this process for dead was quicker
            self._admission.delete(scheduled_operation.project_id, scheduled_operation.id)

    def occurrences(
        self, scheduled_operation: ScheduledOperation, listing: Listing
    ) -> Page[Occurrence]:
        """What came of its due times. Raises NotFound, BadInput."""
        return self._occurrences.list(
            scheduled_operation.project_id, scheduled_operation.id, listing
        )

    def retention(self, scheduled_operation: ScheduledOperation) -> Sequence[Verdict]:
        """What would be kept, what would go, and why. Raises BankError, BadInput, NotFound."""
        trigger = self.triggers.show(
            scheduled_operation.project_id, scheduled_operation.trigger_id
        )
        return self._retention.preview(scheduled_operation, trigger, self._clock())

    def next_run(self, scheduled_operation: ScheduledOperation) -> float | None:
        """When it is due next; None when it is paused or has ended."""
        if not scheduled_operation.enabled or scheduled_operation.next_due_at is None:
            return None
        now = self._clock()
        if scheduled_operation.next_due_at > now:
            return scheduled_operation.next_due_at
        return next_after(
            self.triggers.show(
                scheduled_operation.project_id, scheduled_operation.trigger_id
            ).properties,
            now,
        )

    def ends_soon(self, scheduled_operation: ScheduledOperation) -> bool:
        """Whether its rights end within the days of [schedule] rights_warning_days."""
        until = scheduled_operation.credential.get("until")
        warning = self._service.conf.schedule.rights_warning_days * DAY
        return until is not None and until - self._clock() < warning

    # ------------------------------------------------------------------ rights
    @contextmanager
    def _delegation(self, who: Requester) -> Iterator[Delegation]:
        life = self._service.conf.schedule.rights_days * DAY
        with self._service.schedule_delegation(who, life) as delegation:
            yield delegation

    @staticmethod
    def _require_project(who: Requester, scheduled_operation: ScheduledOperation) -> None:
        if who.caller.project_id != scheduled_operation.project_id:
            raise Forbidden(
                f"scheduled operation {scheduled_operation.id} belongs to the project "
                f"{scheduled_operation.project_id}: it can only run on rights in that",
                remedy="ask with a token for that project",
            )
