"""A login whose cloud answers as a test says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from karbor import config
from karbor.clients.cloud import OpenStackCloud, Shared
from karbor.credentials.authority import Authority
from tests.unit.credentials.conftest import CLOUDS
from tests.unit.credentials.wire import Clock, Keystone, Reply, Sent, Wire

CATALOG = [
    {"type": "volumev3", "name": "cinderv3", "endpoints": [
        {"interface": "public", "region_id": "RegionOne", "region": "RegionOne",
         "url": "http://cinder.test/v3"}]},
    {"type": "compute", "name": "nova", "endpoints": [
        {"interface": "public", "region_id": "RegionOne", "url": "http://nova.test/v2.1"}]},
    {"type": "image", "name": "glance", "endpoints": [
        {"interface": "admin", "region_id": "RegionOne", "url": "http://admin.glance.test"},
        {"interface": "public", "region_id": "RegionTwo", "url": "http://two.glance.test"},
        {"interface": "public", "region_id": "RegionOne", "url": "http://glance.test"}]},
    {"type": "network", "name": "neutron", "endpoints": [
        {"interface": "public", "region_id": "RegionOne", "url": "http://neutron.test/"}]},
    {"type": "object-store", "name": "swift", "endpoints": [
        {"interface": "public", "region_id": "RegionOne",
         "url": "http://swift.test/v1/AUTH_project-demo"}]},
    {"type": "key-manager", "name": "barbican", "endpoints": [
        {"interface": "internal", "region_id": "RegionOne", "url": "http://barbican.test"}]},
]

Answer = Callable[[Sent], Reply]


class Stage:
    """What the services answer (`answer`, to be set by a test), and what was sent to them."""

    def __init__(self, keystone: Keystone) -> None:
        self.keystone = keystone
        self.answer: Answer = lambda sent: Reply(404, json={"itemNotFound": {"message": "none"}})
        self.wire = Wire(lambda sent: keystone.answer(sent) or self.answer(sent))
        self.waited: list[float] = []

    @property
    def sent(self) -> list[Sent]:
        return [one for one in self.wire.sent if not one.path.startswith("/v3/auth")
                and one.path not in ("/v3", "/v3/")]

    def script(self, *replies: Reply) -> None:
        """One reply after another; more requests than replies fail the test."""
        left = list(replies)
        self.answer = lambda sent: left.pop(0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stage(clock: Clock) -> Stage:
    keystone = Keystone(clock)
    keystone.catalog = CATALOG
    return Stage(keystone)


@pytest.fixture
def opened(stage: Stage, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
           ) -> Callable[..., OpenStackCloud]:
    """Opens clouds; those of one test share what they learn. Pauses pass the test's clock."""
    clouds = tmp_path / "clouds.yaml"
    clouds.write_text(CLOUDS)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(clouds))
    monkeypatch.delenv("OS_CLOUD", raising=False)
    shared = Shared(clock)

    def wait(seconds: float) -> None:
        stage.waited.append(seconds)
        clock.sleep(seconds)

    def make(text: str = "", cloud: str = "demo", **given: Any) -> OpenStackCloud:
        file = tmp_path / "karbor.conf"
        file.write_text(text)
        authority = Authority(config.load([file]), adapter=stage.wire)
        return OpenStackCloud(authority, authority.represent(cloud), shared, wait=wait, **given)
    return make


@pytest.fixture
def cloud(opened: Callable[..., OpenStackCloud]) -> OpenStackCloud:
    return opened()
