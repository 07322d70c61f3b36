"""The application: two servers, four disks, a network, and an address the world knows."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from openstack import exceptions
from openstack.connection import Connection

from dev.demo.bytes_on_disk import BLOCK, scribble
from dev.demo.place import PREFIX, Place

PATIENCE = 300.0


@dataclass(frozen=True)
class Application:
    """Ids of the originals."""

    web: str
    db: str
    address: str


class Trouble(Exception):
    """The demonstration cannot go on; the message says why."""


def until(what: str, look: Callable[[], str], wanted: str) -> None:
    """Wait for a state; an error state ends the wait."""
    end = time.monotonic() + PATIENCE
    state = ""
    while time.monotonic() < end:
        state = look().lower()
        if state == wanted.lower():
            return
        if state.startswith("error"):
            break
        time.sleep(0.5)
    raise Trouble(f"{what} is {state}, not {wanted}")


def build(cloud: Connection, place: Place) -> Application:
    """As a user would, with nothing but the services' own clients."""
    network, group = _network(cloud)
    image = cloud.image.create_image(
        name=f"{PREFIX}image", data=_noise("image", 5 * BLOCK + 512), disk_format="raw",
        container_format="bare", min_disk=1, hw_disk_bus="virtio")
    key = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    cloud.compute.create_keypair(name=f"{PREFIX}key", public_key=key)

    volumes = [cloud.block_storage.create_volume(
        name=f"{PREFIX}{name}", size=1, metadata={"role": name}) for name in ("orders", "stock")]
    root = cloud.block_storage.create_volume(name=f"{PREFIX}db-root", size=1, image_id=image.id)
    for one in [*volumes, root]:
        until(one.name, lambda one=one: cloud.block_storage.get_volume(one.id).status, "available")

    flavor = cloud.compute.find_flavor("m1.nano").id
    common: dict[str, Any] = {
        "flavor_id": flavor, "key_name": f"{PREFIX}key", "networks": [{"uuid": network}],
        "security_groups": [{"name": group}]}
    web = cloud.compute.create_server(name=f"{PREFIX}web", image_id=image.id,
                                      metadata={"tier": "front"}, **common)
    db = cloud.compute.create_server(
        name=f"{PREFIX}db", block_device_mapping=[{
            "boot_index": 0, "uuid": root.id, "source_type": "volume",
            "destination_type": "volume", "delete_on_termination": False}],
        metadata={"tier": "back"}, **common)
    for server in (web, db):
        until(server.name, lambda server=server: cloud.compute.get_server(server.id).status,
              "ACTIVE")
    for one in volumes:
        cloud.compute.create_volume_attachment(web, volume_id=one.id)
        until(one.name, lambda one=one: cloud.block_storage.get_volume(one.id).status, "in-use")
    port = next(iter(cloud.network.ports(device_id=web.id)))
    floating = cloud.network.create_ip(
        floating_network_id=cloud.network.find_network("public").id, port_id=port.id,
        description=f"{PREFIX}address")
    for path in (place.disk(web.id), *(place.volume(one.id) for one in (*volumes, root))):
        scribble(path, path.name)
    return Application(web.id, db.id, floating.floating_ip_address)


def _noise(seed: str, size: int) -> bytes:
    import random  # noqa: PLC0415 - beside its one use

    return random.Random(seed).randbytes(size)


def _network(cloud: Connection) -> tuple[str, str]:
    """Network, subnet, router with gateway, security group; returns the ids of first and last."""
    net = cloud.network.create_network(name=f"{PREFIX}net", description="the shop's own")
    subnet = cloud.network.create_subnet(
        name=f"{PREFIX}subnet", network_id=net.id, ip_version=4, cidr="10.20.30.0/24",
        dns_nameservers=["10.20.30.2"])
    router = cloud.network.create_router(
        name=f"{PREFIX}router",
        external_gateway_info={"network_id": cloud.network.find_network("public").id})
    cloud.network.add_interface_to_router(router, subnet_id=subnet.id)
    group = cloud.network.create_security_group(name=f"{PREFIX}group", description="web and ssh")
    for port in (22, 443):
        cloud.network.create_security_group_rule(
            security_group_id=group.id, direction="ingress", ether_type="IPv4", protocol="tcp",
            port_range_min=port, port_range_max=port, remote_ip_prefix="0.0.0.0/0")
    return net.id, group.name


def destroy(cloud: Connection, *, addresses_too: bool = False) -> int:
    """Remove whatever bears the prefix; returns how many things. Floating addresses stay
    allocated unless told otherwise."""
    count = 0
    servers = [one for one in cloud.compute.servers() if one.name.startswith(PREFIX)]
    for one in servers:
        cloud.compute.delete_server(one)
    for one in servers:
        cloud.compute.wait_for_delete(one, interval=0.5, wait=PATIENCE)
    count += len(servers)
    storage = cloud.block_storage
    volumes = [one for one in storage.volumes() if one.name.startswith(PREFIX)]
    for one in volumes:
        until(one.name, lambda one=one: storage.get_volume(one.id).status, "available")
        storage.delete_volume(one, cascade=True)
    for one in volumes:
        storage.wait_for_delete(one, interval=0.5, wait=PATIENCE)
    count += len(volumes)
    for one in cloud.image.images(owner=cloud.current_project_id):
        if one.name.startswith(PREFIX):
            cloud.image.delete_image(one)
            count += 1
    count += _destroy_network(cloud, addresses_too=addresses_too)
    if addresses_too:       # the key pair is the user's own and stays, like the address
        cloud.compute.delete_keypair(f"{PREFIX}key", ignore_missing=True)
    return count


def _destroy_network(cloud: Connection, *, addresses_too: bool) -> int:
    net, count = cloud.network, 0
    if addresses_too:
        for one in net.ips():
            if (one.description or "").startswith(PREFIX):
                net.delete_ip(one)
                count += 1
    for router in [one for one in net.routers() if one.name.startswith(PREFIX)]:
        for port in net.ports(device_id=router.id):
            with contextlib.suppress(exceptions.NotFoundException, exceptions.BadRequestException):
                # the gateway's port is no interface: it goes with the router
                net.remove_interface_from_router(router, port_id=port.id)
        net.delete_router(router)
        count += 1
    for one in [one for one in net.networks() if one.name.startswith(PREFIX)]:
        for port in net.ports(network_id=one.id):
            net.delete_port(port)
        net.delete_network(one)
        count += 1
    for one in [one for one in net.security_groups() if one.name.startswith(PREFIX)]:
        net.delete_security_group(one)
        count += 1
    return count
