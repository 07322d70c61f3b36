"""How a caller is represented, and brought to life again in another process."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from karbor.config import ConfigOpts
from karbor.credentials.authority import Authority
from karbor.domain.credential_chain import CredentialKind
from karbor.domain.errors import (
    CredentialError,
    KeystoneUnreachable,
    LoginFailed,
    ServiceUserUnfit,
    TokenRejected,
    UnknownName,
)
from tests.unit.credentials.conftest import SERVICE_USER
from tests.unit.credentials.wire import KEYSTONE, Clock, Keystone, Reply, Wire

Configured = Callable[[str], ConfigOpts]


@pytest.fixture
def alone(configured: Configured, wire: Wire, clock: Clock) -> Authority:
    return Authority(configured(""), adapter=wire, clock=clock)


@pytest.fixture
def vouching(configured: Configured, wire: Wire, clock: Clock) -> Authority:
    return Authority(configured(SERVICE_USER), adapter=wire, clock=clock)


def test_without_a_service_user_the_own_login_is_used_and_has_no_end(
        alone: Authority, keystone: Keystone) -> None:
    login = alone.represent("demo")
    assert login.credential.kind is CredentialKind.OWN_LOGIN
    assert (login.credential.deadline, login.caller.expires_at) == (None, None)
    assert login.credential.sealed == ""
    assert (login.caller.user_id, login.caller.project_id) == ("id-demo", "project-demo")
    assert (login.caller.roles, login.caller.methods) == (("member",), ("password",))
    assert login.credential.endpoint_settings.region_name == "RegionOne"
    assert keystone.logins == 1
    assert "X-Service-Token" not in login.session.auth.get_headers(login.session)


def test_an_own_login_is_read_again_in_another_process(
        alone: Authority, configured: Configured, wire: Wire, clock: Clock) -> None:
    kept = json.loads(json.dumps(alone.represent("demo").credential.to_dict()))
    again = Authority(configured(""), adapter=wire, clock=clock).resume(kept)
    assert again.credential == alone.represent("demo").credential
    assert again.session.auth.get_token(again.session) == "token-demo-2"


def test_with_a_service_user_the_token_is_vouched_for(
        vouching: Authority, keystone: Keystone, clock: Clock) -> None:
    login = vouching.represent("demo")
    assert login.credential.kind is CredentialKind.USER_AND_SERVICE
    headers = login.session.auth.get_headers(login.session)
    assert headers["X-Auth-Token"].startswith("token-demo-")
    assert headers["X-Service-Token"].startswith("token-karbor-")
    assert login.caller.expires_at == clock.now + 3600
    # The window, less what services may need after they were asked.
    assert login.credential.deadline == clock.now + 3600 + 172800 - 900
    assert keystone.logins == 2


def test_another_process_goes_on_from_the_sealed_token_after_its_end_without_the_users_login(
        *, vouching: Authority, configured: Configured, wire: Wire, keystone: Keystone,
        clock: Clock, clouds: Path) -> None:
    first = vouching.represent("demo")
    kept = json.loads(json.dumps(first.credential.to_dict()))
    clouds.unlink()
    clock.sleep(7200)
    before = keystone.logins
    again = Authority(configured(SERVICE_USER), adapter=wire, clock=clock).resume(kept)
    assert again.caller == first.caller
    assert again.credential == first.credential
    headers = again.session.auth.get_headers(again.session)
    assert headers["X-Auth-Token"] == first.session.auth.get_token(first.session)
    assert keystone.logins == before + 1    # the service account's own


def test_the_service_login_is_shared_by_all_operations_of_a_process(
        vouching: Authority, keystone: Keystone) -> None:
    kept = vouching.represent("demo").credential.to_dict()
    before = keystone.logins
    for _ in range(3):
        vouching.resume(kept)
    assert keystone.logins == before


def test_an_unfit_service_user_is_an_error_and_never_a_bare_token(
        vouching: Authority, wire: Wire, keystone: Keystone) -> None:
    keystone.roles["karbor"] = ["member"]
    with pytest.raises(ServiceUserUnfit):
        vouching.represent("demo")
    assert len(wire.of("POST", "/v3/auth/tokens")) == 1     # the user was not even logged in
    keystone.roles["karbor"] = ["service"]
    assert vouching.represent("demo").credential.kind is CredentialKind.USER_AND_SERVICE


def test_an_operation_begun_with_a_service_user_does_not_go_on_without(
        vouching: Authority, alone: Authority) -> None:
    kept = vouching.represent("demo").credential.to_dict()
    with pytest.raises(ServiceUserUnfit, match=r"there is no \[service_user\]"):
        alone.resume(kept)


def test_a_token_that_is_over_ends_it_with_its_cause(
        vouching: Authority, keystone: Keystone) -> None:
    kept = vouching.represent("demo").credential.to_dict()
    keystone.bodies.clear()
    with pytest.raises(TokenRejected, match="longer than Keystone's window, or revoked"):
        vouching.resume(kept)


def test_an_entry_that_leads_to_another_project_now_is_refused(
        alone: Authority, clouds: Path, keystone: Keystone) -> None:
    kept = alone.represent("demo").credential.to_dict()
    keystone.passwords["other"] = "secret-of-demo"
    keystone.roles["other"] = ["member"]
    clouds.write_text(clouds.read_text().replace("username: demo", "username: other"))
    with pytest.raises(LoginFailed, match="another user or project"):
        alone.resume(kept)


def test_an_unknown_cloud_is_told_with_the_known_ones(alone: Authority) -> None:
    with pytest.raises(UnknownName, match="no cloud is called mine") as caught:
        alone.represent("mine")
    assert caught.value.remedy == "clouds.yaml has: demo, incomplete, mistyped, nobody"


@pytest.mark.parametrize(("cloud", "said"), [
    ("mistyped", r"Keystone refused the login of cloud mistyped.*requires authentication"),
    ("incomplete", r"incomplete.*auth_url"),
    ("nobody", r"logs nobody in"),
])
def test_a_login_that_cannot_work_is_one_line(alone: Authority, cloud: str, said: str) -> None:
    with pytest.raises(LoginFailed, match=said) as caught:
        alone.represent(cloud)
    assert "\n" not in str(caught.value)
    assert "secret" not in f"{caught.value!r}{caught.value}"


def test_no_cloud_named_anywhere_is_one_line(alone: Authority, clouds: Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    clouds.unlink()
    for name in ("OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(LoginFailed, match="incomplete") as caught:
        alone.represent(None)
    assert "--os-cloud" in caught.value.remedy


def test_the_environment_is_a_login_too(alone: Authority, clouds: Path,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    clouds.unlink()
    for name, value in (("AUTH_URL", KEYSTONE), ("USERNAME", "demo"),
                        ("PASSWORD", "secret-of-demo"), ("PROJECT_NAME", "demo"),
                        ("USER_DOMAIN_NAME", "Default"), ("PROJECT_DOMAIN_NAME", "Default")):
        monkeypatch.setenv(f"OS_{name}", value)
    login = alone.represent(None)
    assert login.caller.user_name == "demo"
    assert alone.resume(login.credential.to_dict()).caller == login.caller


def test_an_unreachable_keystone_is_one_line(configured: Configured, clouds: Path) -> None:
    clouds.write_text(clouds.read_text().replace(KEYSTONE, "http://127.0.0.1:1/v3"))
    with pytest.raises(KeystoneUnreachable, match=r"nobody answers at http://127\.0\.0\.1:1/v3"):
        Authority(configured("")).represent("demo")


def test_something_else_than_keystone_is_told(alone: Authority, wire: Wire) -> None:
    wire.answer = lambda sent: Reply(404, body=b"<html>nginx</html>")
    with pytest.raises(KeystoneUnreachable, match="no Keystone answers at"):
        alone.represent("demo")


def test_a_login_for_no_project_is_told(alone: Authority, keystone: Keystone) -> None:
    keystone.scoped = False
    with pytest.raises(LoginFailed, match="for no project"):
        alone.represent("demo")


def test_no_secret_is_in_what_is_kept_shown_or_logged(
        vouching: Authority, caplog: pytest.LogCaptureFixture, keystone: Keystone) -> None:
    with caplog.at_level(logging.DEBUG):
        login = vouching.represent("demo")
        again = vouching.resume(login.credential.to_dict())
        again.session.get("http://glance.test/", raise_exc=False)
        with pytest.raises(CredentialError):
            vouching.represent("mistyped")
    auth = again.session.auth
    shown = " ".join([repr(login), repr(again), repr(auth), repr(auth.inner.user_auth),
                      repr(auth.inner.service_auth), repr(again.session), repr(again.caller),
                      json.dumps(login.credential.to_dict()), json.dumps(login.caller.to_dict())])
    tokens = list(keystone.bodies)
    assert len(tokens) >= 2
    assert caplog.text
    for secret in [*tokens, *keystone.passwords.values(), "secret-mistyped"]:
        assert secret not in shown
        assert secret not in caplog.text
