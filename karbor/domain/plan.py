"""Plan: what a project wants protected, by which provider, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from karbor.domain.errors import BadInput, Conflict

SUSPENDED = "suspended"
STARTED = "started"

Value = str | bool | int
Parameters = Mapping[str, Mapping[str, Value] | None]
"""Resource type, or `TYPE#ID` of one resource → option → value."""


@dataclass(frozen=True)
class Selector:
    """Resources chosen by what they bear, at the time of the protect: all the tags, or all the
    metadata. Exactly one of the two is given."""

    type: str
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        more: dict[str, Any] = {"tags": list(self.tags)} if self.tags else {
            "metadata": dict(self.metadata)}
        return {"type": self.type, **more}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Selector:
        return cls(raw["type"], tuple(raw.get("tags", ())), dict(raw.get("metadata", {})))


@dataclass(frozen=True)
class Plan:
    """`resources` are as the user gave them: `id`, `type`, `name` and perhaps `extra_info`.
    `parameters` keep the types of their values. Times are in seconds since the epoch."""

    id: str
    project_id: str
    name: str
    provider_id: str
    description: str | None = None
    status: str = SUSPENDED
    resources: Sequence[Mapping[str, Any]] = ()
    parameters: Parameters = field(default_factory=dict)
    selectors: Sequence[Selector] = ()
    created_at: float = 0.0
    updated_at: float | None = None

    def must_choose_something(self) -> None:
        """Raise BadInput when neither resources nor selectors say what to protect."""
        if not self.resources and not self.selectors:
            raise BadInput("the plan names nothing to protect",
                           remedy="give resources, or selectors")

    def must_be_changeable(self, changed: Sequence[str], status: str) -> None:
        """Raise Conflict for a change that is not allowed: what a started plan protects stands
        fast; its status may change, and what goes back to suspended may be changed with that."""
        if SUSPENDED not in (self.status, status) and set(changed) != {"status"}:
            raise Conflict(f"plan {self.id} is {self.status}: only its status can be changed",
                           remedy=f"set its status to {SUSPENDED} first")
