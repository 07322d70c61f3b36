"""Account: a login of the operator's own, for what is nobody's in particular: the bank in Swift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keystoneauth1 import exceptions as ksa
from keystoneauth1 import loading
from keystoneauth1.identity.base import BaseIdentityPlugin

from karbor.config import service_user_configured
from karbor.credentials.authority import Authority, Login
from karbor.credentials.credential import Credential
from karbor.credentials.endpoint_settings import EndpointSettings
from karbor.credentials.refusals import service_login_refused
from karbor.credentials.renewing_login import RenewingLogin
from karbor.credentials.session import OperationSession, open_session
from karbor.domain.caller import Caller
from karbor.domain.credential_chain import CredentialKind
from karbor.domain.errors import ServiceUserUnfit


@dataclass(frozen=True)
class OperatorAccount:
    """What a section says: `auth` are keystoneauth's own options, with `auth_type` among them;
    empty: the account of [service_user]."""

    section: str
    auth: Mapping[str, str] = field(default_factory=dict, repr=False)
    endpoint_settings: EndpointSettings = field(default_factory=EndpointSettings)

    def log_in(self, authority: Authority) -> Login:
        """Return the login, which renews itself. Raises ServiceUserUnfit, KeystoneUnreachable."""
        if self.auth:
            session = self._own(authority)
        elif service_user_configured(authority.conf):
            service = authority.service()
            session = self._session(authority, service, service.session.verify,
                                    service.session.cert)
        else:
            raise ServiceUserUnfit(
                f"there is no account: [{self.section}] names none, and there is no [service_user]",
                remedy=f"give [{self.section}] an auth_type and its options")
        auth: Any = session.auth
        access = auth.get_access(session)
        if not access.project_scoped:
            raise ServiceUserUnfit(f"the login of [{self.section}] is for no project",
                                   remedy="name its project and the project's domain")
        caller = Caller(access.user_id, access.project_id, access.username or "",
                        access.project_name or "", tuple(access.role_names))
        credential = Credential(
            CredentialKind.OWN_LOGIN,
            f"[{self.section}]",
            access.user_id,
            access.project_id,
            "an account of the operator's",
            endpoint_settings=self.endpoint_settings,
            auth_url=auth.auth_url or "",
        )
        return Login(caller, credential, session)

    def _own(self, authority: Authority) -> OperationSession:
        inner = self._plugin()
        auth = RenewingLogin(inner, explain=lambda error: service_login_refused(
            error, auth_url=inner.auth_url, section=self.section))
        return self._session(
            authority, auth, self.endpoint_settings.verify, self.endpoint_settings.cert
        )

    def _plugin(self) -> BaseIdentityPlugin:
        try:
            loader = loading.get_plugin_loader(self.auth["auth_type"])
            plugin = loader.load_from_options_getter(self._value)
        except ksa.ClientException as error:
            raise ServiceUserUnfit(
                f"[{self.section}] is incomplete: {' '.join(str(error).split())}") from error
        if not isinstance(plugin, BaseIdentityPlugin):
            raise ServiceUserUnfit(f"[{self.section}] auth_type {self.auth['auth_type']} logs "
                                   "nobody in", remedy="use password, or another type that asks "
                                   "Keystone for a token")
        return plugin

    def _value(self, option: Any) -> str | None:
        names = [option.dest, *(one.dest for one in option.deprecated)]
        return next((self.auth[name] for name in names if name in self.auth), None)

    @staticmethod
    def _session(authority: Authority, auth: BaseIdentityPlugin, verify: bool | str,
                 cert: Any) -> OperationSession:
        session = open_session(authority.conf, auth, verify=verify, cert=cert,
                               adapter=authority.adapter)
        session.transport.name(auth.auth_url or "", "keystone")
        return session


def auth_options(auth_type: str) -> frozenset[str]:
    """Return the options that a type of keystoneauth has, by their names in a file. Raises
    ServiceUserUnfit."""
    try:
        loader = loading.get_plugin_loader(auth_type)
    except ksa.ClientException as error:
        raise ServiceUserUnfit(f"there is no auth_type {auth_type}") from error
    return frozenset(name for get_option in loader.get_options()
                     for name in (get_option.dest, *(old.dest for old in get_option.deprecated)))
