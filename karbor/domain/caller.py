"""Caller: on whose behalf something is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DELEGATED = frozenset({"application_credential", "oauth1", "ec2credential"})


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
    trust_id: str = ""                      # the trust it stands for, if any
    application_credential_id: str = ""     # what the login was made with, if that
    federated: bool = False                 # logged in elsewhere: its roles may come from groups

    @property
    def delegated_methods(self) -> frozenset[str]:
        """The methods of the login that stand for less than the user (Keystone's
        `delegation.is_delegated_method`, release 30): they can make no trusts."""
        return DELEGATED & set(self.methods)

    def to_dict(self) -> dict[str, Any]:
        return {"user_id": self.user_id, "project_id": self.project_id,
                "user_name": self.user_name, "project_name": self.project_name,
                "roles": list(self.roles), "methods": list(self.methods),
                "expires_at": self.expires_at, "trust_id": self.trust_id,
                "application_credential_id": self.application_credential_id,
                "federated": self.federated}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Caller:
        return cls(raw["user_id"], raw["project_id"], raw.get("user_name", ""),
                   raw.get("project_name", ""), tuple(raw.get("roles", ())),
                   tuple(raw.get("methods", ())), raw.get("expires_at"),
                   raw.get("trust_id", ""), raw.get("application_credential_id", ""),
                   bool(raw.get("federated", False)))
