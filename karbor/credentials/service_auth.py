"""Service auth: the account of [service_user], which vouches for users whose tokens expired."""

from __future__ import annotations

from keystoneauth1 import exceptions as ksa
from keystoneauth1 import loading
from keystoneauth1.access import AccessInfo
from keystoneauth1.identity.base import BaseIdentityPlugin
from requests.adapters import BaseAdapter

from karbor.config import ConfigOpts, service_user_configured
from karbor.credentials.refusals import service_login_refused
from karbor.credentials.renewing_login import RenewingLogin
from karbor.credentials.session import OperationSession, open_session
from karbor.domain.errors import ServiceUserUnfit


class ServiceAuth(RenewingLogin):
    """The service account's login, made once per process and kept fresh by itself.

    Whatever session it is asked over, it talks to Keystone over its own (with the CA and time
    limits of [service_user]). Raises ServiceUserUnfit when the account cannot do its duty, and
    KeystoneUnreachable.
    """

    def __init__(self, conf: ConfigOpts, adapter: BaseAdapter | None = None) -> None:
        inner = _load(conf)
        self.role: str = conf.credentials.service_role
        super().__init__(
            inner, check=self._check_fitness,
            explain=lambda error: service_login_refused(error, auth_url=inner.auth_url))
        section = conf.service_user
        self.session: OperationSession = open_session(
            conf, self, adapter=adapter,
            verify=False if section.insecure else section.cafile or True,
            cert=(section.certfile, section.keyfile) if section.keyfile else section.certfile)
        if section.timeout is not None:
            self.session.timeouts = (float(section.timeout), float(section.timeout))
        self.session.transport.name(inner.auth_url or "", "keystone")
        self._session = self.session

    def prove(self) -> None:
        """Log in now, if there is no login yet, and see whether the account is fit."""
        self.get_access(self.session)

    def _check_fitness(self, access: AccessInfo) -> None:
        name = access.username or "its account"
        if not access.project_scoped:
            raise ServiceUserUnfit(
                f"the login of [service_user] ({name}) is for no project, so its roles do not "
                "count", remedy="name project_name and project_domain_name in that section")
        if self.role not in access.role_names:
            roles = ", ".join(sorted(access.role_names)) or "none"
            raise ServiceUserUnfit(
                f"the account of [service_user] ({name}) lacks the role {self.role} in the project "
                f"{access.project_name} (it has: {roles})",
                remedy=f"openstack role add --user {name} --project {access.project_name} "
                       f"{self.role}")


def _load(conf: ConfigOpts) -> BaseIdentityPlugin:
    if not service_user_configured(conf):
        raise ServiceUserUnfit("there is no [service_user] in the configuration",
                               remedy="configure it, or use your own login")
    try:
        inner = loading.load_auth_from_conf_options(conf, "service_user")
    except ksa.ClientException as error:
        raise ServiceUserUnfit(
            f"[service_user] is incomplete: {' '.join(str(error).split())}") from error
    if not isinstance(inner, BaseIdentityPlugin):
        raise ServiceUserUnfit(
            f"[service_user] auth_type {conf.service_user.auth_type} logs nobody in",
            remedy="use password, or another type that asks Keystone for a token")
    return inner
