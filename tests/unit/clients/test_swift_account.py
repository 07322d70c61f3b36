"""[swift_client], as files of Karbor 1.x have it and as keystoneauth's options."""

from __future__ import annotations

import pytest

from karbor.clients.swift_account import account_of
from karbor.domain.errors import BadInput, CredentialError

OLD = {"swift_auth_url": "http://k/v2.0/", "swift_auth_version": "2", "swift_user": "demo",
       "swift_key": "secret-word", "swift_tenant_name": "demo", "swift_retry_attempts": "3"}


def test_a_file_of_karbor_1_is_understood() -> None:
    account = account_of({**OLD, "swift_ca_cert_file": "/ca.pem",
                          "swift_catalog_info": "object-store:swift:internalURL"})
    assert account.auth == {
        "auth_type": "password", "auth_url": "http://k/v3/", "username": "demo",
        "password": "secret-word", "project_name": "demo", "user_domain_name": "Default",
        "project_domain_name": "Default"}
    assert (account.endpoint_settings.verify, account.endpoint_settings.interface) == (
        "/ca.pem",
        "internal",
    )
    assert "secret-word" not in repr(account)


def test_options_of_keystoneauth_are_understood() -> None:
    auth = {"auth_type": "v3applicationcredential", "auth_url": "http://k/v3",
            "application_credential_id": "i", "application_credential_secret": "s"}
    account = account_of({**auth, "endpoint_override": "http://s/v1/AUTH_x", "insecure": "true",
                          "region_name": "r"})
    assert account.auth == auth
    assert account.endpoint_settings.endpoints == {"object-store": "http://s/v1/AUTH_x"}
    assert account.endpoint_settings.verify is False
    assert account.endpoint_settings.region_name == "r"


def test_without_an_account_that_of_service_user_counts() -> None:
    assert account_of({"interface": "admin"}).auth == {}


@pytest.mark.parametrize(("options", "words"), [
    ({**OLD, "swift_auth_version": "1"}, "only Keystone"),
    ({"username": "demo"}, "no auth_type"),
    ({**OLD, "swift_usr": "demo"}, "unknown option swift_usr"),
    ({**OLD, "swift_auth_insecure": "perhaps"}, "true or false"),
    ({"auth_type": "magic"}, "no auth_type magic"),
])
def test_what_makes_no_sense_is_refused(options: dict[str, str], words: str) -> None:
    with pytest.raises((BadInput, CredentialError), match=words):
        account_of(options)
