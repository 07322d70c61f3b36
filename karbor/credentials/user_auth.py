"""User auth: a user's token with what Keystone says of it, as a keystoneauth plugin.

Such a plugin never renews itself: who has only the token cannot log in again, and Keystone's own
API refuses an expired one. What keeps it useful after its end is the service token that goes
beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from keystoneauth1 import access
from keystoneauth1 import exceptions as ksa
from keystoneauth1.identity.access import AccessInfoPlugin
from keystoneauth1.plugin import AUTH_INTERFACE

from karbor.credentials.refusals import validation_refused
from karbor.credentials.service_auth import ServiceAuth
from karbor.domain.errors import CredentialError


def user_auth(token: str, body: Mapping[str, Any], auth_url: str | None = None
              ) -> AccessInfoPlugin:
    """Return the auth plugin of a token and its body as Keystone gave it ({"token": {…}}), for
    example what keystonemiddleware leaves in the environment of a request.

    Raises CredentialError for a body that is none of the v3 API.
    """
    if not isinstance(body.get("token"), Mapping):
        raise CredentialError("what came with the user's token does not describe a v3 token")
    return AccessInfoPlugin(access.AccessInfoV3(body=dict(body), auth_token=token), auth_url)


def token_body(info: access.AccessInfo) -> dict[str, Any]:
    """Return what Keystone said of a token: the value of `token` in its answer."""
    state: Any = json.loads(AccessInfoPlugin(info).get_auth_state())
    return dict(state["body"]["token"])


def rebuild(token: str, service: ServiceAuth) -> AccessInfoPlugin:
    """Return the auth plugin of the bare token alone, by the service account's rights; also after
    the token's end, as long as Keystone's window lasts.

    One request. The answer has the user's present roles and catalog. Raises TokenRejected,
    ServiceUserUnfit, KeystoneUnreachable (transient).
    """
    try:
        answer = service.session.get(
            "/auth/tokens?allow_expired=1",
            endpoint_filter={"service_type": "identity", "interface": AUTH_INTERFACE,
                             "version": (3,)},
            headers={"X-Subject-Token": token, "Accept": "application/json"}, log=False)
    except (ksa.ClientException, OSError) as error:
        # Without the cause: its traceback has the request and, with it, the token.
        raise validation_refused(error, auth_url=service.auth_url) from None
    return user_auth(token, answer.json(), service.auth_url)
