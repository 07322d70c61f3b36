"""How Keystone's middleware is set up. That it works is seen in tests/cloud/test_api_auth.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import falcon.testing
import pytest
import sqlalchemy as sa

from karbor import config
from karbor.api.application import make_app
from karbor.api.authentication import keystone
from karbor.domain.errors import BadInput
from tests.unit.api.conftest import wiring_of
from tests.unit.api.people import MINE

ACCOUNT = ("auth_type = password\nauth_url = http://127.0.0.1:1/v3\nusername = karbor\n"
           "password = p\nproject_name = service\nuser_domain_name = Default\n"
           "project_domain_name = Default\n")


def settings(place: Path, text: str) -> config.ConfigOpts:
    file = place / "karbor.conf"
    file.write_text(text)
    return config.load([file])


def middleware(conf: config.ConfigOpts) -> Any:
    return keystone(conf)(lambda _environ, _start: [])


def test_without_an_account_there_is_no_application(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nobody's token can be checked"):
        keystone(settings(tmp_path, "[DEFAULT]\n"))


@pytest.mark.parametrize("section", ["keystone_authtoken", "service_user"])
def test_either_account_will_do(tmp_path: Path, section: str) -> None:
    conf = settings(tmp_path, f"[{section}]\n{ACCOUNT}cafile = /ca.pem\n"
                              "[credentials]\nservice_role = vouches\n")
    made = middleware(conf)
    assert made._auth._username == "karbor"
    assert made._session.verify == "/ca.pem"
    assert made._conf.get("service_type") == "data-protect"
    assert made._conf.get("service_token_roles") == ["vouches"]
    assert made._conf.get("service_token_roles_required") is True


def test_its_own_section_comes_first_and_is_believed(tmp_path: Path) -> None:
    own = ACCOUNT.replace("karbor", "another")
    made = middleware(settings(tmp_path, f"[service_user]\n{ACCOUNT}[keystone_authtoken]\n{own}"
                               "service_token_roles = a,b\nservice_type = other\n"))
    assert made._auth._username == "another"
    assert made._conf.get("service_token_roles") == ["a", "b"]
    assert made._conf.get("service_type") == "other"


def test_nobody_is_let_through_to_be_looked_at_later(tmp_path: Path) -> None:
    made = middleware(settings(tmp_path, f"[keystone_authtoken]\n{ACCOUNT}"
                               "delay_auth_decision = True\n"))
    assert made._delay_auth_decision is False


def test_a_keystone_that_is_away_is_told_as_everything_else(
        tmp_path: Path, engine: sa.Engine, caplog: pytest.LogCaptureFixture) -> None:
    conf = settings(tmp_path, f"[service_user]\n{ACCOUNT}[keystone_authtoken]\n"
                    "http_request_max_retries = 0\n")
    app = make_app(conf, wiring_of(conf, engine))
    answer = falcon.testing.simulate_get(app, f"/v1/{MINE}/plans",
                                         headers={"X-Auth-Token": "gAAAAAsecret"})
    assert answer.status_code == 503
    assert answer.json["serviceUnavailable"]["message"].startswith("The Keystone service is")
    assert answer.headers["x-openstack-request-id"].startswith("req-")
    assert "gAAAAAsecret" not in caplog.text
    assert falcon.testing.simulate_get(app, "/").status_code == 300
    assert falcon.testing.simulate_get(app, "/healthcheck").status_code == 200
