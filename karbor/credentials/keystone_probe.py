"""Keystone as the doctor sees it: logins looked at as they are, and tokens that are over."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from keystoneauth1 import exceptions as ksa
from keystoneauth1.access import AccessInfo
from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from karbor.config import ConfigOpts
from karbor.credentials.own_login import OwnLogin, read_own_login
from karbor.credentials.raw_requests import Asker
from karbor.credentials.refusals import login_refused
from karbor.credentials.seal import Seal
from karbor.credentials.service_auth import ServiceAuth
from karbor.credentials.session import OperationSession, open_session
from karbor.credentials.user_auth import token_body
from karbor.domain.caller import Caller
from karbor.domain.errors import CloudError, CredentialError, LoginFailed
from karbor.plugin.token_probe import Account, Answer


class UnprovedService(ServiceAuth):
    """The service account's login, whether or not it is fit: that is what is to be found out."""

    def _check_fitness(self, access: AccessInfo) -> None:
        pass


class KeystoneProbe:
    """The half of `plugin.token_probe.TokenProbe` that is about Keystone; the contract is there."""

    def __init__(self, conf: ConfigOpts, cloud: str | None, seal: Seal) -> None:
        self.conf = conf
        self.seal = seal
        self.own: OwnLogin = read_own_login(cloud)
        self.session: OperationSession = open_session(
            conf,
            self.own.auth,
            verify=self.own.endpoint_settings.verify,
            cert=self.own.endpoint_settings.cert,
        )
        self.asker = Asker(conf, self.own.endpoint_settings)
        self._service: UnprovedService | None = None
        self._probe_token = ""
        begun = time.time()
        self._first: AccessInfo = self.own.auth.get_access(self.session)
        # Keystone cuts the time to whole seconds: half of one is what it lacks on average.
        self.ahead = float(self._first.issued.timestamp()) + 0.5 - (begun + time.time()) / 2
        if not self._first.project_scoped:
            raise LoginFailed(f"the login of cloud {self.own.cloud} is for no project",
                              remedy="name project_name and project_domain_name in clouds.yaml")

    @property
    def auth_url(self) -> str:
        url = str(self.own.auth.auth_url).rstrip("/")
        return url if url.endswith("/v3") else f"{url}/v3"

    @property
    def access(self) -> AccessInfo:
        """The login as it was at the beginning: whose end is predicted."""
        return self._first

    def user(self) -> Account:
        return replace(described(self._first), renews=self.own.renews, ahead=self.ahead)

    def service(self) -> Account:
        return described(self._serving())

    # ------------------------------------------------------------------ tokens, for the hands
    def user_token(self) -> str:
        """Return a token of the login; a live one where the login can renew itself."""
        return str(self.own.auth.get_access(self.session).auth_token)

    def service_token(self) -> str:
        return str(self._serving().auth_token)

    def renew(self) -> None:
        """Drop the tokens there are, for new ones at the next use."""
        self.own.auth.invalidate()
        if self._service is not None:
            self._service.invalidate()

    def probe_token_token(self) -> str:
        return self._probe_token

    # ------------------------------------------------------------------ probe tokens
    def validate(self, *, allow_expired: bool, fresh: bool = False) -> Answer:
        return self._validate(self._probe_token, allow_expired=allow_expired, fresh=fresh)

    def take_probe_token(self) -> float:
        access = self.own.auth.get_auth_ref(self.session)
        self._probe_token = str(access.auth_token)
        return float(access.expires.timestamp())

    def make_probe_token(self, name: str, life: float) -> float:
        ends = time.time() + self.ahead + life
        made = self.asker.send(
            "POST", self._credentials(), {"X-Auth-Token": self.user_token()},
            json={"application_credential": {
                "name": name, "description": "karbor doctor: removed when it has ended",
                "expires_at": datetime.fromtimestamp(ends, UTC).strftime(
                    "%Y-%m-%dT%H:%M:%S.%fZ")}})
        if made.status != 201:
            raise CloudError(f"Keystone makes no application credential ({made.status}): "
                             f"{made.text}", service="keystone")
        one = made.body["application_credential"]
        plugin = v3.ApplicationCredential(
            self.auth_url, application_credential_id=one["id"],
            application_credential_secret=one["secret"])
        access = self._log_in(plugin, self.session, "the probe's application credential")
        self._probe_token = str(access.auth_token)
        return float(access.expires.timestamp())

    def drop_probe_token(self, name: str) -> Answer:
        bearing = {"X-Auth-Token": self.user_token()}
        answer = self.asker.send("GET", f"{self._credentials()}?name={name}", bearing)
        if not answer.good:
            return answer
        for application_credential in answer.body["application_credentials"]:
            removed = self.asker.send(
                "DELETE", f"{self._credentials()}/{application_credential['id']}", bearing
            )
            if not removed.good and removed.status != 404:
                return removed
        return Answer(204)

    def lay_aside(self) -> tuple[str, float]:
        service = self.service_auth()
        plugin = v3.Token(self.auth_url, self.service_token(), unscoped=True)
        access = self._log_in(plugin, service.session, "[service_user], for no project,")
        return self.seal.seal(access.auth_token), float(access.expires.timestamp())

    def validate_sealed(self, sealed: str) -> Answer:
        return self._validate(self.seal.open(sealed), allow_expired=True)

    def try_registered(self, id: str, sealed: str) -> Answer:
        try:
            self._log_in(
                v3.ApplicationCredential(self.auth_url, application_credential_id=id,
                                         application_credential_secret=self.seal.open(sealed)),
                self.session, "the registered application credential")
        except CredentialError as error:
            return Answer(0, error.message) if error.transient else Answer(401, error.message)
        return Answer(201)

    def close(self) -> None:
        self._probe_token = ""
        self.session.close()
        self.asker.close()
        if self._service is not None:
            self._service.session.close()

    # ------------------------------------------------------------------
    def _serving(self) -> AccessInfo:
        service = self.service_auth()
        return service.get_access(service.session)

    def service_auth(self) -> UnprovedService:
        if self._service is None:
            self._service = UnprovedService(self.conf)
        return self._service

    def _validate(self, token: str, *, allow_expired: bool, fresh: bool = False) -> Answer:
        url = f"{self.auth_url}/auth/tokens" + ("?allow_expired=1" if allow_expired else "")
        answer = Answer(0)
        for _ in range(2):
            bearing = {"X-Auth-Token": self.service_token(), "X-Subject-Token": token}
            if fresh:
                bearing["Connection"] = "close"
            answer = self.asker.send("GET", url, bearing)
            if answer.status != 401:
                break
            self.service_auth().invalidate()    # its own key may have been rotated away
        return answer

    def _credentials(self) -> str:
        return f"{self.auth_url}/users/{self._first.user_id}/application_credentials"

    def _log_in(self, plugin: Any, session: Session, who: str) -> AccessInfo:
        try:
            return plugin.get_auth_ref(session)
        except (ksa.ClientException, OSError) as error:
            raise login_refused(error, who=who, auth_url=self.auth_url, remedy="") from None


def described(access: AccessInfo) -> Account:
    """Return what Keystone said of a login, without its token."""
    token = token_body(access)
    credential = token.get("application_credential") or {}
    expires = float(access.expires.timestamp()) if access.expires else float("inf")
    scoped = bool(access.project_scoped)
    caller = Caller(
        user_id=access.user_id, project_id=access.project_id or "", user_name=access.username,
        project_name=access.project_name or "", roles=tuple(access.role_names) if scoped else (),
        methods=tuple(token.get("methods", ())), expires_at=expires,
        trust_id=(token.get("OS-TRUST:trust") or {}).get("id", ""),
        application_credential_id=credential.get("id", ""),
        federated="OS-FEDERATION" in token.get("user", {}))
    return Account(caller, float(access.issued.timestamp()), expires, _form(access.auth_token),
                   access_rules=bool(credential.get("access_rules")), project_scoped=scoped)


def _form(token: str) -> str:
    if token.startswith("gAAAA"):
        return "fernet"
    return "jws" if token.startswith("eyJ") else "unknown"
