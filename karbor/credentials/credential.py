"""Credential: how an operation represents its caller, in a form that survives its process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from karbor.credentials.endpoint_settings import EndpointSettings
from karbor.domain.credential_chain import Choice, CredentialKind, CredentialOption, margin

WANTED = "wanted"
"""In place of a trust's id, before it is known: it may have been made or not."""


@dataclass(frozen=True)
class Grant:
    """The trust of one operation. `id` is empty until it is known. `expires_at` is the second, in
    Keystone's own form, with which it was asked for: Karbor chooses it at random for each trust,
    and it is what a trust that was made just before a crash is found by (trusts bear no name and
    no tag). `lent`: it is a schedule's, whose operations use it and leave it standing."""

    id: str
    expires_at: str
    roles: tuple[str, ...]
    lent: bool = False

    def to_dict(self) -> dict[str, Any]:
        return {"id": self.id, "expires_at": self.expires_at, "roles": list(self.roles),
                "lent": self.lent}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Grant:
        return cls(raw["id"], raw["expires_at"], tuple(raw["roles"]), raw.get("lent", False))


@dataclass(frozen=True)
class Registered:
    """The application credential that carries an operation; `sealed` is its secret."""

    id: str
    sealed: str = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        return {"id": self.id, "sealed": self.sealed}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Registered:
        return cls(raw["id"], raw["sealed"])


@dataclass(frozen=True)
class Credential:
    """What `Operation.credential` holds.

    `kind` is that of the credential in use; `deadline` (seconds since the epoch) is when it has to
    leave it (None: that renews itself) and `why` says in one sentence why it is this one.
    `following` are those that it changes to then, one after the other. `sealed` is the user's
    token, sealed, or empty where the login can be read again; `token_ends` is its own end, without
    the `window` (seconds) in which services may still use it. `needed` is how long the operation
    was expected to take, in seconds. `refused_since` is when Keystone began to refuse it, while
    the operation waits for that to pass (None: it works).
    `token_life` is how long Keystone's tokens live, in seconds, where it is known; `work_seconds`
    how long a single piece of a service's work may take at most that is begun on it.
    """

    kind: CredentialKind
    cloud: str
    user_id: str
    project_id: str
    why: str
    sealed: str = field(default="", repr=False)
    deadline: float | None = None
    endpoint_settings: EndpointSettings = field(default_factory=EndpointSettings)
    auth_url: str = ""
    token_ends: float | None = None
    window: float = 0.0
    needed: float = 0.0
    following: tuple[CredentialOption, ...] = ()
    grant: Grant | None = None
    registered: Registered | None = None
    refused_since: float | None = None
    token_life: float | None = None
    work_seconds: float | None = None

    @property
    def until(self) -> float | None:
        """When the last credential of the chain ends; None: never."""
        return self.following[-1].until if self.following else self.deadline

    @property
    def trust(self) -> str:
        """What stands in Keystone for it alone, as the store keeps it: an id, `wanted`, or
        nothing."""
        if self.grant is None or self.grant.lent:
            return ""
        return self.grant.id or WANTED

    def lent(self) -> Credential:
        """Return this credential for one operation of the schedule that it belongs to."""
        grant = replace(self.grant, lent=True) if self.grant else None
        return replace(self, grant=grant)

    def chosen(self, choice: Choice) -> Credential:
        """Return the same caller on the first credential of a choice, with the others to follow."""
        first, *rest = choice.kinds
        return replace(self, kind=first.kind, why=first.why, deadline=first.until,
                       following=tuple(rest))

    def measured(self, now: float) -> Credential:
        """Return this credential with how long a single piece of a service's work may take: what a
        fresh token allows, where one can be had, else what is left of the only one."""
        fresh = None if self.token_life is None else (
            self.token_life + self.window - margin(self.window))
        if self.kind is CredentialKind.USER_AND_SERVICE and not self.following:
            fresh = None if self.deadline is None else max(0.0, self.deadline - now)
        return replace(self, work_seconds=fresh)

    def next(self) -> Credential:
        """Return what the operation has after its change to the next credential of the chain."""
        first, *rest = self.following
        return replace(self, kind=first.kind, why=first.why, deadline=first.until,
                       following=tuple(rest))

    def to_dict(self) -> dict[str, Any]:
        return {"rung": self.kind.value, "cloud": self.cloud, "user_id": self.user_id,
                "project_id": self.project_id, "why": self.why, "sealed": self.sealed,
                "deadline": self.deadline, "place": self.endpoint_settings.to_dict(),
                "auth_url": self.auth_url, "token_ends": self.token_ends, "window": self.window,
                "needed": self.needed, "until": self.until, "refused_since": self.refused_since,
                "token_life": self.token_life, "work_seconds": self.work_seconds,
                "following": [{"rung": option.kind.value, "why": option.why, "until": option.until,
                               "ends": option.ends} for option in self.following],
                "grant": self.grant.to_dict() if self.grant else None,
                "registered": self.registered.to_dict() if self.registered else None}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Credential:
        """Read what `to_dict` wrote, and what Karbor wrote before there were chains."""
        following = tuple(
            CredentialOption(
                CredentialKind(one["rung"]), True, one["why"], one["until"], one["ends"]
            )
            for one in raw.get("following") or ()
        )
        grant, registered = raw.get("grant"), raw.get("registered")
        return cls(
            CredentialKind(raw["rung"]),
            raw["cloud"],
            raw["user_id"],
            raw["project_id"],
            raw["why"],
            raw.get("sealed", ""),
            raw.get("deadline"),
            EndpointSettings.from_dict(raw.get("place") or {}),
            raw.get("auth_url", ""),
            raw.get("token_ends"),
            raw.get("window", 0.0),
            raw.get("needed", 0.0),
            following,
            Grant.from_dict(grant) if grant else None,
            Registered.from_dict(registered) if registered else None,
            raw.get("refused_since"),
            raw.get("token_life"),
            raw.get("work_seconds"),
        )
