"""Karbor speaking with the development cloud: as a user alone, and with a service account."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import pytest

from karbor import config
from karbor.clients.connect import Connector
from karbor.credentials.authority import Authority
from tests.cloud.conftest import Cloud

Speaking = Callable[..., Connector]


def speaking(cloud: Cloud, directory: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Speaking:
    """Makes a Connector, as a new process would: with `service_user` (an account of the cloud) to
    vouch for users, or with none; `more` are further lines of karbor.conf."""
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(cloud.clouds_yaml))
    for name in ("OS_CLOUD", "KARBOR_CONFIG"):
        monkeypatch.delenv(name, raising=False)

    def make(service_user: str = "", more: str = "", password: str = "devcloud") -> Connector:
        text = f"[DEFAULT]\nstate_path = {directory}\n"
        if service_user:
            text += (f"[service_user]\nauth_type = password\nauth_url = {cloud.auth_url}\n"
                     f"username = {service_user}\npassword = {password}\nproject_name = service\n"
                     "user_domain_name = Default\nproject_domain_name = Default\n")
        file = directory / "karbor.conf"
        file.write_text(text + more)
        return Connector(Authority(config.load([file])))
    return make
