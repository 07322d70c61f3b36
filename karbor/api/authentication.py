"""Authentication: Keystone's own middleware in front of everything below /v1."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import webob.exc
from keystonemiddleware import auth_token
from oslo_config.cfg import ConfigOpts

from karbor import config
from karbor.domain.errors import BadInput, KeystoneUnreachable

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Auth = Callable[[Wsgi], Wsgi]
"""Puts itself in front of an application, which then finds who asks in the environment."""

SECTION = "keystone_authtoken"
SERVICE_TYPE = "data-protect"


def keystone(conf: ConfigOpts) -> Auth:
    """As [keystone_authtoken] says, or, where that names no account, with that of [service_user].

    Raises BadInput when neither does.
    """
    options = _options(conf)

    def wrap(application: Wsgi) -> Wsgi:
        made: Wsgi = _AuthToken(application, dict(options, oslo_config_config=conf))
        return made

    return wrap


class _AuthToken(auth_token.AuthProtocol):      # type: ignore[misc]
    """Tells its failures in the shape of this API."""

    def process_request(self, request: Any) -> Any:
        try:
            return super().process_request(request)
        except webob.exc.HTTPServiceUnavailable as error:
            raise KeystoneUnreachable("The Keystone service is temporarily unavailable.",
                                      remedy="try again later") from error


def _options(conf: ConfigOpts) -> dict[str, Any]:
    """What is said to the middleware beyond the section of its own. Everything is a text there."""
    for group, options in auth_token.list_opts():
        conf.register_opts(options, group=group)
    own = conf[SECTION]
    said: dict[str, Any] = {
        "delay_auth_decision": "False",     # nothing below /v1 is for people without a token
        "service_type": own.service_type or SERVICE_TYPE}   # for access rules
    if not _given(conf, "service_token_roles_required"):
        # Otherwise users could pass off their own tokens as those of services.
        said["service_token_roles_required"] = "True"   # noqa: S105 - no password
    if not _given(conf, "service_token_roles"):
        said["service_token_roles"] = conf.credentials.service_role
    if own.auth_type or own.auth_section:
        return said
    if not config.service_user_configured(conf):
        raise BadInput("neither [keystone_authtoken] nor [service_user] names an account, so "
                       "nobody's token can be checked",
                       remedy="give [service_user] auth_type = password and its options")
    return said | _from_service_user(conf)


def _from_service_user(conf: ConfigOpts) -> dict[str, Any]:
    section = conf.service_user.auth_section or "service_user"
    said: dict[str, Any] = {"auth_section": section}
    for name in ("cafile", "certfile", "keyfile", "insecure"):
        value = conf.service_user[name]
        if value:
            said[name] = str(value)
    return said


def _given(conf: ConfigOpts, name: str) -> bool:
    """Whether the operator said anything, rather than the library's default."""
    location = conf.get_location(name, group=SECTION)
    return location is not None and location.location.is_user_controlled
