"""Delegation: chooses the credentials of an operation at its acceptance, and makes its trust."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from karbor.config import service_user_configured
from karbor.credentials.authority import Authority, Login
from karbor.credentials.credential import Credential, Grant, Registered
from karbor.credentials.session import OperationSession
from karbor.credentials.trustee import grant_trust, keystone_time
from karbor.domain.application_credential import ApplicationCredential
from karbor.domain.credential_chain import (
    Choice,
    CredentialKind,
    CredentialOption,
    CredentialPolicy,
    Strategy,
    choose,
    credential_options,
)
from karbor.domain.errors import Cause, CredentialError, NoLastingCredential, TokenRejected

SPREAD = 86400
"""Seconds over which the ends of trusts are spread, so that each is known by its own. Keystone
refuses a second trust of the same users and project that ends in the same second."""

Lookup = Callable[[str, str], ApplicationCredential | None]
"""(project, user) → the application credential that they have registered."""


class Delegator:
    """Implements `karbor.plugin.delegation.Delegation` for one live login."""

    def __init__(self, authority: Authority, login: Login, registered: Lookup = (
            lambda _project, _user: None)) -> None:
        self._authority = authority
        self._login = login
        self._registered = registered

    # ------------------------------------------------------------------ what there is
    def means(self) -> CredentialPolicy:
        """Return what the operator and this user have given Karbor, as far as it is known
        without asking Keystone."""
        conf = self._authority.conf
        if not service_user_configured(conf):
            return CredentialPolicy(service_user=False)
        application_credential = self._registration()
        return CredentialPolicy(
            window=self._authority.window(self._login.auth_url),
            longest=float(conf.credentials.longest_operation),
            trust_roles=frozenset(conf.credentials.trust_roles),
            trustee=self._authority.trustee.unfit(),
            registered_until=None
            if application_credential is None
            else (
                float("inf")
                if application_credential.expires_at is None
                else application_credential.expires_at
            ),
        )

    def credential_options(self) -> list[CredentialOption]:
        """Return every credential beyond the own login, and what can be said against it."""
        return credential_options(self._login.caller, self.means(), self._authority.clock())

    # ------------------------------------------------------------------ the contract
    def choose(self, needed: float) -> Mapping[str, Any]:
        return self._measured(needed, self.credential_options())

    def _measured(self, needed: float, found: Sequence[CredentialOption]) -> Mapping[str, Any]:
        return self._chosen(needed, found).measured(self._authority.clock()).to_dict()

    def grant(self, credential: Mapping[str, Any]) -> Mapping[str, Any]:
        kept = Credential.from_dict(credential)
        if kept.grant is None or kept.grant.id:
            return credential
        try:
            with self._live() as session:
                made = self._granted(session, kept, kept.grant)
        except CredentialError as error:
            if error.transient:
                raise
            return self._without_trust(kept, error)
        return replace(kept, grant=made).to_dict()

    @contextmanager
    def _live(self) -> Iterator[OperationSession]:
        """Return the session over which Keystone is asked for a trust. It never accepts a token
        that is over, and to find out what shall be protected may have taken longer than the token
        lives: whoever can log in again does."""
        if self._login.own is None:
            yield self._login.session
            return
        session = self._authority.own_session(self._login.own)
        try:
            yield session
        finally:
            session.close()

    def _granted(self, session: OperationSession, kept: Credential, wanted: Grant) -> Grant:
        auth: Any = session.auth
        access = auth.get_access(session)
        ids = dict(zip(access.role_names, access.role_ids, strict=True))
        if lost := [name for name in wanted.roles if name not in ids]:
            raise TokenRejected(f"the user has no role {', '.join(lost)} any more",
                                cause=Cause.ROLE_LOST)
        return grant_trust(
            session, wanted, trustor=kept.user_id, trustee=self._authority.trustee.user_id,
            project_id=kept.project_id, role_ids=[ids[name] for name in wanted.roles])

    def wants(self, credential: Mapping[str, Any]) -> str:
        return Credential.from_dict(credential).trust

    # ------------------------------------------------------------------ choosing
    def _chosen(self, needed: float, found: Sequence[CredentialOption]) -> Credential:
        credential = replace(self._login.credential, needed=needed)
        if credential.kind is CredentialKind.OWN_LOGIN:
            return self._on_own_login(credential, needed)
        strategy = Strategy(self._authority.conf.credentials.strategy)
        choice = choose(found, strategy, needed, self._authority.clock())
        if any(kind.kind is CredentialKind.APPLICATION_CREDENTIAL for kind in choice.kinds):
            choice = choose(self._tried(found), strategy, needed, self._authority.clock())
        return self._with_means(credential, choice)

    def _tried(self, found: Sequence[CredentialOption]) -> list[CredentialOption]:
        """Return the same, with what Keystone says of the registered application credential:
        what was removed there, or has lost its user, promises nothing. Raises
        KeystoneUnreachable."""
        registration = self._registration()
        assert registration is not None     # noqa: S101 - it is among the prospects
        try:
            self._authority.try_registered(self._login.credential, Registered(
                registration.application_credential_id, registration.sealed))
        except CredentialError as error:
            if error.transient:
                raise
            return [
                replace(
                    option,
                    possible=False,
                    until=None,
                    ends=None,
                    why=(
                        f"the one that was registered ({registration.name}) was tried, and "
                        f"{error.message}"
                    ),
                    remedy=error.remedy,
                )
                if option.kind is CredentialKind.APPLICATION_CREDENTIAL
                else option
                for option in found
            ]
        return list(found)

    def _on_own_login(self, credential: Credential, needed: float) -> Credential:
        deadline = credential.deadline
        if deadline is not None and self._authority.clock() + needed > deadline:
            raise NoLastingCredential(
                "the login ends before the operation is expected to",
                remedy="log in with a password, with an application credential that lasts longer, "
                       "or configure [service_user]")
        return credential

    def _with_means(self, credential: Credential, choice: Choice) -> Credential:
        kinds = {kind.kind: kind for kind in choice.kinds}
        chosen = credential.chosen(choice)
        if CredentialKind.TRUST in kinds:
            ends = (kinds[CredentialKind.TRUST].ends or 0.0) + random.randrange(  # noqa: S311 - no secret
                int(min(SPREAD, self._authority.conf.credentials.longest_operation / 7)) + 1)
            conf = self._authority.conf
            roles = tuple(sorted(set(conf.credentials.trust_roles)
                                 & set(self._login.caller.roles)))
            chosen = replace(chosen, grant=Grant("", keystone_time(ends), roles))
        if CredentialKind.APPLICATION_CREDENTIAL in kinds:
            application_credential = self._registration()
            assert application_credential is not None  # noqa: S101 - it was among the prospects
            chosen = replace(
                chosen,
                registered=Registered(
                    application_credential.application_credential_id, application_credential.sealed
                ),
            )
        return chosen

    def _without_trust(self, kept: Credential, refusal: CredentialError) -> Mapping[str, Any]:
        options = [
            replace(credential_option, possible=False, why=refusal.message, remedy=refusal.remedy)
            if credential_option.kind is CredentialKind.TRUST
            else credential_option
            for credential_option in self.credential_options()
        ]
        return self._measured(kept.needed, options)

    def _registration(self) -> ApplicationCredential | None:
        caller = self._login.caller
        return self._registered(caller.project_id, caller.user_id)
