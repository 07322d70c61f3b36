"""The credential chain: which credentials could carry an operation, until when, and which of them
do.

A user's token lives for an hour, Keystone's window for two days, a trust for as long as the user
granted it. Whoever accepts an operation looks at the login while it is alive and chooses; whoever
examines a cloud (the doctor) tells the same choice beforehand. Both ask here. Pure: no clock, no
Keystone; times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from karbor.domain.caller import Caller
from karbor.domain.errors import NoLastingCredential
from karbor.domain.times import span_text


class CredentialKind(StrEnum):
    """How a caller is represented; each but the first goes out with a service token beside it."""

    OWN_LOGIN = "own login"
    USER_AND_SERVICE = "user + service token"
    TRUST = "trust + service token"
    APPLICATION_CREDENTIAL = "application credential + service token"


class Strategy(StrEnum):
    """What an operator allows ([credentials] strategy)."""

    AUTO = "auto"                       # the token while it lasts, then what lasts longer
    OWN_LOGIN = "own_login"             # of whoever runs the command line
    TOKEN = "token"                     # noqa: S105 - nothing but the token; what would outlast it is refused
    TRUST = "trust"                     # a trust from the beginning
    APPLICATION_CREDENTIAL = "application_credential"   # a registered one from the beginning


LONGEST_MARGIN = 900.0


def margin(window: float) -> float:
    """Return the seconds left unused at the end of a window of so many: for what services still do
    with a token after they were asked, and for cleaning up. A quarter of an hour, or a tenth of
    it."""
    return min(LONGEST_MARGIN, window / 10)


@dataclass(frozen=True)
class CredentialPolicy:
    """What an operator has given Karbor. `window` is for how long Keystone lets services use an
    expired token; `longest` for how long an operation may take at most (the life of a trust).
    `trustee` says why the account of [trustee] can hold no trusts; empty if it can.
    `registered_until` is the end of an application credential that the user registered: None if
    there is none, infinity if it has no end."""

    service_user: bool = True
    window: float = 172800.0
    longest: float = 7 * 86400.0
    trust_roles: frozenset[str] = frozenset({"member"})
    trustee: str = ""
    registered_until: float | None = None


@dataclass(frozen=True)
class CredentialOption:
    """What one credential promises. `until` is the end of its usefulness, margin deducted (None: it
    renews itself for good); `ends` the very end. `why` says why it can, or why it cannot."""

    kind: CredentialKind
    possible: bool
    why: str
    until: float | None = None
    ends: float | None = None
    remedy: str = ""


@dataclass(frozen=True)
class Choice:
    """The credentials that an operation will use, one after the other, and the reason for them."""

    kinds: Sequence[CredentialOption]
    why: str
    refused: Sequence[CredentialOption] = field(default=())     # those that could not be had

    @property
    def until(self) -> float | None:
        """When the last of them ends; None: never."""
        return self.kinds[-1].until


def credential_options(
    caller: Caller, means: CredentialPolicy, now: float
) -> list[CredentialOption]:
    """Return all credentials beyond the own login, in their order."""
    return [_token(caller, means), _trust(caller, means, now), _registered(means, now)]


def choose(
    found: Sequence[CredentialOption], strategy: Strategy, needed: float, now: float
) -> Choice:
    """Choose the credentials of an operation. Raises NoLastingCredential, with each reason, when
    nothing lasts for `needed` seconds."""
    by_rung = {option.kind: option for option in found}
    token = by_rung[CredentialKind.USER_AND_SERVICE]
    lasting = [option for option in found if option.kind is not CredentialKind.USER_AND_SERVICE]
    wanted: list[CredentialOption]
    match strategy:
        case Strategy.TOKEN:
            wanted = [token]
        case Strategy.TRUST:
            wanted = [by_rung[CredentialKind.TRUST]]
        case Strategy.APPLICATION_CREDENTIAL:
            wanted = [by_rung[CredentialKind.APPLICATION_CREDENTIAL]]
        case _:
            # One that lasts is enough, and the first is the one that leaves no secret with us.
            wanted = [token, *[option for option in lasting if option.possible][:1]]
    kinds = [option for option in wanted if option.possible]
    refused = [option for option in found if not option.possible
               and (option in wanted or strategy is Strategy.AUTO)]
    end = kinds[-1].until if kinds else now
    if not kinds or (end is not None and now + needed > end):
        raise _refusal(kinds, refused, strategy, needed, now)
    return Choice(kinds, "; then ".join(kind.why for kind in kinds), refused)


def _token(caller: Caller, means: CredentialPolicy) -> CredentialOption:
    kind = CredentialKind.USER_AND_SERVICE
    if not means.service_user:
        return CredentialOption(
            kind,
            False,
            "no [service_user] is configured",
            remedy="configure an account with the role service as [service_user]",
        )
    if caller.expires_at is None:
        return CredentialOption(kind, True, "the token has no end")
    ends = caller.expires_at + means.window
    return CredentialOption(
        kind,
        True,
        "[service_user] vouches for the user's token after its end, while Keystone's window lasts",
        until=ends - margin(means.window),
        ends=ends,
    )


def _trust(caller: Caller, means: CredentialPolicy, now: float) -> CredentialOption:
    kind = CredentialKind.TRUST
    ends = now + means.longest
    if not means.service_user:
        return CredentialOption(
            kind,
            False,
            "no [service_user] is configured",
            remedy="configure an account with the role service as [service_user]",
        )
    if means.trustee:
        return CredentialOption(kind, False, means.trustee,
                                remedy="give [trustee] a user with a password")
    if caller.application_credential_id or caller.delegated_methods:
        return CredentialOption(
            kind, False, "the login is delegated itself ("
            + (", ".join(caller.methods) or "by a trust")
            + "), and Keystone lets such logins make no trusts (CVE-2026-43000)",
            remedy="log in with a password, or register an application credential: "
                   "karbor credential register")
    if caller.trust_id:
        return CredentialOption(
            kind,
            False,
            "the login stands for a trust, which cannot be passed on",
            remedy="log in with a password",
        )
    if not means.trust_roles & set(caller.roles):
        return CredentialOption(
            kind, False, "the user has none of the roles that Karbor may take over "
            f"({', '.join(sorted(means.trust_roles))})",
            remedy="the operator can name others: [credentials] trust_roles")
    return CredentialOption(
        kind,
        True,
        "the user grants Karbor a trust for as long as an operation may take",
        until=ends - margin(means.longest),
        ends=ends,
    )


def _registered(means: CredentialPolicy, now: float) -> CredentialOption:
    kind = CredentialKind.APPLICATION_CREDENTIAL
    ends = means.registered_until
    if not means.service_user:
        return CredentialOption(
            kind,
            False,
            "no [service_user] is configured",
            remedy="configure an account with the role service as [service_user]",
        )
    if ends is None:
        return CredentialOption(kind, False, "the user has registered no application credential",
                                remedy="karbor credential register")
    if ends <= now:
        return CredentialOption(kind, False, "the registered application credential has expired",
                                remedy="register a new one: karbor credential register")
    why = "the user has registered an application credential with Karbor"
    if ends == float("inf"):
        return CredentialOption(kind, True, why)
    return CredentialOption(kind, True, why, until=ends - margin(ends - now), ends=ends)


def _refusal(
    kinds: Sequence[CredentialOption],
    refused: Sequence[CredentialOption],
    strategy: Strategy,
    needed: float,
    now: float,
) -> NoLastingCredential:
    best = max((kind.until or 0.0 for kind in kinds), default=now)
    left = max(0.0, best - now)
    message = (f"it is expected to take {span_text(needed)}, and no credential lasts that long: "
               f"the longest has {span_text(left)} left") if kinds else (
        f"none of the credentials that [credentials] strategy = {strategy} allows can be had")
    reasons = "; ".join(f"no {option.kind}: {option.why}" for option in refused)
    remedies = dict.fromkeys(option.remedy for option in refused if option.remedy)
    if kinds:
        remedies["protect less at a time, or say how long it really takes: --hours"] = None
    return NoLastingCredential(f"{message}{'. ' if reasons else ''}{reasons}",
                               remedy="; or ".join(remedies))

