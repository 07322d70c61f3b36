"""A user's token, described by Keystone to the service account; the refusals told apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from karbor.config import ConfigOpts
from karbor.credentials.service_auth import ServiceAuth
from karbor.credentials.user_auth import rebuild, user_auth
from karbor.domain.errors import (
    CredentialError,
    KeystoneUnreachable,
    ServiceUserUnfit,
    TokenRejected,
)
from tests.unit.credentials.conftest import SERVICE_USER
from tests.unit.credentials.wire import Keystone, Reply, Sent, Wire

TOKEN = "secret-token-of-a-user"
BODY = {"token": {
    "methods": ["password"], "user": {"id": "u", "name": "demo"},
    "project": {"id": "p", "name": "demo"}, "roles": [{"name": "member"}], "catalog": [],
    "issued_at": "2020-01-01T00:00:00Z", "expires_at": "2020-01-01T00:00:15Z"}}


@pytest.fixture
def service(configured: Callable[[str], ConfigOpts], wire: Wire) -> ServiceAuth:
    return ServiceAuth(configured(SERVICE_USER), wire)


def test_a_token_and_its_body_make_a_plugin_that_asks_nobody() -> None:
    auth = user_auth(TOKEN, BODY)
    assert auth.get_token(None) == TOKEN
    assert auth.get_project_id(None) == "p"
    assert auth.invalidate() is False


def test_a_body_that_is_no_v3_token_is_refused() -> None:
    with pytest.raises(CredentialError, match="v3 token") as caught:
        user_auth(TOKEN, {"access": {}})
    assert TOKEN not in repr(caught.value)


def test_from_the_bare_token_of_long_ago_one_request_brings_everything_back(
        service: ServiceAuth, wire: Wire, keystone: Keystone) -> None:
    keystone.bodies[TOKEN] = BODY
    service.prove()
    before = len(wire.sent)
    access = rebuild(TOKEN, service).get_access(None)
    assert (access.user_id, access.project_id, access.role_names) == ("u", "p", ["member"])
    asked = [one for one in wire.sent[before:] if one.path == "/v3/auth/tokens"]
    assert [one.query for one in asked] == [{"allow_expired": ["1"]}]
    assert asked[0].headers["x-auth-token"].startswith("token-karbor-")


def message(text: str) -> dict[str, object]:
    return {"error": {"message": text}}


@pytest.mark.parametrize(("reply", "error", "said", "transient"), [
    (Reply(401, json=message("The request you have made requires authentication.")),
     ServiceUserUnfit, "does not accept the token of", False),
    (Reply(403, json=message("You are not authorized to perform the requested action: "
                             "identity:validate_token.")),
     ServiceUserUnfit, "may not look at users' tokens", False),
    (Reply(403, json=message("Trustor has no role")), TokenRejected, "taken back", False),
    (Reply(404, json=message("Could not recognize Fernet token")), TokenRejected,
     "key was rotated away", False),
    (Reply(404, json=message("Failed to validate token")), TokenRejected,
     "longer than Keystone's window, or revoked", False),
    (Reply(404, json=message("Could not find token: x.")), TokenRejected, "no role", False),
    (Reply(404, json=message("Project p is disabled.")), TokenRejected, "disabled", False),
    (Reply(404, json=message("Could not find Application Credential: a.")), TokenRejected,
     "came from is gone", False),
    (Reply(404, json=message("Could not find trust: t.")), TokenRejected, "came from is gone",
     False),
    (Reply(500), KeystoneUnreachable, "500", True),
    (Reply(503), KeystoneUnreachable, "503", True),
])
def test_refusals_of_a_validation_are_told_apart(
        *, service: ServiceAuth, keystone: Keystone, reply: Reply, error: type[CredentialError],
        said: str, transient: bool) -> None:
    keystone.validation = reply
    with pytest.raises(error, match=said) as caught:
        rebuild(TOKEN, service)
    assert type(caught.value) is error
    assert caught.value.transient is transient
    assert caught.value.remedy
    assert TOKEN not in f"{caught.value!r}{caught.value}{caught.value.facts()}"


def test_a_service_token_that_keystone_has_forgotten_is_renewed_once(
        service: ServiceAuth, wire: Wire, keystone: Keystone) -> None:
    keystone.bodies[TOKEN] = BODY
    service.prove()
    first = service.get_token(service.session)

    def answer(sent: Sent) -> Reply:
        if sent.headers.get("x-auth-token") == first:
            return Reply(401, json=message("The request you have made requires authentication."))
        return keystone.answer(sent) or Reply(404)

    wire.answer = answer
    assert rebuild(TOKEN, service).get_token(None) == TOKEN
    assert keystone.logins == 2
