"""Rights of a schedule: what lets Karbor act for a user who is not there, again and again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from karbor.credentials.authority import Authority, Login
from karbor.credentials.credential import Credential
from karbor.credentials.delegation import Delegator, Lookup
from karbor.domain.credential_chain import (
    Choice,
    CredentialKind,
    CredentialOption,
    CredentialPolicy,
    Strategy,
)
from karbor.domain.errors import NoLastingCredential

_ONLY = {Strategy.TRUST: CredentialKind.TRUST,
         Strategy.APPLICATION_CREDENTIAL: CredentialKind.APPLICATION_CREDENTIAL}


class ScheduleDelegator(Delegator):
    """A `karbor.plugin.delegation.Delegation` for what is done without its user: a trust, else an
    application credential that they registered. Their token is not kept: it would be over at the
    first run. `life` is how long a trust shall live, in seconds."""

    def __init__(self, authority: Authority, login: Login, registered: Lookup, life: float
                 ) -> None:
        super().__init__(authority, login, registered)
        self._life = life

    def means(self) -> CredentialPolicy:
        return replace(super().means(), longest=self._life)

    def _chosen(self, needed: float, found: Sequence[CredentialOption]) -> Credential:
        if self._login.credential.kind is CredentialKind.OWN_LOGIN:
            raise NoLastingCredential(
                "without [service_user] nobody can act for a user who is not there",
                remedy="configure [service_user], an account with the role service")
        strategy = Strategy(self._authority.conf.credentials.strategy)
        wanted = _ONLY.get(strategy)
        lasting = [option for option in found if option.kind is not CredentialKind.USER_AND_SERVICE
                   and wanted in (None, option.kind)]
        possible = next((option for option in lasting if option.possible), None)
        if possible is not None and possible.kind is CredentialKind.APPLICATION_CREDENTIAL:
            lasting = self._tried(lasting)
            possible = next((option for option in lasting if option.possible), None)
        if possible is None:
            raise NoLastingCredential(
                "the login can pass nothing on that outlasts it: " + "; ".join(
                    f"{option.kind}: {option.why}" for option in lasting),
                remedy=next((option.remedy for option in lasting if option.remedy), ""))
        plain = replace(self._login.credential, sealed="", token_ends=None)
        return self._with_means(plain, Choice([possible], possible.why))


class BorrowedTrust:
    """A `karbor.plugin.delegation.Delegation` of somebody who is not there: what their schedule
    runs on, for one of its operations. Nothing is made in Keystone, and nothing removed. `try_`
    logs in with it once, and raises CredentialError where that fails."""

    def __init__(self, rights: Mapping[str, Any], clock: Callable[[], float],
                 try_: Callable[[Mapping[str, Any]], None]) -> None:
        self._rights = rights
        self._clock = clock
        self._try = try_

    def choose(self, needed: float) -> Mapping[str, Any]:
        until = self._rights.get("until")
        if until is not None and self._clock() + needed > until:
            raise NoLastingCredential(
                "the rights that the schedule runs on end before the operation is expected to",
                remedy="renew them: karbor schedule take-over")
        self._try(self._rights)
        return {**lend(self._rights), "needed": needed}

    def grant(self, credential: Mapping[str, Any]) -> Mapping[str, Any]:
        return credential

    def wants(self, credential: Mapping[str, Any]) -> str:
        return ""


def lend(rights: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the credential for one operation of the schedule whose trust this is: the operation
    leaves it standing."""
    return Credential.from_dict(rights).lent().to_dict()
