"""Vouched auth: a user's token, and beside it the service account's word for it."""

from __future__ import annotations

from typing import Any

from keystoneauth1.access import AccessInfo
from keystoneauth1.identity.access import AccessInfoPlugin
from keystoneauth1.plugin import BaseAuthPlugin
from keystoneauth1.service_token import SERVICE_AUTH_HEADER_NAME, ServiceTokenAuthWrapper
from keystoneauth1.session import Session

from karbor.credentials.service import ServiceAuth
from karbor.domain.errors import ServiceUserUnfit


class VouchedAuth(ServiceTokenAuthWrapper):  # type: ignore[misc]
    """keystoneauth's wrapper, which never falls back to the bare user token: without a service
    token there is no request."""

    user_auth: AccessInfoPlugin
    service_auth: ServiceAuth

    def __init__(self, user: AccessInfoPlugin, service: ServiceAuth) -> None:
        super().__init__(user_auth=user, service_auth=service)

    def get_headers(self, session: Session) -> dict[str, str]:
        headers = dict(super().get_headers(session) or {})
        if not headers.get(SERVICE_AUTH_HEADER_NAME) or not headers.get("X-Auth-Token"):
            raise ServiceUserUnfit("there is no service token to vouch for the user")
        return headers

    def get_access(self, session: Session, **_ignored: Any) -> AccessInfo:
        """The user's: whose project, roles and catalog count."""
        return self.user_auth.get_access(session)


def has_service_token(auth: BaseAuthPlugin) -> bool:
    return isinstance(auth, ServiceTokenAuthWrapper)
