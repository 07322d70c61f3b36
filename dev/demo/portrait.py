"""What an outsider sees of the application: by names, never by ids, asked of the services."""

from __future__ import annotations

from typing import Any

from openstack.connection import Connection

from dev.demo.bytes_on_disk import checksum
from dev.demo.place import PREFIX, Place

Portrait = dict[str, Any]


def portrait(cloud: Connection, place: Place) -> Portrait:
    """Every byte, attachment and address. Two portraits are equal exactly if the applications
    are, as far as this demonstration looks."""
    volumes = {one.id: one for one in cloud.block_storage.volumes()
               if one.name.startswith(PREFIX)}
    networks = [one for one in cloud.network.networks() if one.name.startswith(PREFIX)]
    groups = [one for one in cloud.network.security_groups() if one.name.startswith(PREFIX)]
    out: Portrait = {
        "servers": {one.name: _server(cloud, place, one, volumes)
                    for one in cloud.compute.servers() if one.name.startswith(PREFIX)},
        "volumes": {one.name: {
            "size": one.size, "type": one.volume_type, "metadata": _own(one.metadata),
            "bootable": one.is_bootable, "bytes": checksum(place.volume(one.id))}
            for one in volumes.values()},
        "networks": {one.name: {
            "description": one.description, "mtu": one.mtu,
            "subnets": sorted(
                (s.name, s.cidr, s.gateway_ip, tuple(s.dns_nameservers))
                for s in cloud.network.subnets(network_id=one.id))} for one in networks},
        "routers": {one.name: _router(cloud, one) for one in cloud.network.routers()
                    if one.name.startswith(PREFIX)},
        "security groups": {one.name: {
            "description": one.description,
            "rules": sorted(
                (r.direction, r.ether_type, r.protocol or "", r.port_range_min or 0,
                 r.port_range_max or 0, r.remote_ip_prefix or "")
                for r in cloud.network.security_group_rules(security_group_id=one.id))}
            for one in groups},
    }
    return out


def _own(metadata: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in metadata.items() if not name.startswith("karbor")}


def _server(cloud: Connection, place: Place, server: Any, volumes: dict[str, Any]) -> Portrait:
    ports = list(cloud.network.ports(device_id=server.id))
    groups = {one.id: one.name for one in cloud.network.security_groups()}
    floating = {one.port_id: one.floating_ip_address for one in cloud.network.ips()}
    attached = sorted((one.device, volumes[one.volume_id].name, one.delete_on_termination)
                      for one in cloud.compute.volume_attachments(server))
    disk = place.disk(server.id)
    return {
        "flavor": server.flavor.name, "key": server.key_name, "state": server.status,
        "metadata": _own(server.metadata), "attachments": attached,
        "ports": sorted((
            port.mac_address, tuple(one["ip_address"] for one in port.fixed_ips),
            tuple(sorted(groups[one] for one in port.security_group_ids)),
            floating.get(port.id, "")) for port in ports),
        "disk": checksum(disk) if disk.exists() else "none: boots from a volume",
    }


def _router(cloud: Connection, router: Any) -> Portrait:
    outside = (router.external_gateway_info or {}).get("network_id")
    return {
        "gateway": cloud.network.get_network(outside).name if outside else "",
        "interfaces": sorted(
            one["ip_address"] for port in cloud.network.ports(
                device_id=router.id, device_owner="network:router_interface")
            for one in port.fixed_ips)}


def differences(before: Any, after: Any, where: str = "") -> list[str]:
    """A line for everything that is not the same."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [line for name in sorted({*before, *after})
                for line in differences(before.get(name, "nothing"), after.get(name, "nothing"),
                                        f"{where} > {name}" if where else name)]
    return [] if before == after else [f"{where}: was {before}, is {after}"]


def size(one: Any) -> int:
    """How many facts a portrait holds."""
    if isinstance(one, dict):
        return sum(size(value) for value in one.values())
    return sum(size(value) for value in one) if isinstance(one, list | tuple) else 1
