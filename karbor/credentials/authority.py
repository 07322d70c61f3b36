"""Authority: chooses how a caller is represented, and brings that to life again elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from keystoneauth1.access import AccessInfo
from keystoneauth1.identity.access import AccessInfoPlugin
from keystoneauth1.plugin import BaseAuthPlugin
from requests.adapters import BaseAdapter

from karbor.config import ConfigOpts, key_file, service_user_configured
from karbor.credentials.active_credential import ActiveCredential
from karbor.credentials.application_credential_lookup import describe
from karbor.credentials.auth_factory import AuthFactory
from karbor.credentials.credential import Credential, Registered
from karbor.credentials.endpoint_settings import EndpointSettings
from karbor.credentials.failover_auth import Changed, FailoverAuth
from karbor.credentials.own_login import OwnLogin, read_own_login
from karbor.credentials.refusals import passes
from karbor.credentials.renewing_login import RenewingLogin
from karbor.credentials.seal import Seal
from karbor.credentials.service_auth import ServiceAuth
from karbor.credentials.service_token_auth import ServiceTokenAuth
from karbor.credentials.session import OperationSession, open_session
from karbor.credentials.trustee import Trustee
from karbor.credentials.user_auth import token_body, user_auth
from karbor.domain.caller import Caller
from karbor.domain.credential_chain import (
    CredentialKind,
    CredentialPolicy,
    Strategy,
    credential_options,
)
from karbor.domain.errors import (
    Cause,
    CredentialError,
    CredentialSuspended,
    KarborError,
    LoginFailed,
    TokenRejected,
)
from karbor.domain.probe_token import WindowBounds, usable


@dataclass(frozen=True)
class Login:
    """A live credential: who it is, how that is kept, and the session that speaks for it. `own` is
    how the person who asks logs in, where it is a login that renews itself."""

    caller: Caller
    credential: Credential
    session: OperationSession
    own: OwnLogin | None = None
    renews: bool = False        # whether the session itself logs in again

    @property
    def access(self) -> AccessInfo:
        """The user's login as it stands: project, roles, catalog. May renew it."""
        auth: Any = self.session.auth
        return auth.get_access(self.session)

    @property
    def auth_url(self) -> str:
        """The address of the Keystone that the login is of."""
        return self.credential.auth_url

    @property
    def ended(self) -> KarborError | None:
        """The reason why nothing more should be begun on the login: it has come to its end. None
        while it has not."""
        auth = self.session.auth
        return auth.ended if isinstance(auth, FailoverAuth) else None

    def ensure(self, seconds: float) -> float | None:
        """Have the next request go out with a token that outlasts so many seconds of a service's
        work, where one can be had; see `Cloud.ensure_credential`. Raises CredentialError."""
        auth: Any = self.session.auth
        if isinstance(auth, FailoverAuth):
            return auth.ensure(seconds)
        if not isinstance(auth, RenewingLogin):
            return None         # the login of a request that is being answered: nothing follows it
        ends = auth.ends
        if ends is not None and time.time() + seconds > ends and self.renews:
            auth.renew(self.session)
        return auth.ends


class Authority:
    """One per process: holds the one service login and what sessions may share.

    With a [service_user] in the configuration every operation speaks with the user's token and
    the service token beside it, and nothing else: there is no falling back to the bare token, and
    a service account that cannot do its duty is an error before anything is touched. Without one
    the user's own login is used and renews itself. `seen` tells what the doctor has seen of the
    window of a Keystone, by its address. `adapter` replaces the network in tests.
    """

    def __init__(self, conf: ConfigOpts, *, adapter: BaseAdapter | None = None,
                 seen: Callable[[str], WindowBounds] = lambda _auth_url: WindowBounds(),
                 clock: Callable[[], float] = time.time) -> None:
        self.conf = conf
        self.adapter = adapter
        self.seal = Seal(key_file(conf))
        self.trustee = Trustee(conf, self.service, adapter)
        self.clock = clock
        self._seen = seen
        self._discovery: dict[str, Any] = {}
        self._service: ServiceAuth | None = None
        self._making = threading.Lock()

    def service(self) -> ServiceAuth:
        """Return the service account's login, proved fit when it is first made. A failure is not
        remembered. Raises ServiceUserUnfit, KeystoneUnreachable."""
        with self._making:
            if self._service is None:
                service = ServiceAuth(self.conf, self.adapter)
                service.prove()
                self._service = service
            return self._service

    @property
    def service_token_ends(self) -> float | None:
        """Return when the service login's present token ends (it is renewed before that). None: it
        has no end, or nobody has needed it yet. Asks nobody."""
        service = self._service
        return None if service is None else service.ends

    @property
    def vouches(self) -> bool:
        """Whether operations go out with a service token."""
        return (service_user_configured(self.conf)
                and self.conf.credentials.strategy != Strategy.OWN_LOGIN)

    def window(self, auth_url: str) -> float:
        """Return the seconds for which Keystone lets services use expired tokens: what the
        operator says, less where less was seen. Seconds."""
        return usable(float(self.conf.credentials.allow_expired_window), self._seen(auth_url))

    def represent(self, cloud: str | None) -> Login:
        """Log in as clouds.yaml says, at the acceptance of an operation.

        Raises UnknownName, LoginFailed, KeystoneUnreachable, ServiceUserUnfit, CredentialError.
        """
        service = self.service() if self.vouches else None
        own = read_own_login(cloud, self.clock)
        session = self._session(own.auth, own.endpoint_settings)
        access = own.auth.get_access(session)
        if not access.project_scoped:
            raise LoginFailed(f"the login of cloud {own.cloud} is for no project",
                              remedy="name project_name and project_domain_name in clouds.yaml")
        if service is None:
            return self._on_own_login(own, access, session)
        session.close()
        return self._user_login(access, service, own.endpoint_settings, own.auth.auth_url, own=own)

    def admit(
        self, token: str, body: Mapping[str, Any], endpoint_settings: EndpointSettings
    ) -> Login:
        """Return the login of whoever sent this token with a request, which somebody else
        (keystonemiddleware) has had validated: `body` is what Keystone said of it. Asks nobody but
        for the service's own login.

        Raises CredentialError for a token of no project, ServiceUserUnfit, KeystoneUnreachable.
        """
        service = self.service()
        user = user_auth(token, body, service.auth_url)
        access = user.auth_ref
        if not access.project_scoped:
            raise LoginFailed("the token is for no project",
                              remedy="ask for a token that is scoped to a project")
        return self._user_login(access, service, endpoint_settings, service.auth_url)

    def resume(self, credential: Mapping[str, Any], *, live: Login | None = None,
               changed: Changed = lambda _credential, _why: None) -> Login:
        """Speak for the caller of an operation that was accepted here or by another process; what
        it runs on changes when it must, and `changed` hears of it. `live` is a login of the same
        caller that this process has.

        Raises as `represent`, and TokenRejected when there is no credential left to use.
        """
        kept = Credential.from_dict(credential)
        if kept.kind is CredentialKind.OWN_LOGIN:
            build: Callable[[Credential], ActiveCredential] = partial(self._own_active, live=live)
        else:
            kinds = AuthFactory(self.seal, self.service(), self.trustee, self.clock)
            known = _token_of(live) if live and live.credential.sealed == kept.sealed else None
            build = partial(kinds.build, live=known)
        failover = FailoverAuth(kept, build, changed, self.clock,
                              float(self.conf.credentials.refusal_wait))
        session = self._session(failover, kept.endpoint_settings)
        access = failover.get_access(session)
        _same(kept, replace(kept, user_id=access.user_id, project_id=access.project_id))
        return Login(_caller(access, kept.token_ends), kept, session)

    def _own_active(self, kept: Credential, live: Login | None) -> ActiveCredential:
        """Return the auth of the login of clouds.yaml, or that which this process has made with
        it."""
        if live and live.credential.kind is CredentialKind.OWN_LOGIN and (
                live.credential.cloud == kept.cloud):
            auth: Any = live.session.auth
            renews = live.renews
        else:
            own = read_own_login(kept.cloud, self.clock)
            auth, renews = own.auth, own.renews
        session = self._session(auth, kept.endpoint_settings)
        return ActiveCredential(
            auth,
            prove=lambda: None,
            examine=lambda: None,
            ends=lambda: auth.ends,
            renew=lambda: auth.renew(session) if renews else None,
        )

    def try_registered(self, caller: Credential, registered: Registered) -> None:
        """Log in once with the application credential that this caller has registered. Raises
        CredentialError: a transient one when Keystone does not answer, else with the reason why
        nothing can be done with it."""
        kinds = AuthFactory(self.seal, self.service(), self.trustee, self.clock)
        wanted = replace(caller, kind=CredentialKind.APPLICATION_CREDENTIAL, registered=registered)
        kinds.build(wanted).prove()

    def try_credential(self, credential: Mapping[str, Any]) -> None:
        """Log in once with what a schedule runs on. Raises CredentialSuspended when Keystone
        refuses it for a reason that may pass, another CredentialError when it is dead or Keystone
        does not answer."""
        kept = Credential.from_dict(credential)
        kinds = AuthFactory(self.seal, self.service(), self.trustee, self.clock)
        try:
            kinds.build(kept).prove()
        except CredentialError as error:
            if passes(error) and not error.transient:
                raise CredentialSuspended(error.message, remedy=error.remedy) from None
            raise

    def settle(self, credential: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the credential of an operation whose process may have died while it made the
        trust: with the id of the trust, or without that link of the chain when there is none.
        Raises CredentialError when Keystone cannot tell."""
        kept = Credential.from_dict(credential)
        if kept.grant is None or kept.grant.id:
            return credential
        grant = self.trustee.find(kept.grant, kept.user_id, kept.project_id)
        if grant is None and kept.kind is CredentialKind.TRUST:
            raise TokenRejected("the trust that the operation was to run on was never made",
                                remedy="begin the operation anew", cause=Cause.REMOVED)
        following = tuple(option for option in kept.following
                          if grant is not None or option.kind is not CredentialKind.TRUST)
        return replace(kept, grant=grant, following=following).to_dict()

    def end(self, credential: Mapping[str, Any]) -> None:
        """Remove the trust that an operation (or a schedule) had for itself, when it is over.
        Raises CredentialError when it may still stand."""
        kept = Credential.from_dict(credential)
        grant = kept.grant
        if grant is not None and grant.lent:
            return
        if grant is not None and not grant.id:
            grant = self.trustee.find(grant, kept.user_id, kept.project_id)
        if grant is not None:
            self.trustee.end(grant)

    def _on_own_login(self, own: OwnLogin, access: AccessInfo, session: OperationSession) -> Login:
        caller = _caller(access, None if own.renews else _end(access))
        end, lasts = self._own_end(own, caller, session)
        reason = ("[credentials] strategy = own_login" if service_user_configured(self.conf)
                  else "no [service_user] is configured")
        why = f"{reason}; {lasts}"
        credential = Credential(
            CredentialKind.OWN_LOGIN,
            own.cloud,
            access.user_id,
            access.project_id,
            why,
            deadline=end,
            endpoint_settings=own.endpoint_settings,
            auth_url=own.auth.auth_url or "",
            token_life=_life(access),
        )
        return Login(caller, credential, session, renews=own.renews)

    @staticmethod
    def _own_end(own: OwnLogin, caller: Caller, session: OperationSession
                 ) -> tuple[float | None, str]:
        """Return when the login cannot be renewed any more (None: never), and what it rests on."""
        if not own.renews:
            return caller.expires_at, "the login is a token, which ends"
        if not caller.application_credential_id:
            return None, "the user's own login renews itself"
        try:
            about = describe(session, caller.user_id, caller.application_credential_id)
        except TokenRejected as error:
            return None, f"the user's own login renews itself; for how long is unknown: {error}"
        lasts = "the user's own login renews itself while its application credential lasts"
        return about.expires_at, lasts

    def _user_login(
        self,
        access: AccessInfo,
        service: ServiceAuth,
        endpoint_settings: EndpointSettings,
        auth_url: str | None,
        own: OwnLogin | None = None,
    ) -> Login:
        """Return the auth of a user's token with a service token beside it. `own` is how the person
        can log in again, where that is known here."""
        end = (own.auth.ends if own else None) or _end(access)
        caller = _caller(access, end)
        url = auth_url or ""
        window = self.window(url)
        means = CredentialPolicy(
            window=window, trust_roles=frozenset(self.conf.credentials.trust_roles)
        )
        token = credential_options(caller, means, self.clock())[0]
        credential = Credential(
            CredentialKind.USER_AND_SERVICE,
            own.cloud if own else "",
            access.user_id,
            access.project_id,
            token.why,
            sealed=self.seal.seal(access.auth_token),
            deadline=token.until,
            endpoint_settings=endpoint_settings,
            auth_url=url,
            token_ends=end,
            window=window,
            token_life=_life(access),
        )
        body = {"token": token_body(access)}
        user = user_auth(access.auth_token, body, auth_url)
        session = self._session(ServiceTokenAuth(user, service), endpoint_settings)
        return Login(caller, credential, session, own if own and own.renews else None)

    def own_session(self, own: OwnLogin) -> OperationSession:
        """Return a session that speaks as a person on their own login, with nobody's word beside
        it."""
        return self._session(own.auth, own.endpoint_settings)

    def _session(
        self, auth: BaseAuthPlugin, endpoint_settings: EndpointSettings
    ) -> OperationSession:
        session = open_session(
            self.conf,
            auth,
            verify=endpoint_settings.verify,
            cert=endpoint_settings.cert,
            discovery=self._discovery,
            adapter=self.adapter,
        )
        session.transport.name(getattr(auth, "auth_url", None) or "", "keystone")
        return session


def _token_of(login: Login) -> AccessInfoPlugin | None:
    auth = login.session.auth
    user = auth.user_auth if isinstance(auth, ServiceTokenAuth) else None
    return user if isinstance(user, AccessInfoPlugin) else None


def _same(kept: Credential, found: Credential) -> None:
    """Raise CredentialError when the caller is another one: an operation never goes on as somebody
    else, or in another project."""
    if (kept.user_id, kept.project_id) != (found.user_id, found.project_id):
        raise LoginFailed(
            f"the login of cloud {kept.cloud} is for another user or project now than when the "
            "operation began", remedy="restore the entry in clouds.yaml, or begin anew")


def _caller(access: AccessInfo, end: float | None) -> Caller:
    token = token_body(access)
    return Caller(
        user_id=access.user_id, project_id=access.project_id, user_name=access.username,
        project_name=access.project_name, roles=tuple(access.role_names),
        methods=tuple(token.get("methods", ())), expires_at=end,
        trust_id=(token.get("OS-TRUST:trust") or {}).get("id", ""),
        application_credential_id=(token.get("application_credential") or {}).get("id", ""),
        federated="OS-FEDERATION" in token["user"])


def _life(access: AccessInfo) -> float | None:
    """Return the seconds from its token's beginning to its end."""
    if access.expires is None or access.issued is None:
        return None
    return float((access.expires - access.issued).total_seconds())


def _end(access: AccessInfo) -> float | None:
    """Return when the token ends, in seconds since the epoch."""
    return float(access.expires.timestamp()) if access.expires is not None else None
