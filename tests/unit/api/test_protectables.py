"""What there is to protect, as clients of Karbor 1.x ask for it."""

from __future__ import annotations

import pytest

from tests.unit.api.conftest import Api
from tests.unit.api.people import MINE
from tests.unit.api.service import NETWORK, SERVER, VOLUME

NETWORKS = "/protectables/OS::Neutron::Network/instances"


def test_a_server_shows_its_image_then_its_volumes_then_the_network(api: Api) -> None:
    shown = api("GET", f"/protectables/OS::Nova::Server/instances/{SERVER}").json["instance"]
    assert [(one["type"], one["id"]) for one in shown["dependent_resources"]] == [
        ("OS::Glance::Image", "base"), ("OS::Cinder::Volume", VOLUME),
        ("OS::Neutron::Network", MINE)]


@pytest.mark.parametrize("id", [MINE, NETWORK])
def test_a_network_is_shown_as_the_topology_that_it_belongs_to(api: Api, id: str) -> None:
    shown = api("GET", f"{NETWORKS}/{id}").json["instance"]
    assert (shown["id"], shown["name"]) == (MINE, "Network topology")


def test_what_is_no_network_of_the_project_is_not_found(api: Api) -> None:
    api("GET", f"{NETWORKS}/{VOLUME}", status=404)
