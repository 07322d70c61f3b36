"""What of a project's networks an application needs: chosen from bulk lists, without any request.

A member sees its own networks, those shared with it, and external ones. Only what belongs to the
project can be made again; the rest is kept by reference (its id and name).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

Record = dict[str, Any]

INTERFACES = frozenset({"network:router_interface", "network:router_interface_distributed",
                        "network:ha_router_replicated_interface"})
"""Owners of the ports by which a router is on a subnet (neutron_lib.constants)."""

HIDDEN = "hidden from this user by the cloud's policy"
RELEASED = ("kept while it stays allocated; once released, by default only a manager or "
            "administrator may ask for the same address again")
_PROVIDER = ("provider:network_type", "provider:physical_network", "provider:segmentation_id")


@dataclass(frozen=True)
class Lists:
    """Everything of Neutron that the caller sees, one list a kind."""

    networks: list[Record]
    subnets: list[Record]
    ports: list[Record]
    routers: list[Record]
    groups: list[Record]
    floating: list[Record]
    address_groups: list[Record] = field(default_factory=list)


def choose(lists: Lists, project_id: str, servers: Collection[str] | None,
           kept_servers: Collection[str] = ()) -> Record:
    """Return the topology document: of the whole project (`servers` None), or what these servers
    need. `kept_servers` are all in the checkpoint; ports of others are nobody's, and are told."""
    own_ports = [one for one in lists.ports if _owner(one) == project_id]
    ports = own_ports if servers is None else \
        [one for one in lists.ports if one.get("device_id") in servers]
    networks = {network["id"]: network for network in lists.networks}
    if servers is None:
        wanted = {network["id"] for network in lists.networks if _owner(network) == project_id}
        used = {port["network_id"] for port in ports}
    else:
        wanted = used = {port["network_id"] for port in ports}
    kept = [networks[id] for id in sorted(wanted)
            if id in networks and _owner(networks[id]) == project_id]
    kept_ids = {one["id"] for one in kept}
    subnets = [subnet for subnet in lists.subnets if subnet["network_id"] in kept_ids]
    routers = _routers(
        lists, project_id, {subnet["id"] for subnet in subnets}, whole=servers is None
    )
    floating = [one for one in lists.floating if _owner(one) == project_id and
                (servers is None or one.get("port_id") in {port["id"] for port in ports})]
    referred = (used | {_gateway(router) for router in routers}
                | {one["floating_network_id"] for one in floating}) - kept_ids - {""}
    groups = _groups(lists.groups, project_id, ports, whole=servers is None)
    return {
        "id": project_id,
        "whole": servers is None,
        "networks": kept,
        "subnets": subnets,
        "routers": routers,
        "security_groups": groups,
        "address_groups": [
            address_group
            for address_group in lists.address_groups
            if _owner(address_group) == project_id
            and address_group["id"] in address_groups_of(groups)
        ],
        "floating_ips": floating,
        "ports_left_out": [
            {
                "id": own_port["id"],
                "name": own_port.get("name", ""),
                "fixed_ips": own_port["fixed_ips"],
            }
            for own_port in own_ports
            if own_port["network_id"] in kept_ids
            and not str(own_port.get("device_owner", "")).startswith("network:")
            and own_port.get("device_id") not in kept_servers
        ],
        "references": [_reference(id, networks.get(id), lists.subnets) for id in sorted(referred)],
    }


def _owner(one: Record) -> str:
    return str(one.get("project_id") or one.get("tenant_id") or "")


def _gateway(router: Record) -> str:
    return str((router.get("external_gateway_info") or {}).get("network_id") or "")


def _routers(lists: Lists, project_id: str, subnets: set[str], *, whole: bool) -> list[Record]:
    found = []
    for router in lists.routers:
        if _owner(router) != project_id:
            continue
        ports = [one for one in lists.ports
                 if one.get("device_id") == router["id"] and one.get("device_owner") in INTERFACES]
        interfaces = [{"subnet_id": fixed["subnet_id"], "ip_address": fixed["ip_address"],
                       "network_id": port["network_id"]}
                      for port in ports for fixed in port["fixed_ips"]]
        inside = [interface for interface in interfaces if interface["subnet_id"] in subnets]
        if whole or inside:
            left = [interface for interface in interfaces if interface not in inside]
            found.append({**router, "interfaces": inside, "interfaces_left_out": left})
    return found


def _groups(groups: list[Record], project_id: str, ports: Iterable[Record], *, whole: bool
            ) -> list[Record]:
    """Return all security groups, or those of the ports and every group that one of their rules
    refers to."""
    own = {group["id"]: group for group in groups if _owner(group) == project_id}
    if whole:
        return list(own.values())
    pending = [id for port in ports for id in port.get("security_groups", ())]
    chosen: dict[str, Record] = {}
    while pending:
        id = pending.pop()
        if id in own and id not in chosen:
            chosen[id] = own[id]
            pending += [rule["remote_group_id"] for rule in own[id]["security_group_rules"]
                        if rule.get("remote_group_id")]
    return list(chosen.values())


def address_groups_of(groups: Iterable[Record]) -> set[str]:
    """Return the ids of the address groups that rules of these security groups refer to."""
    return {rule["remote_address_group_id"] for group in groups
            for rule in group["security_group_rules"] if rule.get("remote_address_group_id")}


def _reference(id: str, network: Record | None, subnets: list[Record]) -> Record:
    if network is None:
        return {"id": id, "name": "", "external": False, "seen": False, "subnets": []}
    return {"id": id, "name": network.get("name", ""), "seen": True,
            "external": bool(network.get("router:external")),
            "subnets": [_subnet(subnet) for subnet in subnets if subnet["network_id"] == id]}


def _subnet(one: Record) -> Record:
    """Return what is kept of a subnet. `automatic`: addresses follow from the MAC (RFC 4862), and
    Neutron refuses chosen ones."""
    return {"id": one["id"], "cidr": one["cidr"], "network_id": one["network_id"],
            "automatic": one.get("ipv6_address_mode") in ("slaac", "dhcpv6-stateless")}


def not_kept(document: Record) -> list[dict[str, str]]:
    """Return what is not in the document, or in it but not for a plain member to choose at a
    restore."""
    told = [*_of_networks(document), *_of_ports(document), *_of_routers(document),
            *_of_groups(document)]
    told += [(f"floating address {floating_ip['floating_ip_address']}", RELEASED)
             for floating_ip in document["floating_ips"]]
    told += [(f"floating address {floating_ip['floating_ip_address']}: port forwardings",
              "they are not kept")
             for floating_ip in document["floating_ips"] if floating_ip.get("port_forwardings")]
    told += [(f"network {reference['name'] or reference['id']}",
              "it belongs to another project: kept by reference" if reference["seen"] else HIDDEN)
             for reference in document["references"]]
    return [{"field": field, "why": why} for field, why in told]


def _of_networks(document: Record) -> Iterator[tuple[str, str]]:
    for network in document["networks"]:
        name = f"network {network['name'] or network['id']}"
        if any(field not in network for field in _PROVIDER):
            yield f"{name}: provider attributes", HIDDEN
        if network.get("shared"):
            yield (f"{name}: sharing with other projects",
                   "only an administrator may share a network; made again it is private")
        if network.get("router:external"):
            yield (f"{name}: being external", "only an administrator may make external networks")


def _of_ports(document: Record) -> Iterator[tuple[str, str]]:
    for port in document["ports_left_out"]:
        addresses = ", ".join(fixed_ip["ip_address"] for fixed_ip in port["fixed_ips"])
        yield (f"port {port['name'] or port['id']} ({addresses or 'no address'})",
               "only the ports of this checkpoint's servers and of routers are kept")


def _of_routers(document: Record) -> Iterator[tuple[str, str]]:
    for router in document["routers"]:
        name = f"router {router['name'] or router['id']}"
        for flag in ("distributed", "ha"):
            if flag not in router:
                yield f"{name}: {flag}", HIDDEN
        fixed = (router.get("external_gateway_info") or {}).get("external_fixed_ips") or []
        if fixed:
            yield (f"{name}: gateway address " + ", ".join(one["ip_address"] for one in fixed),
                   "kept, but by default only an administrator may choose it at a restore")
        for one in router["interfaces_left_out"]:
            yield (f"{name}: interface {one['ip_address']}",
                   f"its network {one['network_id']} is not part of this checkpoint")


def _of_groups(document: Record) -> Iterator[tuple[str, str]]:
    kept = {security_group["id"] for security_group in document["security_groups"]}
    own = {address_group["id"] for address_group in document["address_groups"]}
    for group in document["security_groups"]:
        for rule in group["security_group_rules"]:
            field = f"security group {group['name'] or group['id']}: rule {rule['id']}"
            if rule.get("remote_address_group_id") and rule["remote_address_group_id"] not in own:
                yield field, "it refers to an address group of another project, by reference only"
            if rule.get("remote_group_id") and rule["remote_group_id"] not in kept:
                yield field, "it refers to a security group of another project, by reference only"


def summary(document: Record) -> Record:
    """Return what the checkpoint's head keeps: enough to say what a restore needs, without the
    bank."""
    return {
        "id": document["id"],
        "whole": document["whole"],
        "networks": [
            {"id": network["id"], "name": network["name"]} for network in document["networks"]
        ],
        "references": document["references"],
        "subnets": [_subnet(subnet) for subnet in document["subnets"]],
        "routers": [
            {
                "id": router["id"],
                "name": router["name"],
                "gateway": _gateway(router),
                "subnets": [each["subnet_id"] for each in router["interfaces"]],
            }
            for router in document["routers"]
        ],
        "security_groups": [
            {
                "id": security_group["id"],
                "name": security_group["name"],
                "rules": len(security_group["security_group_rules"]),
                "refers_to": _refers_to(security_group),
            }
            for security_group in document["security_groups"]
        ],
        "address_groups": [
            {"id": address_group["id"], "name": address_group.get("name") or ""}
            for address_group in document["address_groups"]
        ],
        "floating_ips": [
            {
                "id": floating_ip["id"],
                "address": floating_ip["floating_ip_address"],
                "network_id": floating_ip["floating_network_id"],
            }
            for floating_ip in document["floating_ips"]
        ],
        "not_kept": not_kept(document),
    }


def _refers_to(group: Record) -> Record:
    """Return the other groups that its rules cannot do without, by kind."""
    remote = {rule["remote_group_id"] for rule in group["security_group_rules"]
              if rule.get("remote_group_id")}
    return {"security_groups": sorted(remote - {group["id"]}),
            "address_groups": sorted(address_groups_of([group]))}
