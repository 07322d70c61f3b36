"""What is known of who asks."""

from __future__ import annotations

from typing import Any

import pytest
from oslo_context import context as oslo_context

from karbor.api.context import from_environ
from karbor.domain.caller import Caller
from karbor.domain.errors import TokenRejected

TOKEN = "gAAAAAsecret"
ENVIRON: dict[str, Any] = {
    "HTTP_X_IDENTITY_STATUS": "Confirmed", "HTTP_X_AUTH_TOKEN": TOKEN,
    "HTTP_X_SERVICE_TOKEN": "gAAAAAservice",
    "HTTP_X_USER_ID": "u", "HTTP_X_USER_NAME": "User", "HTTP_X_PROJECT_ID": "p",
    "HTTP_X_PROJECT_NAME": "Project", "HTTP_X_ROLES": "member,reader",
    "openstack.request_id": "req-1", "openstack.global_request_id": "req-2",
    "keystone.token_info": {"token": {
        "methods": ["application_credential"], "expires_at": "2026-11-26T08:00:00.000000Z",
        "user": {"id": "u", "OS-FEDERATION": {"groups": [{"id": "g"}]}},
        "application_credential": {"id": "ac"}, "OS-TRUST:trust": {"id": "t"}}}}


def test_the_caller_is_what_keystone_said() -> None:
    context = from_environ(ENVIRON)
    assert context.caller == Caller(
        "u", "p", "User", "Project", ("member", "reader"), ("application_credential",),
        1795680000.0, "t", "ac", federated=True)
    assert (context.request_id, context.global_request_id) == ("req-1", "req-2")
    assert context.token == TOKEN
    assert context.token_body is ENVIRON["keystone.token_info"]


def test_tokens_are_neither_shown_nor_left_lying_about() -> None:
    context = from_environ(ENVIRON)
    left = oslo_context.get_current()
    assert left is not None
    assert left.request_id == "req-1"
    for text in (repr(context), repr(vars(left)), repr(context.credentials)):
        assert "gAAAAA" not in text


@pytest.mark.parametrize("lacking", [
    {"HTTP_X_IDENTITY_STATUS": "Invalid"}, {"HTTP_X_IDENTITY_STATUS": None},
    {"keystone.token_info": None}])
def test_who_was_not_confirmed_is_nobody(lacking: dict[str, Any]) -> None:
    with pytest.raises(TokenRejected):
        from_environ(ENVIRON | lacking)


def test_a_token_of_the_system_is_for_no_project() -> None:
    environ = {name: value for name, value in ENVIRON.items() if "PROJECT" not in name}
    context = from_environ(environ | {"HTTP_OPENSTACK_SYSTEM_SCOPE": "all"})
    assert (context.project_id, context.system_scope, context.domain_id) == ("", "all", "")
