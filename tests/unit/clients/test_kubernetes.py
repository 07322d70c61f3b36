"""The cluster of a project: its own address, its own token, and nobody else's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from karbor import config
from karbor.clients.cloud import OpenStackCloud
from karbor.domain.errors import (
    BadInput,
    CloudError,
    CloudForbidden,
    CloudUnavailable,
    ServiceAbsent,
)
from tests.unit.clients.conftest import Stage
from tests.unit.credentials.wire import Reply

PODS = "/namespaces/%(namespace)s/pods"
CLUSTER = """[kubernetes]
endpoint = https://k8s.test:6443/
project_id = project-demo
namespace = shop
"""

Opened = Callable[..., OpenStackCloud]


def test_it_is_asked_with_the_token_of_its_file_as_it_is_now(
        opened: Opened, stage: Stage, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    token = tmp_path / "token"
    cloud = opened(f"{CLUSTER}token_file = {token}")
    stage.answer = lambda sent: Reply(json={"kind": "PodList", "items": [{"n": 1}]})
    with caplog.at_level("DEBUG"):
        for now in ("first-secret\n", "second-secret\n"):
            token.write_text(now)
            assert cloud.api("kubernetes").list(PODS, "items") == [{"n": 1}]
    assert [one.path for one in stage.sent] == ["/api/v1/namespaces/shop/pods"] * 2
    assert [one.headers["authorization"] for one in stage.sent] == [
        "Bearer first-secret", "Bearer second-secret"]
    assert not any(name in one.headers for one in stage.sent
                   for name in ("x-auth-token", "x-service-token"))
    assert "secret" not in caplog.text
    assert cloud.requests["kubernetes", "GET"] == 2
    cloud.close()


def test_a_token_that_cannot_be_read_is_told_and_not_tried_again(
        opened: Opened, stage: Stage, tmp_path: Path) -> None:
    cloud = opened(f"{CLUSTER}token_file = {tmp_path / 'gone'}")
    with pytest.raises(CloudError, match="No such file") as caught:
        cloud.api("kubernetes").list(PODS, "items")
    assert not caught.value.transient
    assert "token_file" in caught.value.remedy
    assert stage.sent == []


def test_what_it_refuses_is_an_error_and_no_empty_list(opened: Opened, stage: Stage) -> None:
    cloud = opened(CLUSTER)
    stage.script(Reply(403, json={"kind": "Status", "metadata": {}, "status": "Failure",
                                  "message": "pods is forbidden", "code": 403}))
    with pytest.raises(CloudForbidden, match="kubernetes answered 403: pods is forbidden"):
        cloud.api("kubernetes").list(PODS, "items")
    stage.answer = lambda sent: Reply(503)
    with pytest.raises(CloudUnavailable):
        cloud.api("kubernetes").list(PODS, "items")


def test_without_an_address_there_is_none_and_it_says_where_to_put_one(opened: Opened) -> None:
    cloud = opened()
    assert not cloud.has("kubernetes")
    with pytest.raises(ServiceAbsent, match="no Kubernetes cluster is configured") as caught:
        cloud.api("kubernetes")
    assert "[kubernetes] endpoint" in caught.value.remedy


def test_it_belongs_to_one_project(opened: Opened, tmp_path: Path) -> None:
    theirs = opened(CLUSTER.replace("project-demo", "project-other"))
    assert not theirs.has("kubernetes")
    with pytest.raises(ServiceAbsent, match="another project"):
        theirs.api("kubernetes")
    assert opened(CLUSTER).has("kubernetes")
    nobodys = tmp_path / "nobodys.conf"
    nobodys.write_text("[kubernetes]\nendpoint = https://k8s.test\n")
    with pytest.raises(BadInput, match="no project_id"):
        config.load([nobodys])
