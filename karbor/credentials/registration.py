"""Register application credentials with which users let Karbor log in as them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from keystoneauth1 import exceptions as ksa
from keystoneauth1.identity import v3

from karbor.credentials.application_credential_lookup import describe, path_of
from karbor.credentials.authority import Authority, Login
from karbor.credentials.own_login import read_own_login
from karbor.credentials.refusals import deletion_refused, grant_refused, login_refused
from karbor.credentials.renewing_login import RenewingLogin
from karbor.credentials.session import OperationSession, open_session
from karbor.credentials.trustee import KEYSTONE, keystone_time
from karbor.domain.application_credential import ApplicationCredential
from karbor.domain.errors import BadInput


class Registrar:
    """Of one live login. What it returns is sealed; what it makes in Keystone is restricted (it
    can make no further credentials), for this project, with few roles."""

    def __init__(self, authority: Authority, login: Login,
                 clock: Callable[[], float] = time.time) -> None:
        self._authority = authority
        self._login = login
        self._clock = clock

    def planned(self, days: float | None) -> ApplicationCredential:
        """Return a registration before anything is made for it: with the name that it is found
        by."""
        caller, now = self._login.caller, self._clock()
        identity = str(uuid.uuid4())
        return ApplicationCredential(
            identity, self._login.auth_url, caller.project_id, caller.user_id, "",
            f"karbor {identity}", "", True, None if days is None else now + days * 86400, now)

    def make(self, planned: ApplicationCredential, roles: Sequence[str]) -> ApplicationCredential:
        """Make the application credential with the user's own login. `roles`: none named, those of
        [credentials] trust_roles that the user has. Raises BadInput, TokenRejected (Keystone
        refuses it to logins that are delegated themselves), KeystoneUnreachable."""
        caller = self._login.caller
        wanted = list(roles) or sorted(
            set(self._authority.conf.credentials.trust_roles) & set(caller.roles))
        missing = sorted(set(wanted) - set(caller.roles))
        if missing or not wanted:
            raise BadInput(
                f"the user has not the roles {', '.join(missing)} in this project" if missing else
                "the user has none of the roles that [credentials] trust_roles names",
                remedy="name with --role some that the user has: " + ", ".join(caller.roles))
        body: dict[str, Any] = {
            "name": planned.name, "unrestricted": False,
            "description": "lets Karbor finish operations of this project and run its schedules",
            "roles": [{"name": one} for one in wanted]}
        if planned.expires_at is not None:
            body["expires_at"] = keystone_time(planned.expires_at)
        try:
            answer = self._login.session.post(
                path_of(caller.user_id), json={"application_credential": body},
                endpoint_filter=KEYSTONE, log=False)
        except (ksa.ClientException, OSError) as error:
            raise grant_refused(error, "an application credential",
                                auth_url=self._login.auth_url) from None
        made = answer.json()["application_credential"]
        return replace(planned, application_credential_id=str(made["id"]),
                       sealed=self._authority.seal.seal(str(made["secret"])))

    def take(self, id: str, secret: str) -> ApplicationCredential:
        """Register an application credential that the user has made: it is tried first. Raises
        LoginFailed, BadInput when it is another user's or for another project,
        KeystoneUnreachable."""
        session = self._session(id, secret)
        try:
            auth: Any = session.auth
            access = auth.get_access(session)
            caller = self._login.caller
            if (access.user_id, access.project_id) != (caller.user_id, caller.project_id):
                raise BadInput(f"the application credential {id} is another user's, or for another "
                               "project than this login")
            about = describe(session, access.user_id, id)
        finally:
            session.close()
        return ApplicationCredential(
            str(uuid.uuid4()), self._login.auth_url, access.project_id, access.user_id, id,
            about.name, self._authority.seal.seal(secret), False, about.expires_at, self._clock())

    def own(self) -> ApplicationCredential:
        """Return the application credential that this login itself is made with. Raises BadInput
        when it is made with something else, and as `take`."""
        inner = read_own_login(self._login.credential.cloud or None).auth.inner
        id = self._login.caller.application_credential_id
        if not isinstance(inner, v3.ApplicationCredential) or not id:
            raise BadInput("this login is not made with an application credential",
                           remedy="name one with --id, or let Karbor make one")
        [method] = inner.auth_methods
        return self.take(id, method.application_credential_secret)

    def remove(self, registration: ApplicationCredential) -> None:
        """Remove an application credential from Keystone, where Karbor made it. Raises
        TokenRejected, KeystoneUnreachable."""
        if not registration.made_here:
            return
        user, what = registration.user_id, f"the application credential {registration.name}"
        try:
            found = registration.application_credential_id or self._by_name(registration)
            if found:
                self._login.session.delete(f"{path_of(user)}/{found}", log=False,
                                           endpoint_filter=KEYSTONE)
        except ksa.NotFound:
            return
        except (ksa.ClientException, OSError) as error:
            raise deletion_refused(error, what, auth_url=self._login.auth_url) from None

    # ------------------------------------------------------------------ what they share
    def _by_name(self, registration: ApplicationCredential) -> str | None:
        """Return the id of one whose making was cut off before its id was written down."""
        answer = self._login.session.get(
            path_of(registration.user_id), params={"name": registration.name},
            endpoint_filter=KEYSTONE, log=False)
        return next(
            (
                str(application_credential["id"])
                for application_credential in answer.json()["application_credentials"]
                if application_credential["name"] == registration.name
            ),
            None,
        )

    def _session(self, id: str, secret: str) -> OperationSession:
        url = self._login.auth_url
        inner = v3.ApplicationCredential(url, application_credential_id=id,
                                         application_credential_secret=secret)
        auth = RenewingLogin(inner, explain=lambda error: login_refused(
            error, who=f"the application credential {id}", auth_url=url,
            remedy="check its id and secret"))
        endpoint_settings = self._login.credential.endpoint_settings
        return open_session(
            self._authority.conf,
            auth,
            verify=endpoint_settings.verify,
            cert=endpoint_settings.cert,
            adapter=self._authority.adapter,
        )
