"""Context: who sends a request, as Keystone's middleware found out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from oslo_context.context import RequestContext

from karbor.application.service_context import Requester
from karbor.domain.caller import Caller
from karbor.domain.errors import TokenRejected

WSGI = Mapping[str, Any]


@dataclass(frozen=True)
class Context(Requester):
    """The requester, and what the API itself wants to know of the request. The caller's project is
    empty for a token that is for the whole system, for a domain, or for nothing."""

    request_id: str
    global_request_id: str = ""
    system_scope: str = ""      # "all" for a token of the whole system
    domain_id: str = ""         # of a token that is for a domain
    credentials: Mapping[str, Any] = field(default_factory=dict, repr=False)    # for the policy

    @property
    def project_id(self) -> str:
        return self.caller.project_id


def from_environ(environ: WSGI) -> Context:
    """What auth_token left in the environment of the request. Raises TokenRejected when it has not
    let a token pass: then nobody is known."""
    body = environ.get("keystone.token_info")
    if environ.get("HTTP_X_IDENTITY_STATUS") != "Confirmed" or not isinstance(body, Mapping):
        raise TokenRejected("The request you have made requires authentication.")
    # This also gives log lines their ids; the token must not lie about in a thread.
    token = RequestContext.from_environ(dict(environ), auth_token=None, service_token=None)
    caller = Caller(
        user_id=token.user_id or "", project_id=token.project_id or "",
        user_name=token.user_name or "", project_name=token.project_name or "",
        roles=tuple(token.roles), **_facts(body.get("token", {})))
    return Context(
        caller, environ.get("HTTP_X_AUTH_TOKEN", ""), body, token.request_id,
        token.global_request_id or "", token.system_scope or "", token.domain_id or "",
        {**token.to_policy_values(), "domain_id": token.domain_id, "user": token.user_id})


def _facts(token: Mapping[str, Any]) -> dict[str, Any]:
    expires = token.get("expires_at")
    return {
        "methods": tuple(token.get("methods", ())),
        "expires_at": None if expires is None else datetime.fromisoformat(expires).timestamp(),
        "trust_id": (token.get("OS-TRUST:trust") or {}).get("id", ""),
        "application_credential_id": (token.get("application_credential") or {}).get("id", ""),
        "federated": "OS-FEDERATION" in token.get("user", {})}
