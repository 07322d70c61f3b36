"""Discovery on the real cloud: what belongs together, and how few requests tell it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from openstack.connection import Connection

from karbor.clients.cloud import OpenStackCloud
from karbor.clients.connect import connect
from karbor.domain.resource import IMAGE, NETWORK, PROJECT, SERVER, VOLUME, ResourceGraph
from karbor.operations.discovery import discover
from karbor.plugin import registry
from karbor.plugin.protectable import DiscoveryLists
from tests.cloud.conftest import Cloud
from tests.cloud.small_application import small_application, until

PREFIX = "karbor-discovery-"
USER = "demo2"


@pytest.fixture
def sdk(cloud: Cloud) -> Iterator[Connection]:
    with cloud.connection(USER) as connection:
        yield connection
        for image in connection.image.images(name=f"{PREFIX}image"):
            connection.image.delete_image(image)


@pytest.fixture
def mine(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenStackCloud]:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(cloud.clouds_yaml))
    with connect(USER) as opened:
        yield opened


def counted(mine: OpenStackCloud) -> tuple[ResourceGraph, Counter[tuple[str, str]]]:
    """The graph of the project, and the requests that it took."""
    before = Counter(mine.requests)
    protectables = registry.protectables()
    listings = DiscoveryLists(mine)
    project, = protectables[PROJECT].list(listings)
    graph = discover(mine, protectables, [project], listings)
    return graph, Counter(mine.requests) - before


def more(sdk: Connection, image: str) -> list[str]:
    """A second server from the same image, and three volumes."""
    flavor = sdk.compute.find_flavor("m1.nano", ignore_missing=False)
    volumes = [sdk.block_storage.create_volume(size=1, name=f"{PREFIX}more").id for _ in range(3)]
    server = sdk.compute.create_server(name=f"{PREFIX}two", image_id=image, flavor_id=flavor.id,
                                       networks="none")
    until("server active", lambda: sdk.compute.get_server(server).status == "ACTIVE")
    until("volumes available", lambda: all(
        sdk.block_storage.get_volume(one).status == "available" for one in volumes))
    sdk.compute.create_volume_attachment(server, volume_id=volumes[0])
    until("volume attached",
          lambda: sdk.block_storage.get_volume(volumes[0]).status == "in-use")
    return [server.id, *volumes]


def test_a_project_is_found_with_as_many_requests_as_it_has_kinds(
        sdk: Connection, mine: OpenStackCloud) -> None:
    with small_application(sdk, PREFIX) as app:
        image, = sdk.image.images(name=f"{PREFIX}image")
        small, requests = counted(mine)
        web = small[f"{SERVER}#{app.server}"]
        assert {one.key for one in small.children(web.key)} == {
            f"{VOLUME}#{app.volume}", f"{IMAGE}#{image.id}@{app.server}",
            f"{NETWORK}#{mine.project_id}"}
        assert web.facts["volumes"] == [app.volume]
        attached, = small[f"{VOLUME}#{app.volume}"].facts["attachments"]
        assert attached["server_id"] == app.server
        assert attached["device"].startswith("/dev/")
        assert small.roots == [f"{PROJECT}#{mine.project_id}"]

        second, *volumes = more(sdk, image.id)
        large, requests_of_more = counted(mine)
        new = {one.key for one in large} - {one.key for one in small}
        assert new >= {f"{SERVER}#{second}", f"{IMAGE}#{image.id}@{second}",
                       *(f"{VOLUME}#{one}" for one in volumes)}
        assert [one.key for one in large.children(f"{SERVER}#{second}")] == [
            f"{IMAGE}#{image.id}@{second}", f"{VOLUME}#{volumes[0]}"]   # and no network: no port

        assert requests_of_more == requests - Counter(
            {one: count for one, count in requests.items() if one[0] == "keystone"})
        # Glance thrice: own, hidden, bases. This cloud has no Trove and no Kubernetes.
        assert sum(requests_of_more.values()) == 7
        assert requests_of_more["manila", "GET"] == 1


def test_a_disk_outlives_its_base_image(sdk: Connection, mine: OpenStackCloud) -> None:
    with small_application(sdk, PREFIX) as app:
        image, = sdk.image.images(name=f"{PREFIX}image")
        sdk.image.delete_image(image)
        graph, _ = counted(mine)
        disk = graph[f"{IMAGE}#{image.id}@{app.server}"]
        assert disk.facts["base"] == "gone"
        assert f"{IMAGE}#{image.id}" not in graph
