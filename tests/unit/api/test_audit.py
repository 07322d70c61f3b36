"""Audit: the map of Karbor's paths, as keystonemiddleware itself reads it, and the events."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import webob

from karbor.api.application import make_app
from karbor.domain.errors import BadInput
from karbor.telemetry import message_bus
from tests.unit.api.conftest import Api, configured, wiring_of
from tests.unit.api.people import MINE, fake_keystone

message_bus.oslo_messaging()
OpenStackAuditApi = importlib.import_module("keystonemiddleware.audit").OpenStackAuditApi
MAP = Path(__file__).parents[3] / "etc" / "karbor" / "api_audit_map.conf"


@pytest.mark.parametrize(("method", "path", "action", "uri"), [
    ("POST", "/v1/p/plans", "create", "service/data-protect/plans"),
    ("GET", "/v1/p/plans", "read/list", "service/data-protect/plans"),
    ("DELETE", "/v1/p/providers/x/checkpoints/y", "delete",
     "service/data-protect/providers/provider/checkpoints/checkpoint"),
])
def test_requests_have_names(method: str, path: str, action: str, uri: str) -> None:
    api = OpenStackAuditApi(str(MAP))
    request = webob.Request.blank(path, method=method)
    assert api.get_action(request) == action
    assert api._build_typeURI(request, "service/data-protect") == uri


# People of these tests have names for ids; so have those of an LDAP, of whom pycadf warns as well.
pytestmark = pytest.mark.filterwarnings("ignore:Invalid uuid:UserWarning")


@pytest.fixture
def heard() -> _Heard:
    """The payloads that oslo.messaging's driver `test` has taken, once it was asked for them."""
    driver = importlib.import_module("oslo_messaging.notify._impl_test")
    driver.reset()
    return _Heard(driver)


class _Heard:
    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def payloads(self) -> list[dict[str, Any]]:
        return [message["payload"] for _, message, _, _ in self._driver.NOTIFICATIONS]


def audited_api(place: Path, engine: sa.Engine, *audit: str) -> Api:
    conf = configured(place, "\n".join([
        "[audit]", "enabled = true", f"map_file = {MAP}", *audit,
        "[audit_middleware_notifications]", "driver = test", ""]))
    wiring = wiring_of(conf, engine)
    return Api(make_app(conf, wiring, fake_keystone), wiring)


def test_each_request_arrives_as_an_event(tmp_path: Path, engine: sa.Engine, heard: _Heard) -> None:
    api = audited_api(tmp_path, engine)
    plan = api.make_plan()
    api("GET", f"/plans/{plan['id']}")
    api("GET", "/plans/33333333-3333-4333-8333-333333333333", status=404)
    asked = [one for one in heard.payloads() if one["outcome"] == "pending"]
    answered = [one for one in heard.payloads() if one["outcome"] != "pending"]
    assert [one["action"] for one in asked] == ["create", "read", "read"]
    assert [(one["outcome"], one["reason"]["reasonCode"]) for one in answered] == [
        ("success", "200"), ("success", "200"), ("failure", "404")]
    assert {one["initiator"]["id"] for one in asked} == {"user-member"}
    assert asked[0]["requestPath"] == f"/v1/{MINE}/plans"


def test_methods_may_be_left_out(tmp_path: Path, engine: sa.Engine, heard: _Heard) -> None:
    api = audited_api(tmp_path, engine, "ignore_methods = GET, HEAD")
    api("GET", "/plans")
    api.make_plan()
    assert {one["action"] for one in heard.payloads()} == {"create"}


def test_who_is_not_let_in_is_not_told(tmp_path: Path, engine: sa.Engine, heard: _Heard) -> None:
    audited_api(tmp_path, engine).of(None)("GET", "/plans", status=401)
    assert heard.payloads() == []


def test_a_bus_that_is_away_is_tried_once(tmp_path: Path, engine: sa.Engine) -> None:
    conf = configured(tmp_path, f"[audit]\nenabled = true\nmap_file = {MAP}\n")
    make_app(conf, wiring_of(conf, engine), fake_keystone)
    assert conf.oslo_messaging_notifications.retry == 0
    conf = configured(tmp_path, f"[audit]\nenabled = true\nmap_file = {MAP}\n"
                                "[oslo_messaging_notifications]\nretry = 7\n")
    make_app(conf, wiring_of(conf, engine), fake_keystone)
    assert conf.oslo_messaging_notifications.retry == 7


def test_it_is_off_unless_it_is_enabled_and_needs_its_map(
        tmp_path: Path, engine: sa.Engine, heard: _Heard) -> None:
    conf = configured(tmp_path)
    wiring = wiring_of(conf, engine)
    Api(make_app(conf, wiring, fake_keystone), wiring).make_plan()
    assert heard.payloads() == []
    conf = configured(tmp_path, "[audit]\nenabled = true\nmap_file = /nowhere\n")
    with pytest.raises(BadInput, match="no file /nowhere"):
        make_app(conf, wiring, fake_keystone)
