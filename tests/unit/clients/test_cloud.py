"""The cloud as a whole: made once, used from many threads, let go of at the end."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from cinderclient.client import Client

from karbor.clients.cloud import OpenStackCloud
from karbor.plugin.cloud import Api, Cloud
from tests.unit.clients.conftest import Stage
from tests.unit.credentials.conftest import SERVICE_USER
from tests.unit.credentials.wire import Reply, Sent

Opened = Callable[..., OpenStackCloud]

# The SDK warns of how it calls itself.
sdk = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")


def volumes(sent: Sent) -> Reply:
    if sent.path in ("/v3", "/v3/"):
        return Reply(json={"versions": [{
            "id": "v3.0", "status": "CURRENT", "version": "3.71", "min_version": "3.0",
            "links": [{"rel": "self", "href": "http://cinder.test/v3/"}]}]})
    return Reply(json={"volumes": [{"id": "v1", "name": "one", "status": "available"}]})


def test_it_keeps_the_contract(cloud: OpenStackCloud) -> None:
    kept: Cloud = cloud
    api: Api = cloud.api("cinder")
    assert api is kept.api("cinder")
    assert (kept.user_id, kept.project_id, kept.project_name) == ("id-demo", "project-demo",
                                                                  "demo")
    assert cloud.caller.project_id == "project-demo"


@sdk
def test_a_client_is_made_once_for_all_threads(cloud: OpenStackCloud, stage: Stage) -> None:
    stage.answer = volumes
    with ThreadPoolExecutor(20) as pool:
        clients = list(pool.map(lambda _: cloud.client("cinder"), range(20)))
    assert len({id(one) for one in clients}) == 1
    assert [one.name for one in clients[0].volumes()] == ["one"]


@sdk
def test_sdk_and_native_clients_speak_with_both_tokens(opened: Opened, stage: Stage) -> None:
    stage.answer = volumes
    cloud = opened(SERVICE_USER)
    list(cloud.client("cinder").volumes())
    native = Client("3", session=cloud.factory.session,
                    endpoint_override=cloud.factory.endpoint("cinder"))
    assert [one.name for one in native.volumes.list()] == ["one"]
    cloud.api("cinder").list("/volumes/detail", "volumes")
    asked = [one.headers for one in stage.sent if one.path == "/v3/volumes/detail"]
    assert len(asked) == 3
    for headers in asked:
        assert headers["x-auth-token"].startswith("token-demo-")
        assert headers["x-service-token"].startswith("token-karbor-")


def test_requests_are_counted_by_service(opened: Opened, stage: Stage) -> None:
    stage.answer = lambda sent: Reply(json={"volumes": [], "images": []})
    cloud = opened()
    cloud.api("cinder").list("/volumes/detail", "volumes")
    cloud.api("glance").list("/images", "images")
    cloud.api("cinder").post("/volumes", {})
    assert cloud.requests == {("keystone", "GET"): 1, ("keystone", "POST"): 1,
                              ("cinder", "GET"): 1, ("cinder", "POST"): 1, ("glance", "GET"): 1}


@sdk
def test_after_closing_nothing_holds_the_credential(opened: Opened, stage: Stage) -> None:
    stage.answer = volumes
    cloud = opened(SERVICE_USER)
    list(cloud.client("cinder").volumes())
    held = weakref.ref(cloud.factory.session)
    cloud.close()
    del cloud
    gc.collect()
    assert held() is None


def test_it_can_be_used_with_with(opened: Opened) -> None:
    with opened() as cloud:
        assert cloud.has("cinder")


def test_a_body_with_a_secret_is_not_logged(
        cloud: OpenStackCloud, stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.answer = lambda sent: Reply(json={"server": {"adminPass": "secret-pass"}})
    with caplog.at_level("DEBUG"):
        cloud.api("nova").post("/servers", {"server": {"user_data": "secret-data"}})
    assert "nova POST /servers: 200" in caplog.text
    assert "secret" not in caplog.text
    assert json.loads(stage.sent[-1].body) == {"server": {"user_data": "secret-data"}}
