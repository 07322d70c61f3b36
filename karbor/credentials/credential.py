"""Credential: how an operation represents its caller, in a form that survives its process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from karbor.credentials.place import Place
from karbor.domain.ladder import Rung


@dataclass(frozen=True)
class Credential:
    """What `Operation.credential` holds.

    `sealed` is the user's token, sealed, or empty where the login can be read again. `deadline`
    (seconds since the epoch) is when the credential ends; None: it renews itself. `why` says in
    one sentence why it is this rung.
    """

    rung: Rung
    cloud: str
    user_id: str
    project_id: str
    why: str
    sealed: str = field(default="", repr=False)
    deadline: float | None = None
    place: Place = field(default_factory=Place)

    def to_dict(self) -> dict[str, Any]:
        return {"rung": self.rung.value, "cloud": self.cloud, "user_id": self.user_id,
                "project_id": self.project_id, "why": self.why, "sealed": self.sealed,
                "deadline": self.deadline, "place": self.place.to_dict()}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Credential:
        return cls(Rung(raw["rung"]), raw["cloud"], raw["user_id"], raw["project_id"], raw["why"],
                   raw.get("sealed", ""), raw.get("deadline"),
                   Place.from_dict(raw.get("place") or {}))
