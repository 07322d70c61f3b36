"""An application: a server on a network of its own, and the image that it was booted from."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openstack.connection import Connection

from dev.demo.bytes_on_disk import scribble
from dev.endurance.place import Place, Trouble
from dev.endurance.tenants import Tenant

PATIENCE = 300.0
WEB, IMAGE, NET = "web", "system", "net"
"""Names in the tenant's project, which holds nothing else."""


@dataclass(frozen=True)
class Portrait:
    """What an outsider sees of it, without ids: addresses, and checksums of all bytes."""

    address: str
    mac: str
    disk: str
    image: str


def build(place: Place, tenant: Tenant, size: int) -> Portrait:
    """As the tenant would, with the services' own clients; `size` is that of each disk in bytes.
    On a flavor without a disk a server's own is as large as its image."""
    with place.connect(tenant.name, tenant.name) as cloud:
        image = cloud.image.create_image(
            name=IMAGE, data=random.Random(tenant.name).randbytes(size), disk_format="raw",
            container_format="bare")
        net = cloud.network.create_network(name=NET)
        cloud.network.create_subnet(name=NET, network_id=net.id, ip_version=4,
                                    cidr="10.20.30.0/24")
        server = cloud.compute.create_server(
            name=WEB, image_id=image.id, flavor_id=cloud.compute.find_flavor("m1.zero").id,
            networks=[{"uuid": net.id}])
        end = time.monotonic() + PATIENCE
        while (state := cloud.compute.get_server(server.id).status) != "ACTIVE":
            if state == "ERROR" or time.monotonic() > end:
                raise Trouble(f"the server of {tenant.name} is {state}, not ACTIVE")
            time.sleep(0.5)
        scribble(place.disk(server.id), tenant.name)
        return _portrait(place, cloud)


def portrait(place: Place, tenant: Tenant) -> Portrait:
    """Raises Trouble where something is missing."""
    with place.connect(tenant.name, tenant.name) as cloud:
        return _portrait(place, cloud)


def _portrait(place: Place, cloud: Connection) -> Portrait:
    server = _named(cloud.compute.servers(), WEB)
    port = next(iter(cloud.network.ports(device_id=server.id)))
    image = _named(cloud.image.images(owner=cloud.current_project_id), IMAGE)
    return Portrait(port.fixed_ips[0]["ip_address"], port.mac_address,
                    _checksum(place.disk(server.id)), _checksum(place.image(image.id)))


def destroy(place: Place, tenant: Tenant, *, network_too: bool = False) -> None:
    """The servers and images of the tenant's project, what Karbor made included."""
    with place.connect(tenant.name, tenant.name) as cloud:
        servers = list(cloud.compute.servers())
        for one in servers:
            cloud.compute.delete_server(one)
        for one in servers:
            cloud.compute.wait_for_delete(one, interval=0.5, wait=PATIENCE)
        for one in cloud.image.images(owner=cloud.current_project_id):
            cloud.image.delete_image(one)
        if network_too:
            for net in list(cloud.network.networks(project_id=cloud.current_project_id)):
                for port in cloud.network.ports(network_id=net.id):
                    cloud.network.delete_port(port)
                cloud.network.delete_network(net)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _named(found: Iterable[Any], name: str) -> Any:
    for one in found:
        if one.name == name:
            return one
    raise Trouble(f"there is no {name}")
