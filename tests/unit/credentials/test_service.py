"""The account of [service_user]: fit, or an error that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from karbor.config import ConfigOpts
from karbor.credentials.service_auth import ServiceAuth
from karbor.domain.errors import KeystoneUnreachable, ServiceUserUnfit
from tests.unit.credentials.conftest import SERVICE_USER
from tests.unit.credentials.wire import KEYSTONE, Keystone, Reply, Sent, Wire

Configured = Callable[[str], ConfigOpts]


def test_a_fit_account_logs_in_once_and_only_when_needed(
        configured: Configured, wire: Wire, keystone: Keystone) -> None:
    service = ServiceAuth(configured(SERVICE_USER), wire)
    assert keystone.logins == 0
    service.prove()
    service.prove()
    assert keystone.logins == 1
    assert service.get_token(service.session).startswith("token-karbor-")


def test_without_the_service_role_it_is_unfit_and_the_remedy_names_the_command(
        configured: Configured, wire: Wire, keystone: Keystone) -> None:
    keystone.roles["karbor"] = ["member", "admin"]
    with pytest.raises(ServiceUserUnfit, match=r"lacks the role service.*admin, member") as caught:
        ServiceAuth(configured(SERVICE_USER), wire).prove()
    assert caught.value.remedy == "openstack role add --user karbor --project service service"


def test_the_role_may_have_another_name_in_this_cloud(
        configured: Configured, wire: Wire, keystone: Keystone) -> None:
    keystone.roles["karbor"] = ["internal"]
    ServiceAuth(configured(SERVICE_USER + "\n[credentials]\nservice_role = internal"), wire).prove()


def test_a_login_for_no_project_is_unfit(
        configured: Configured, wire: Wire, keystone: Keystone) -> None:
    keystone.scoped = False
    with pytest.raises(ServiceUserUnfit, match="for no project"):
        ServiceAuth(configured(SERVICE_USER), wire).prove()


def test_a_role_that_is_taken_away_later_is_noticed_at_the_next_login(
        configured: Configured, wire: Wire, keystone: Keystone) -> None:
    service = ServiceAuth(configured(SERVICE_USER), wire)
    service.prove()
    keystone.roles["karbor"] = []
    service.invalidate()
    with pytest.raises(ServiceUserUnfit, match="it has: none"):
        service.get_headers(service.session)


def test_a_wrong_password_is_told_without_the_password(
        configured: Configured, wire: Wire) -> None:
    conf = configured(SERVICE_USER.replace("secret-of-karbor", "secret-mistyped"))
    with pytest.raises(ServiceUserUnfit, match="refused the login") as caught:
        ServiceAuth(conf, wire).prove()
    assert "secret" not in f"{caught.value!r} {caught.value} {caught.value.facts()}"


def test_an_unreachable_keystone_is_told_apart(configured: Configured) -> None:
    conf = configured(SERVICE_USER.replace(KEYSTONE, "http://127.0.0.1:1/v3"))
    with pytest.raises(KeystoneUnreachable, match=r"nobody answers at http://127\.0\.0\.1:1/v3"):
        ServiceAuth(conf).prove()


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_keystone_in_trouble_is_transient(
        configured: Configured, wire: Wire, keystone: Keystone, status: int) -> None:
    keystone.login = Reply(status, body=b"<html>")
    with pytest.raises(KeystoneUnreachable, match=str(status)) as caught:
        ServiceAuth(configured(SERVICE_USER), wire).prove()
    assert caught.value.transient


def test_no_section_an_incomplete_one_and_one_that_logs_nobody_in_are_told(
        configured: Configured) -> None:
    with pytest.raises(ServiceUserUnfit, match=r"there is no \[service_user\]"):
        ServiceAuth(configured(""))
    with pytest.raises(ServiceUserUnfit, match=r"incomplete.*auth.url"):
        ServiceAuth(configured("[service_user]\nauth_type = password\nusername = karbor"))
    with pytest.raises(ServiceUserUnfit, match="logs nobody in"):
        ServiceAuth(configured("[service_user]\nauth_type = none\nendpoint = http://x"))
    with pytest.raises(ServiceUserUnfit, match="incomplete"):
        ServiceAuth(configured("[service_user]\nauth_type = nonesuch"))


def test_any_type_of_login_that_keystoneauth_knows_may_be_used(
        configured: Configured, wire: Wire, keystone: Keystone) -> None:
    seen: list[Sent] = []

    def answer(sent: Sent) -> Reply:
        if sent.method == "POST":
            seen.append(sent)
            sent.body = (b'{"auth": {"identity": {"password": {"user": {"name": "karbor", '
                         b'"password": "secret-of-karbor"}}}}}')
        return keystone.answer(sent) or Reply(404)

    original = wire.answer
    wire.answer = answer
    service = ServiceAuth(configured(f"""
        [service_user]
        auth_type = v3applicationcredential
        auth_url = {KEYSTONE}
        application_credential_id = one
        application_credential_secret = two
        """.replace("        ", "")), wire)
    service.prove()
    assert original is not answer
    assert len(seen) == 1


def test_it_speaks_to_keystone_with_its_own_ca_and_time_limits(
        configured: Configured, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    service = ServiceAuth(configured(f"{SERVICE_USER}cafile = {ca}\ntimeout = 7\n"))
    assert service.session.verify == str(ca)
    assert service.session.timeouts == (7.0, 7.0)
