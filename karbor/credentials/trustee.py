"""Trustee: the account that users' trusts are made for, and what it does with them in Keystone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import requests
from keystoneauth1 import exceptions as ksa
from keystoneauth1 import loading
from keystoneauth1.identity import generic, v3
from keystoneauth1.identity.base import BaseIdentityPlugin
from keystoneauth1.plugin import AUTH_INTERFACE
from keystoneauth1.session import Session
from requests.adapters import BaseAdapter

from karbor.config import ConfigOpts, trustee_section
from karbor.credentials.credential import Grant
from karbor.credentials.refusals import (
    deletion_refused,
    grant_refused,
    service_login_refused,
    trust_login_refused,
    unreachable,
)
from karbor.credentials.renewing_login import RenewingLogin
from karbor.credentials.service_auth import ServiceAuth
from karbor.credentials.session import OperationSession, open_session
from karbor.domain.errors import CredentialError, ServiceUserUnfit, TokenRejected

_SCOPE = ("project_id", "project_name", "project_domain_id", "project_domain_name", "domain_id",
          "domain_name", "system_scope", "tenant_id", "tenant_name")
TRUSTS = "/OS-TRUST/trusts"
KEYSTONE = {"service_type": "identity", "interface": AUTH_INTERFACE, "version": (3,)}


class Trustee:
    """One per process. Its password logs in for every trust it was given, as the user who gave it.

    Keystone lets no application credential do that, and a login for a trust has no project scope
    beside it: so the account has to be a user with a password, and what its section says of
    projects is used only for its own login (which lists what it was trusted with).
    """

    def __init__(self, conf: ConfigOpts, service: Callable[[], ServiceAuth],
                 adapter: BaseAdapter | None = None) -> None:
        self._conf = conf
        self.section = trustee_section(conf)
        self._service = service
        self._adapter = adapter
        self._own: OperationSession | None = None
        self._making = threading.Lock()

    def unfit(self) -> str:
        """Return why it can hold no trusts, without asking Keystone; empty if it can."""
        try:
            self._load()
        except CredentialError as error:
            return error.message
        return ""

    @property
    def user_id(self) -> str:
        """The id of the user that trusts are made for. Raises ServiceUserUnfit,
        KeystoneUnreachable."""
        session = self._session()
        auth: Any = session.auth
        return str(auth.get_access(session).user_id)

    def login(self, trust_id: str,
              explain: Callable[[Exception], CredentialError] | None = None) -> RenewingLogin:
        """Return the login as the user who made the trust, not yet tried; renews itself while
        the trust lasts. Keystone does not say why it refuses one: `explain` finds out, if it is
        given."""
        inner = self._load(trust_id=trust_id, **dict.fromkeys(_SCOPE))

        def plain(error: Exception) -> CredentialError:
            return trust_login_refused(error, auth_url=inner.auth_url)

        # Over its own session, for the CA and time limits of the section.
        return RenewingLogin(inner, session=self._session(), explain=explain or plain)

    def find(self, wanted: Grant, trustor: str, project_id: str) -> Grant | None:
        """Return a trust that may have been made by a request whose answer nobody heard; see Grant.

        Raises CredentialError."""
        for one in self.held():
            if (one["expires_at"] == wanted.expires_at and one["trustor_user_id"] == trustor
                    and one["project_id"] == project_id):
                return replace(wanted, id=str(one["id"]))
        return None

    def held(self) -> Sequence[Mapping[str, Any]]:
        """Return every trust that this account holds, as Keystone tells it: of whatever
        installation of Karbor that uses the account. Raises CredentialError."""
        answer = self._ask(TRUSTS, params={"trustee_user_id": self.user_id})
        found: Sequence[Mapping[str, Any]] = answer.json()["trusts"]
        return found

    def exists(self, grant: Grant) -> bool:
        """Return whether Keystone still has the trust, whatever has become of its user. Raises
        CredentialError."""
        return self._ask(f"{TRUSTS}/{grant.id}", missing=404).status_code != 404

    def end(self, grant: Grant) -> None:
        """Remove the trust, by its own rights. What is gone already is well. Raises
        CredentialError when it could not be removed."""
        auth = self.login(grant.id)
        session = open_session(self._conf, auth, adapter=self._adapter, **self._verification())
        try:
            session.delete(f"{TRUSTS}/{grant.id}", endpoint_filter=KEYSTONE, log=False)
        except ksa.NotFound:
            return
        except TokenRejected:
            if self.exists(grant):
                raise
        except (ksa.ClientException, OSError) as error:
            raise deletion_refused(error, f"the trust {grant.id}",
                                   auth_url=auth.auth_url) from None
        finally:
            session.close()

    def _ask(self, path: str, *, missing: int = 0, **options: Any) -> requests.Response:
        """Read something of Keystone on its own login; `missing` is an answer like others."""
        try:
            answer: requests.Response = self._session().get(
                path, endpoint_filter=KEYSTONE, log=False, raise_exc=False, **options)
            if answer.status_code >= 400 and answer.status_code != missing:
                raise ksa.from_response(answer, "GET", path)
        except (ksa.ClientException, OSError) as error:
            raise self._refused(error) from None
        return answer

    def _session(self) -> OperationSession:
        """Return the session of its own login; that of [service_user] where it is the same
        account."""
        if self.section == "service_user":
            return self._service().session
        with self._making:
            if self._own is None:
                inner = self._load()
                auth = RenewingLogin(inner, explain=lambda error: service_login_refused(
                    error, auth_url=inner.auth_url, section=self.section))
                self._own = open_session(self._conf, auth, adapter=self._adapter,
                                         **self._verification())
            return self._own

    def _verification(self) -> dict[str, Any]:
        section = self._conf.service_user
        return {"verify": False if section.insecure else section.cafile or True,
                "cert": (section.certfile, section.keyfile) if section.keyfile
                else section.certfile}

    def _load(self, **changes: Any) -> BaseIdentityPlugin:
        try:
            inner = loading.load_auth_from_conf_options(self._conf, self.section, **changes)
        except ksa.ClientException as error:
            raise ServiceUserUnfit(
                f"[{self.section}] is incomplete: {' '.join(str(error).split())}") from error
        if not isinstance(inner, generic.Password | v3.Password):
            raise ServiceUserUnfit(
                f"the account of [{self.section}] logs in with "
                f"{self._conf[self.section].auth_type or 'something'} and not with a password: "
                "Keystone lets it hold no trusts",
                remedy="give [trustee] a user with a password")
        return inner

    def _refused(self, error: Exception) -> CredentialError:
        url = self._conf[self.section].auth_url
        return unreachable(error, url) or ServiceUserUnfit(
            f"the account of [{self.section}] may not list its trusts: "
            f"{' '.join(str(error).split())}")


def grant_trust(session: Session, wanted: Grant, *, trustor: str, trustee: str,
                project_id: str, role_ids: Iterable[str]) -> Grant:
    """Make a trust on the user's own session, while the user's token lives. It is impersonating
    (things belong to the user), cannot be passed on, and ends by itself.

    Raises CredentialError with Keystone's reason; nothing has been made then, unless Keystone
    could not be heard (KeystoneUnreachable)."""
    body = {"trust": {
        "trustor_user_id": trustor, "trustee_user_id": trustee, "project_id": project_id,
        "impersonation": True, "allow_redelegation": False, "expires_at": wanted.expires_at,
        "roles": [{"id": role_id} for role_id in role_ids]}}
    try:
        answer = session.post(TRUSTS, json=body, endpoint_filter=KEYSTONE, log=False)
    except (ksa.ClientException, OSError) as error:
        raise grant_refused(error, "a trust", auth_url=None) from None
    return Grant(str(answer.json()["trust"]["id"]), wanted.expires_at, wanted.roles)


def keystone_time(moment: float) -> str:
    """Return a moment (seconds since the epoch) as Keystone writes it. It keeps whole seconds of a
    trust's end."""
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
