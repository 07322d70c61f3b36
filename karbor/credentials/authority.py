"""Authority: chooses how a caller is represented, and brings that to life again elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from keystoneauth1.access import AccessInfo
from keystoneauth1.plugin import BaseAuthPlugin
from requests.adapters import BaseAdapter

from karbor.config import ConfigOpts, key_file, service_user_configured
from karbor.credentials.credential import Credential
from karbor.credentials.own_login import OwnLogin, read_own_login
from karbor.credentials.place import Place
from karbor.credentials.seal import Seal
from karbor.credentials.service import ServiceAuth
from karbor.credentials.session import OperationSession, open_session
from karbor.credentials.user import rebuild, user_auth
from karbor.credentials.vouched import VouchedAuth
from karbor.domain.caller import Caller
from karbor.domain.errors import LoginFailed
from karbor.domain.ladder import Rung


@dataclass(frozen=True)
class Login:
    """A live credential: who it is, how that is kept, and the session that speaks for it."""

    caller: Caller
    credential: Credential
    session: OperationSession

    @property
    def access(self) -> AccessInfo:
        """The user's login as it stands: project, roles, catalog. May renew it."""
        auth: Any = self.session.auth
        return auth.get_access(self.session)

    @property
    def auth_url(self) -> str:
        """Which Keystone it is about."""
        auth: Any = self.session.auth
        return str(getattr(auth, "user_auth", auth).auth_url or "")


class Authority:
    """One per process: holds the one service login and what sessions may share.

    With a [service_user] in the configuration every operation speaks with the user's token and
    the service token beside it, and nothing else: there is no falling back to the bare token, and
    a service account that cannot do its duty is an error before anything is touched. Without one
    the user's own login is used and renews itself. `adapter` replaces the network in tests.
    """

    def __init__(self, conf: ConfigOpts, *, adapter: BaseAdapter | None = None) -> None:
        self.conf = conf
        self.adapter = adapter
        self.seal = Seal(key_file(conf))
        self._discovery: dict[str, Any] = {}
        self._service: ServiceAuth | None = None
        self._making = threading.Lock()

    def service(self) -> ServiceAuth:
        """The service account's login, proved fit when it is first made. A failure is not
        remembered. Raises ServiceUserUnfit, KeystoneUnreachable."""
        with self._making:
            if self._service is None:
                service = ServiceAuth(self.conf, self.adapter)
                service.prove()
                self._service = service
            return self._service

    def represent(self, cloud: str | None) -> Login:
        """Log in as clouds.yaml says, at the acceptance of an operation.

        Raises UnknownName, LoginFailed, KeystoneUnreachable, ServiceUserUnfit, CredentialError.
        """
        vouched = service_user_configured(self.conf)
        service = self.service() if vouched else None
        own = read_own_login(cloud)
        session = self._session(own.auth, own.place)
        access = own.auth.get_access(session)
        if not access.project_scoped:
            raise LoginFailed(f"the login of cloud {own.cloud} is for no project",
                              remedy="name project_name and project_domain_name in clouds.yaml")
        if service is None:
            return self._on_own_login(own, access, session)
        session.close()
        return self._vouched(own, access, service)

    def resume(self, credential: Mapping[str, Any]) -> Login:
        """Speak for the caller of an operation that another process accepted.

        Raises as `represent`, and TokenRejected when the user's token is over.
        """
        kept = Credential.from_dict(credential)
        if kept.rung is Rung.OWN_LOGIN:
            own = read_own_login(kept.cloud)
            session = self._session(own.auth, own.place)
            login = self._on_own_login(own, own.auth.get_access(session), session)
            _same(kept, login.credential)
            return login
        service = self.service()
        user = rebuild(self.seal.open(kept.sealed), service)
        session = self._session(VouchedAuth(user, service), kept.place)
        access = user.get_access(session)
        _same(kept, replace(kept, user_id=access.user_id, project_id=access.project_id))
        return Login(_caller(access, _end(access)), kept, session)

    def _on_own_login(self, own: OwnLogin, access: AccessInfo, session: OperationSession) -> Login:
        end = None if own.renews else _end(access)
        why = ("no [service_user] is configured; the user's own login renews itself" if own.renews
               else "no [service_user] is configured; the login is a token, which ends")
        credential = Credential(Rung.OWN_LOGIN, own.cloud, access.user_id, access.project_id, why,
                                deadline=end, place=own.place)
        return Login(_caller(access, end), credential, session)

    def _vouched(self, own: OwnLogin, access: AccessInfo, service: ServiceAuth) -> Login:
        end = _end(access)
        window = self.conf.credentials.allow_expired_window
        # Something is left for what services do with the token after they were asked.
        deadline = None if end is None else end + window - min(900.0, window / 10)
        credential = Credential(
            Rung.USER_AND_SERVICE, own.cloud, access.user_id, access.project_id,
            "[service_user] vouches for the user's token after its end, while Keystone's window "
            "lasts", sealed=self.seal.seal(access.auth_token), deadline=deadline, place=own.place)
        body = {"token": access._data["token"]}
        user = user_auth(access.auth_token, body, own.auth.auth_url)
        session = self._session(VouchedAuth(user, service), own.place)
        return Login(_caller(access, end), credential, session)

    def _session(self, auth: BaseAuthPlugin, place: Place) -> OperationSession:
        session = open_session(self.conf, auth, verify=place.verify, cert=place.cert,
                               discovery=self._discovery, adapter=self.adapter)
        session.transport.name(getattr(auth, "auth_url", None) or "", "keystone")
        return session


def _same(kept: Credential, found: Credential) -> None:
    """An operation never goes on as somebody else, or in another project."""
    if (kept.user_id, kept.project_id) != (found.user_id, found.project_id):
        raise LoginFailed(
            f"the login of cloud {kept.cloud} is for another user or project now than when the "
            "operation began", remedy="restore the entry in clouds.yaml, or begin anew")


def _caller(access: AccessInfo, end: float | None) -> Caller:
    token = access._data["token"]
    return Caller(
        user_id=access.user_id, project_id=access.project_id, user_name=access.username,
        project_name=access.project_name, roles=tuple(access.role_names),
        methods=tuple(token.get("methods", ())), expires_at=end)


def _end(access: AccessInfo) -> float | None:
    """When the token ends, in seconds since the epoch."""
    return float(access.expires.timestamp()) if access.expires is not None else None
