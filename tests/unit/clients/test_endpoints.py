"""Where services answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from karbor.clients.cloud import OpenStackCloud
from karbor.clients.services import KNOWN
from karbor.domain.errors import CloudError, ServiceAbsent
from tests.unit.clients.conftest import Stage

Opened = Callable[..., OpenStackCloud]


@pytest.mark.parametrize(("service", "address"), [
    ("cinder", "http://cinder.test/v3"),
    ("nova", "http://nova.test/v2.1"),
    ("glance", "http://glance.test/v2"),
    ("neutron", "http://neutron.test/v2.0"),
    ("swift", "http://swift.test/v1/AUTH_project-demo"),
])
def test_an_address_is_found_by_type_interface_and_region_without_asking_anybody(
        cloud: OpenStackCloud, stage: Stage, service: str, address: str) -> None:
    before = len(stage.wire.sent)
    assert cloud.factory.endpoint(service) == address
    assert len(stage.wire.sent) == before


@pytest.mark.parametrize(("service", "given", "address"), [
    ("cinder", "http://h:8776", "http://h:8776/v3"),
    ("cinder", "http://h:8776/v3/", "http://h:8776/v3"),
    ("cinder", "http://h/volume/v3/%(project_id)s", "http://h/volume/v3/project-demo"),
    ("nova", "http://h/compute", "http://h/compute/v2.1"),
    ("glance", "http://h:9292/", "http://h:9292/v2"),
    ("neutron", "http://h/networking/v2.0", "http://h/networking/v2.0"),
    ("swift", "http://h/swift", "http://h/swift/v1/AUTH_project-demo"),
    ("swift", "http://h/swift/v1", "http://h/swift/v1"),
    ("manila", "http://h:8786", "http://h:8786/v2"),
    ("barbican", "http://h:9311", "http://h:9311/v1"),
    ("trove", "http://h:8779", "http://h:8779/v1.0/project-demo"),
    ("trove", "http://h/database/v1.0/%(project_id)s", "http://h/database/v1.0/project-demo"),
])
def test_the_operators_address_wins_and_gets_its_version(
        opened: Opened, service: str, given: str, address: str) -> None:
    cloud = opened(f"[{service}]\nendpoint_override = {given}")
    assert cloud.factory.endpoint(service) == address
    assert cloud.has(service)


def test_an_address_in_clouds_yaml_counts_too(opened: Opened, tmp_path: Path) -> None:
    file = tmp_path / "clouds.yaml"
    file.write_text(file.read_text().replace(
        "region_name: RegionOne",
        "region_name: RegionOne\n    block_storage_endpoint_override: http://mine.test/v3\n", 1))
    assert opened().factory.endpoint("cinder") == "http://mine.test/v3"


def test_region_interface_and_type_can_be_chosen_per_service(opened: Opened) -> None:
    cloud = opened("[glance]\nregion_name = RegionTwo\n[barbican]\ninterface = internal\n"
                   "[manila]\nservice_type = volumev3\n")
    assert cloud.factory.endpoint("glance") == "http://two.glance.test/v2"
    assert cloud.factory.endpoint("barbican") == "http://barbican.test/v1"
    assert cloud.factory.endpoint("manila") == "http://cinder.test/v3"


def test_what_is_missing_is_told_with_what_there_is(opened: Opened) -> None:
    cloud = opened("[glance]\nregion_name = RegionThree")
    with pytest.raises(ServiceAbsent, match="this cloud has no manila") as caught:
        cloud.api("manila")
    assert "[manila] endpoint_override" in caught.value.remedy
    with pytest.raises(CloudError, match="no public address") as caught:
        cloud.api("barbican")
    assert caught.value.remedy == "the catalog has: internal in RegionOne"
    with pytest.raises(CloudError, match="region RegionThree"):
        cloud.api("glance")
    with pytest.raises(CloudError, match="no service called heat"):
        cloud.api("heat")
    # What cannot be used as configured is there all the same: only nothing counts as nothing.
    assert [name for name in [*KNOWN, "heat"] if cloud.has(name)] == [
        "cinder", "nova", "glance", "neutron", "swift", "barbican"]


def test_what_another_region_has_this_one_has_not(opened: Opened, stage: Stage) -> None:
    stage.keystone.catalog = [
        {"type": "database", "name": "trove", "endpoints": [
            {"interface": "public", "region_id": "RegionTwo", "url": "http://trove.test"}]}]
    cloud = opened()
    assert not cloud.has("trove")
    with pytest.raises(ServiceAbsent, match="trove has no public address in the region RegionOne"):
        cloud.api("trove")
    mistaken = opened("[trove]\nregion_name = RegionOen")
    assert mistaken.has("trove")
    with pytest.raises(CloudError, match="RegionOen"):
        mistaken.api("trove")


def test_a_token_without_a_catalog_is_an_error_and_no_empty_cloud(
        opened: Opened, stage: Stage) -> None:
    stage.keystone.catalog = []
    with pytest.raises(CloudError, match="without a catalog"):
        opened().has("cinder")
    cloud = opened("[cinder]\nendpoint_override = http://h")
    assert cloud.has("cinder")
