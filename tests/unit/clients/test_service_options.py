"""The options that each service of the cloud has a section for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from karbor import config
from karbor.clients.cloud import OpenStackCloud
from tests.unit.clients.conftest import Stage
from tests.unit.clients.test_kubernetes import CLUSTER, PODS
from tests.unit.credentials.wire import Reply, Wire

Opened = Callable[..., OpenStackCloud]
TYPES = {"cinder": "volumev3", "nova": "compute", "glance": "image", "neutron": "network",
         "swift": "object-store", "manila": "sharev2", "trove": "database",
         "barbican": "key-manager"}


@pytest.fixture(autouse=True)
def catalog(stage: Stage) -> None:
    """Each service three times, and one of another name."""
    assert set(TYPES) == set(config.SERVICES)
    stage.keystone.catalog = [
        {"type": type, "name": type, "endpoints": [
            {"interface": interface, "region_id": region, "region": region,
             "url": f"http://{name}-{type}.test"}
            for name, interface, region in (("usual", "public", "RegionOne"),
                                            ("inside", "internal", "RegionOne"),
                                            ("elsewhere", "public", "RegionTwo"))]}
        for type in (*TYPES.values(), "of-our-own")]


@pytest.mark.parametrize("service", config.SERVICES)
@pytest.mark.parametrize(("option", "host"), [
    ("", "usual-{type}.test"), ("interface = internal", "inside-{type}.test"),
    ("region_name = RegionTwo", "elsewhere-{type}.test"),
    ("service_type = of-our-own", "usual-of-our-own.test"),
    ("endpoint_override = http://mine.test:99", "mine.test:99")])
def test_each_service_is_where_its_section_says(
        opened: Opened, service: str, option: str, host: str) -> None:
    address = opened(f"[{service}]\n{option}\n").factory.endpoint(service)
    assert address.split("/")[2] == host.format(type=TYPES[service])


@pytest.mark.parametrize("ca_file", ["", "/etc/ssl/certs/of-the-cluster.pem"])
def test_the_cluster_is_trusted_by_the_certificates_of_its_option(
        opened: Opened, stage: Stage, monkeypatch: pytest.MonkeyPatch, ca_file: str) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)     # they count where nothing else is said
    trusted: list[Any] = []
    usual = Wire.send

    def send(wire: Wire, request: Any, **options: Any) -> Any:
        trusted.append(options["verify"])
        return usual(wire, request, **options)

    cloud = opened(CLUSTER + (f"ca_file = {ca_file}\n" if ca_file else ""))
    stage.answer = lambda _sent: Reply(json={"kind": "PodList", "items": []})
    monkeypatch.setattr(Wire, "send", send)
    assert cloud.api("kubernetes").list(PODS, "items") == []
    assert trusted == [ca_file or True]
