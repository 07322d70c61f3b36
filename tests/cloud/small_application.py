"""One server on its own network, booted from an image, with one data volume."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from openstack.connection import Connection

PATIENCE = 180.0


@dataclass(frozen=True)
class SmallApplication:
    """Ids and names of the originals."""

    prefix: str
    server: str
    volume: str
    network: str

    @property
    def server_name(self) -> str:
        return f"{self.prefix}web"


def until(what: str, look: Callable[[], bool]) -> None:
    """Look every 0.3 s; fail the test after PATIENCE."""
    end = time.monotonic() + PATIENCE
    while not look():
        if time.monotonic() > end:
            pytest.fail(f"waited {PATIENCE:.0f} s in vain: {what}")
        time.sleep(0.3)


@contextlib.contextmanager
def small_application(cloud: Connection, prefix: str) -> Iterator[SmallApplication]:
    """Built as a user would; everything whose name begins with the prefix is removed at the end,
    what a restore has made included."""
    clear(cloud, prefix)
    try:
        yield _build(cloud, prefix)
    finally:
        clear(cloud, prefix)


def _build(cloud: Connection, prefix: str) -> SmallApplication:
    network = cloud.network.create_network(name=f"{prefix}net")
    cloud.network.create_subnet(name=f"{prefix}subnet", network_id=network.id, ip_version=4,
                                cidr="10.77.0.0/24")
    image = cloud.image.create_image(name=f"{prefix}image", data=bytes(range(256)) * 4096,
                                     disk_format="raw", container_format="bare", wait=True)
    volume = cloud.block_storage.create_volume(name=f"{prefix}data", size=1)
    server = cloud.compute.create_server(
        name=f"{prefix}web", image_id=image.id, networks=[{"uuid": network.id}],
        flavor_id=cloud.compute.find_flavor("m1.nano").id)
    until("volume available",
          lambda: cloud.block_storage.get_volume(volume).status == "available")
    until("server active", lambda: cloud.compute.get_server(server).status == "ACTIVE")
    cloud.compute.create_volume_attachment(server, volume_id=volume.id)
    until("volume attached", lambda: cloud.block_storage.get_volume(volume).status == "in-use")
    return SmallApplication(prefix, server.id, volume.id, network.id)


def clear(cloud: Connection, prefix: str) -> None:
    """Remove what bears the prefix."""
    servers = [one for one in cloud.compute.servers() if one.name.startswith(prefix)]
    for server in servers:
        cloud.compute.delete_server(server)
    for server in servers:
        cloud.compute.wait_for_delete(server, interval=0.3, wait=PATIENCE)
    for volume in [one for one in cloud.block_storage.volumes() if one.name.startswith(prefix)]:
        until("volume detached", lambda volume=volume: cloud.block_storage.get_volume(
            volume).status not in ("in-use", "detaching", "restoring-backup", "creating"))
        cloud.block_storage.delete_volume(volume, cascade=True)
    for image in [one for one in cloud.image.images(owner=cloud.current_project_id)
                  if one.name.startswith(prefix)]:
        cloud.image.delete_image(image)
    for network in [one for one in cloud.network.networks() if one.name.startswith(prefix)]:
        for port in cloud.network.ports(network_id=network.id):
            cloud.network.delete_port(port)
        cloud.network.delete_network(network)
