"""Caller: on whose behalf something is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Caller:
    """Who asked, for which project, and with which rights. Never holds a token.

    `expires_at` is the end of the token's life in seconds since the epoch, or None where the
    credential renews itself.
    """

    user_id: str
    project_id: str
    user_name: str = ""
    project_name: str = ""
    roles: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    expires_at: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return {"user_id": self.user_id, "project_id": self.project_id,
                "user_name": self.user_name, "project_name": self.project_name,
                "roles": list(self.roles), "methods": list(self.methods),
                "expires_at": self.expires_at}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Caller:
        return cls(raw["user_id"], raw["project_id"], raw.get("user_name", ""),
                   raw.get("project_name", ""), tuple(raw.get("roles", ())),
                   tuple(raw.get("methods", ())), raw.get("expires_at"))
