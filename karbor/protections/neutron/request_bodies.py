"""What Neutron is asked for when something kept is made again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Record = dict[str, Any]

NETWORK_OPTIONAL = ("mtu", "dns_domain", "port_security_enabled", "availability_zone_hints",
                    "qos_policy_id")
SUBNET_OPTIONAL = ("service_types", "dns_publish_fixed_ip")
ROUTER_OPTIONAL = ("external_gateway_info.external_fixed_ips", "external_gateway_info.enable_snat",
                   "distributed", "ha", "availability_zone_hints", "flavor_id")
GROUP_OPTIONAL = ("stateful",)
"""Fields that policy, extensions or the state of the target may refuse; then made without."""

WORDS = {"external_gateway_info.external_fixed_ips": "gateway address",
         "external_gateway_info.enable_snat": "source NAT switched off"}
"""Fields whose names say little to people."""


def network(old: Record, description: str) -> Record:
    return {"name": old["name"], "description": description,
            "admin_state_up": old.get("admin_state_up", True),
            **_told(old, NETWORK_OPTIONAL)}


def subnet(old: Record, description: str, network_id: str) -> Record:
    body: Record = {"network_id": network_id, "description": description,
            **{field: old[field] for field in
               ("name", "ip_version", "cidr", "gateway_ip", "allocation_pools", "enable_dhcp",
                "dns_nameservers", "host_routes") if field in old},
            **_told(old, SUBNET_OPTIONAL)}
    for mode in ("ipv6_ra_mode", "ipv6_address_mode"):
        if old.get(mode):
            body[mode] = old[mode]
    return body


def router(old: Record, description: str, networks: Mapping[str, str]) -> Record:
    """Return the body of a router. `networks` maps old to new ids; its gateway keeps its address
    only on the same network."""
    body = {"name": old["name"], "description": description,
            "admin_state_up": old.get("admin_state_up", True),
            **_told(old, ("distributed", "ha", "availability_zone_hints", "flavor_id"))}
    gateway = old.get("external_gateway_info")
    if gateway:
        network_id = networks[gateway["network_id"]]
        info: Record = {"network_id": network_id}
        if gateway.get("enable_snat") is False:     # True is what everyone gets anyway
            info["enable_snat"] = False
        fixed = [{"ip_address": external_fixed_ip["ip_address"]}
                 for external_fixed_ip in gateway.get("external_fixed_ips") or ()]
        if fixed and network_id == gateway["network_id"]:
            info["external_fixed_ips"] = fixed
        body["external_gateway_info"] = info
    return body


def group(old: Record, description: str) -> Record:
    body = {"name": old["name"], "description": description}
    if old.get("stateful") is False:                # True is the default, and needs no extension
        body["stateful"] = False
    return body


def address_group(old: Record, description: str) -> Record:
    return {"name": old.get("name") or "", "description": description,
            "addresses": list(old.get("addresses") or ())}


def rule(old: Record, maps: Mapping[str, Mapping[str, str]]) -> Record:
    """Return a rule as it would be asked for; two that are equal are the same rule to Neutron.
    `maps` has the new ids of `security_groups` and `address_groups`."""
    remote, groups = old.get("remote_group_id"), maps.get("security_groups", {})
    addresses = old.get("remote_address_group_id")
    known = maps.get("address_groups", {})
    return {"direction": old["direction"], "ethertype": old.get("ethertype") or "IPv4",
            "protocol": None if old.get("protocol") in (None, "any") else str(old["protocol"]),
            "port_range_min": old.get("port_range_min"),
            "port_range_max": old.get("port_range_max"),
            "remote_ip_prefix": old.get("remote_ip_prefix"),
            "remote_group_id": groups.get(remote, remote) if remote else None,
            # not every Neutron has address groups
            **({"remote_address_group_id": known.get(addresses, addresses)} if addresses else {})}


def rule_key(wanted: Record) -> tuple[str, ...]:
    return tuple("" if value is None else str(value) for _, value in sorted(wanted.items()))


def _told(old: Record, fields: tuple[str, ...]) -> Record:
    """Return the fields that the original has a value for."""
    return {field: old[field] for field in fields
            if "." not in field and old.get(field) not in (None, "", [])}
