"""Auth factory: from what an operation keeps of its credential to an auth plugin that works."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from keystoneauth1.identity import v3
from keystoneauth1.identity.access import AccessInfoPlugin

from karbor.credentials import refusal_causes
from karbor.credentials.active_credential import ActiveCredential
from karbor.credentials.credential import Credential, Grant
from karbor.credentials.renewing_login import RenewingLogin
from karbor.credentials.seal import Seal
from karbor.credentials.service_auth import ServiceAuth
from karbor.credentials.service_token_auth import ServiceTokenAuth
from karbor.credentials.trustee import Trustee
from karbor.credentials.user_auth import rebuild
from karbor.domain.credential_chain import CredentialKind
from karbor.domain.errors import Cause, CredentialError, TokenRejected


class AuthFactory:
    """Builds the auth plugin of each kind of credential. One per process; asks Keystone only when
    it is used."""

    def __init__(self, seal: Seal, service: ServiceAuth, trustee: Trustee,
                 clock: Callable[[], float] = time.time) -> None:
        self._seal = seal
        self._service = service
        self._trustee = trustee
        self._clock = clock

    def build(
        self, credential: Credential, live: AccessInfoPlugin | None = None
    ) -> ActiveCredential:
        """Return the auth plugin for the credential that an operation runs on now. `live`: the
        user's token with what Keystone has said of it, where that is known here. Raises
        CredentialError when the credential cannot be had at all."""
        match credential.kind:
            case CredentialKind.USER_AND_SERVICE:
                return self._token(credential, live)
            case CredentialKind.TRUST:
                assert credential.grant is not None     # noqa: S101 - chosen together
                return self._trust(credential, credential.grant)
            case CredentialKind.APPLICATION_CREDENTIAL:
                return self._application_credential(credential)
        raise CredentialError(f"nothing vouches for a credential of the kind {credential.kind}")

    # ------------------------------------------------------------------ kinds of credentials
    def _token(self, credential: Credential, live: AccessInfoPlugin | None) -> ActiveCredential:
        user = live or rebuild(self._seal.open(credential.sealed), self._service)
        auth = ServiceTokenAuth(user, self._service)

        def examine() -> TokenRejected | None:
            cause = self._user_cause(credential)
            return None if cause is None else refusal_causes.dead_token(
                cause, self._within_window(credential))

        return ActiveCredential(auth, prove=lambda: None, examine=examine,
                                ends=lambda: credential.token_ends)

    def _trust(self, credential: Credential, grant: Grant) -> ActiveCredential:
        def why(error: Exception) -> CredentialError:
            return refusal_causes.refused_trust(
                error, auth_url=credential.auth_url,
                exists=partial(self._trustee.exists, grant),
                user_token=partial(self._user_cause, credential))

        return self._renewing(self._trustee.login(grant.id, why))

    def _application_credential(self, credential: Credential) -> ActiveCredential:
        assert credential.registered is not None        # noqa: S101 - chosen together
        inner = v3.ApplicationCredential(
            credential.auth_url, application_credential_id=credential.registered.id,
            application_credential_secret=self._seal.open(credential.registered.sealed))
        last: list[str] = []

        def why(error: Exception) -> CredentialError:
            return refusal_causes.refused_application_credential(
                error, auth_url=credential.auth_url,
                last_token=lambda: self._cause(last[-1]) if last else Cause.UNKNOWN,
                user_token=partial(self._user_cause, credential))

        login = RenewingLogin(
            inner,
            session=self._service.session,
            explain=why,
            check=lambda access: last.__setitem__(slice(None), [access.auth_token]),
        )
        return self._renewing(login)

    def _renewing(self, login: RenewingLogin) -> ActiveCredential:
        """Return a login of ours as the user: whether it is still good is seen by logging in
        again."""
        session = self._service.session

        def examine() -> TokenRejected | None:
            try:
                if login.invalidate():
                    login.get_access(session)
            except TokenRejected as error:
                return error
            return None

        return ActiveCredential(ServiceTokenAuth(login, self._service),
                                prove=lambda: _ignore(login.get_access(session)), examine=examine,
                                ends=lambda: login.ends, renew=lambda: login.renew(session))

    # ------------------------------------------------------------------ what Keystone says
    def _user_cause(self, credential: Credential) -> Cause | None:
        """Return what Keystone says of the token with which the operation began. Past its window it
        says nothing."""
        if not credential.sealed:
            return Cause.UNKNOWN
        cause = self._cause(self._seal.open(credential.sealed))
        if cause is Cause.OVER_OR_REVOKED:
            return Cause.REVOKED if self._within_window(credential) else Cause.OVER
        return cause

    def _cause(self, token: str) -> Cause | None:
        try:
            rebuild(token, self._service)
        except TokenRejected as error:
            return error.cause
        return None

    def _within_window(self, credential: Credential) -> bool:
        return (credential.token_ends is not None
                and self._clock() < credential.token_ends + credential.window)


def _ignore(_value: object) -> None:
    """Drop an answer that is asked for because of its errors only."""
