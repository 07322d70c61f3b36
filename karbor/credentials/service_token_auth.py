"""Service token auth: a user's token, and beside it a service token, which makes it good for
longer."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from keystoneauth1.access import AccessInfo
from keystoneauth1.identity.access import AccessInfoPlugin
from keystoneauth1.plugin import BaseAuthPlugin
from keystoneauth1.service_token import SERVICE_AUTH_HEADER_NAME, ServiceTokenAuthWrapper
from keystoneauth1.session import Session

from karbor.credentials.renewing_login import RenewingLogin
from karbor.credentials.service_auth import ServiceAuth
from karbor.domain.errors import ServiceUserUnfit


class ServiceTokenAuth(ServiceTokenAuthWrapper):  # type: ignore[misc]
    """keystoneauth's wrapper, which never falls back to the bare user token: without a service
    token there is no request. The user is one who has only a token, or a login of ours as the
    user (a trust, an application credential), which renews itself."""

    user_auth: AccessInfoPlugin | RenewingLogin
    service_auth: ServiceAuth

    def __init__(self, user: AccessInfoPlugin | RenewingLogin, service: ServiceAuth) -> None:
        super().__init__(user_auth=user, service_auth=service)

    def get_headers(self, session: Session) -> dict[str, str]:
        headers = dict(super().get_headers(session) or {})
        if not headers.get(SERVICE_AUTH_HEADER_NAME) or not headers.get("X-Auth-Token"):
            raise ServiceUserUnfit("there is no service token to vouch for the user")
        return headers

    def get_access(self, session: Session, **_ignored: Any) -> AccessInfo:
        """Return the user's: whose project, roles and catalog count."""
        return self.user_auth.get_access(session)


class DelegatingAuth(BaseAuthPlugin):  # type: ignore[misc]
    """A plugin that lets another one speak, which may be another one at the next request."""

    @property
    @abstractmethod
    def inner(self) -> BaseAuthPlugin: ...

    def get_token(self, session: Session) -> Any:
        return self.inner.get_token(session)

    def get_endpoint(self, session: Session, **options: Any) -> Any:
        return self.inner.get_endpoint(session, **options)

    def get_endpoint_data(self, session: Session, **options: Any) -> Any:
        return self.inner.get_endpoint_data(session, **options)

    def get_api_major_version(self, session: Session, **options: Any) -> Any:
        return self.inner.get_api_major_version(session, **options)

    def get_connection_params(self, session: Session) -> Any:
        return self.inner.get_connection_params(session)

    def get_user_id(self, session: Session) -> Any:
        return self.inner.get_user_id(session)

    def get_project_id(self, session: Session) -> Any:
        return self.inner.get_project_id(session)

    def get_sp_auth_url(self, session: Session, sp_id: str) -> Any:
        return self.inner.get_sp_auth_url(session, sp_id)

    def get_sp_url(self, session: Session, sp_id: str) -> Any:
        return self.inner.get_sp_url(session, sp_id)
