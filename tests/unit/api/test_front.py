"""What is there for everybody, and what every answer has."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import falcon.testing
import pytest

from karbor import config
from karbor.api.application import make_app
from karbor.domain.errors import StoreUnavailable
from tests.unit.api.conftest import Api
from tests.unit.api.people import ADMIN, MINE, fake_keystone


def get(api: Api, path: str, **more: Any) -> falcon.testing.Result:
    return falcon.testing.simulate_get(api.app, path, **more)


def test_versions_need_no_token(api: Api) -> None:
    answer = get(api, "/")
    assert answer.status_code == 300
    assert [one["id"] for one in answer.json["versions"]] == ["v1.0"]
    for path in ("/v1", "/v1/"):
        assert get(api, path).json["version"]["status"] == "CURRENT"


def test_every_answer_has_its_ids(api: Api) -> None:
    for path in ("/", f"/v1/{MINE}/plans", "/nosuch"):
        headers = get(api, path).headers
        assert headers["x-openstack-request-id"].startswith("req-")
        assert headers["x-compute-request-id"] == headers["x-openstack-request-id"]


@pytest.mark.parametrize(("method", "path"), [
    ("GET", "/nosuch"), ("POST", "/"), ("PATCH", f"/v1/{MINE}/plans"), ("GET", f"/v1/{MINE}"),
    ("GET", f"/v1/{MINE}/nosuch"), ("GET", "/v2"), ("DELETE", f"/v1/{MINE}/plans")])
def test_what_is_not_there_is_told_as_json(api: Api, method: str, path: str) -> None:
    answer = falcon.testing.simulate_request(api.app, method, path, headers=ADMIN.headers)
    assert answer.status_code == 404
    assert answer.json["itemNotFound"]["code"] == 404
    assert path in answer.json["itemNotFound"]["message"]


@pytest.mark.parametrize("path", [
    f"/v1/{MINE}/plans", "/v1/nosuch", "/v1//x", "//v1/x", f"/v1/{MINE}/plans/", "/v1/openapi.jso"])
def test_nothing_below_v1_is_reached_without_a_token(api: Api, path: str) -> None:
    assert get(api, path).status_code == 401


def test_health(api: Api, conf: config.ConfigOpts, tmp_path: Path,
                caplog: pytest.LogCaptureFixture) -> None:
    assert get(api, "/healthcheck").text == "OK"
    json = {"Accept": "application/json"}
    assert get(api, "/healthcheck", headers=json).json == {"detailed": False, "reasons": ["OK"]}

    switch = tmp_path / "off"
    conf.set_override("disable_by_file_path", str(switch), group="healthcheck")
    app = make_app(conf, api.wiring, fake_keystone)
    assert falcon.testing.simulate_get(app, "/healthcheck").status_code == 200
    switch.touch()
    off = falcon.testing.simulate_get(app, "/healthcheck")
    assert (off.status_code, off.text) == (503, "DISABLED BY FILE")

    def broken() -> None:
        raise StoreUnavailable("the database on db.internal cannot be used")

    app = make_app(conf, replace(api.wiring, ping=broken), fake_keystone)
    switch.unlink()
    with caplog.at_level(logging.ERROR):
        ill = falcon.testing.simulate_get(app, "/healthcheck", headers=json)
    assert ill.status_code == 503
    assert ill.json["reasons"] == ["DATABASE UNAVAILABLE"]
    assert "db.internal" in caplog.text


class Broken:
    """Plans of a database that is not there, or of a program that is wrong."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, name: str) -> Any:
        def fail(*_: Any, **__: Any) -> Any:
            raise self.error
        return fail


@pytest.mark.parametrize(("error", "status", "key"), [
    (StoreUnavailable("postgresql://db.internal is down"), 503, "serviceUnavailable"),
    (ZeroDivisionError("secret inside"), 500, "computeFault")])
def test_the_inside_stays_inside(api: Api, error: Exception, status: int, key: str,
                                 caplog: pytest.LogCaptureFixture) -> None:
    wiring = replace(api.wiring, plans=Broken(error))
    broken = Api(make_app(config.load([]), wiring, fake_keystone), wiring)
    answer = broken("GET", "/plans", status=status)
    told = answer.json[key]
    assert told["code"] == status
    assert answer.headers["x-openstack-request-id"] in told["message"]
    assert "internal" not in answer.text
    assert "secret" not in answer.text
    assert str(error) in caplog.text


def test_what_breaks_in_front_of_the_resources_is_told_alike(
        api: Api, conf: config.ConfigOpts, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_application: Any) -> Any:
        def answer(_environ: Any, _start: Any) -> Any:
            raise RuntimeError("inside")
        return answer

    app = make_app(conf, api.wiring, broken)
    answer = falcon.testing.simulate_get(app, f"/v1/{MINE}/plans")
    assert answer.status_code == 500
    assert answer.headers["x-openstack-request-id"] in answer.json["computeFault"]["message"]
    assert "inside" in caplog.text


def test_a_body_may_be_so_long_and_no_longer(api: Api, conf: config.ConfigOpts) -> None:
    conf.set_override("osapi_max_request_body_size", 2000)
    small = Api(make_app(conf, api.wiring, fake_keystone), api.wiring)
    answer = small("POST", "/plans", {"plan": {"name": "x" * 2000}}, status=413)
    assert "2000 bytes" in answer.json["overLimit"]["message"]


class _Unread:
    """A body that must not be read yet."""

    def read(self, *_size: int) -> bytes:
        raise AssertionError("the body was read before its token was judged")


def test_a_body_is_not_read_before_its_token_was_judged(api: Api) -> None:
    said: list[str] = []
    environ = {**falcon.testing.create_environ(f"/v1/{MINE}/plans", method="POST", headers={
        "X-Auth-Token": "made up", "Content-Length": "4000000"}), "wsgi.input": _Unread()}
    b"".join(api.app(environ, lambda status, *_rest: said.append(status)))
    assert said == ["401 Unauthorized"]
