"""What a user may do with triggers."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from karbor.domain.errors import BadInput
from karbor.domain.trigger import Trigger
from karbor.schedule.properties import Limits, parse
from karbor.schedule.times import next_after, next_occurrences
from karbor.store.triggers import Triggers

LONGEST_NAME = 255


class TriggerRequests:
    """Stateless; the project comes with each call. Raises NotFound for what is not in it."""

    def __init__(self, records: Triggers, limits: Limits) -> None:
        self._records = records
        self._limits = limits

    def create(self, project_id: str, *, name: str, type: str, properties: Mapping[str, Any],
               now: float) -> Trigger:
        """`properties` as the API writes them. Raises BadInput."""
        if type != "time":
            raise BadInput(f"there is no trigger of the type {type!r}",
                           remedy="the only one is: time")
        trigger = Trigger(str(uuid.uuid4()), project_id, _name(name),
                          parse(properties, now, self._limits), created_at=now)
        self._records.add(trigger)
        return trigger

    def update(self, project_id: str, trigger_id: str, *, now: float, name: str | None = None,
               properties: Mapping[str, Any] | None = None) -> Trigger:
        """Properties replace all that there were, so the pattern is needed again, and the start,
        which would otherwise move to now. What it triggers is due next after now, by the new
        times. None, or no properties: as it was. Raises BadInput."""
        trigger = self._records.show(project_id, trigger_id)
        changed = replace(trigger, name=trigger.name if name is None else _name(name),
                          updated_at=now)
        if not properties:
            if name is not None:
                self._records.rename(project_id, trigger_id, changed.name, now)
            return changed if name is not None else trigger
        if not properties.get("start_time"):
            raise BadInput("properties that are changed need a start_time",
                           remedy="give the one that the trigger has")
        told = parse(properties, now, self._limits)
        changed = replace(changed, properties=told, fault="")
        self._records.retime(changed, next_after(told, now))
        return changed

    def coming(self, project_id: str, trigger_id: str, now: float, n: int) -> list[float]:
        """When it is due next. Raises BadInput if that cannot be told."""
        return next_occurrences(self._records.show(project_id, trigger_id), now, n)

    def delete(self, project_id: str, trigger_id: str) -> None:
        """Raises InUse naming the scheduled operations that use it."""
        self._records.drop(project_id, trigger_id)


def _name(name: str) -> str:
    """A trigger may have an empty name, as in Karbor 1.x."""
    if len(name) > LONGEST_NAME:
        raise BadInput(f"a name has {LONGEST_NAME} characters at most")
    return name
