"""What must be known of a server to build it again, joined from lists. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from karbor.protections.neutron.topology import HIDDEN
from karbor.protections.nova_input import split_metadata

Record = dict[str, Any]

_ATTR = "OS-EXT-SRV-ATTR:"
_SERVER = ("id", "name", "description", "status", "metadata", "tags", "key_name", "flavor",
           "locked", "locked_reason", "accessIPv4", "accessIPv6", "trusted_image_certificates",
           "pinned_availability_zone", "scheduler_hints")
_PORT = ("id", "name", "description", "network_id", "fixed_ips", "mac_address", "security_groups",
         "port_security_enabled", "allowed_address_pairs", "admin_state_up", "tags", "dns_name",
         "extra_dhcp_opts", "qos_policy_id", "binding:vnic_type")
_FLOATING = ("id", "floating_ip_address", "floating_network_id", "fixed_ip_address", "description",
             "tags")


@dataclass(frozen=True)
class Facts:
    """Everything that was listed about one server."""

    server: Record
    attachments: Sequence[Record] = ()      # of /servers/{id}/os-volume_attachments
    interfaces: Sequence[Record] = ()       # of /servers/{id}/os-interface
    ports: Sequence[Record] = ()            # of Neutron, of this server
    floating: Sequence[Record] = ()         # of Neutron, of these ports
    key_pair: Record | None = None
    group: Record | None = None
    own_disk: bool = True                   # what Nova calls its image is the copy of one
    notes: Sequence[tuple[str, str]] = field(default=())


def describe(facts: Facts) -> Record:
    """Return the document that the bank keeps."""
    record = facts.server
    image = record.get("image") if facts.own_disk else None
    return {
        "id": record["id"],
        "server": {
            **{name: record[name] for name in _SERVER if name in record},
            "zone": record.get("OS-EXT-AZ:availability_zone") or "",
            "config_drive": str(record.get("config_drive")).lower() == "true",
            "disk_config": record.get("OS-DCF:diskConfig") or "AUTO",
            **{name: record[_ATTR + name] for name in ("hostname", "user_data",
                                                       "root_device_name")
               if record.get(_ATTR + name)},
        },
        "boot": "image" if image else "volume",
        "image_id": image["id"] if image else "",
        "volumes": _volumes(facts, boots=not image),
        "ports": _ports(facts),
        "key_pair": facts.key_pair and {name: facts.key_pair.get(name) for name in
                                        ("name", "public_key", "fingerprint", "type")},
        "group": facts.group and {name: facts.group.get(name) for name in
                                  ("id", "name", "policy", "rules", "policies")},
    }


def device_order(device: str | None) -> tuple[int, str]:
    """Return a key that sorts /dev/vdb before /dev/vdaa, and what has no name last."""
    stem = re.sub(r"\d+\Z", "", device or "")
    return (len(stem) or 1000, device or "")


def _volumes(facts: Facts, *, boots: bool) -> list[Record]:
    """Return the volumes in device order. Nova tells nobody which volume it boots from; it is the
    one at the root device, and where policy hides that name, the first device."""
    found = [
        {
            "id": attachment["volumeId"],
            "device": attachment.get("device"),
            "tag": attachment.get("tag"),
            "delete_on_termination": bool(attachment.get("delete_on_termination")),
            "boot": False,
        }
        for attachment in sorted(facts.attachments, key=lambda one: device_order(one.get("device")))
    ]
    if boots and found:
        root = facts.server.get(_ATTR + "root_device_name")
        at_root = [one for one in found if root and one["device"] == root]
        (at_root or found)[0]["boot"] = True
    return found


def _ports(facts: Facts) -> list[Record]:
    """Return the ports in the order of the server's interfaces, as far as Nova shows it: the order
    of MAC addresses within `addresses`."""
    order = list(dict.fromkeys(
        entry.get("OS-EXT-IPS-MAC:mac_addr") for entries in
        (facts.server.get("addresses") or {}).values() for entry in entries))
    tags = {interface["port_id"]: interface.get("tag") for interface in facts.interfaces}

    def rank(port: Record) -> tuple[int, str]:
        mac = port["mac_address"]
        return (order.index(mac) if mac in order else len(order), port["id"])

    return [{**{name: port[name] for name in _PORT if name in port},
             "device_tag": tags.get(port["id"]),
             "floating": [{name: one.get(name) for name in _FLOATING} for one in facts.floating
                          if one.get("port_id") == port["id"]]}
            for port in sorted(facts.ports, key=rank)]


def not_kept(facts: Facts) -> list[dict[str, str]]:
    record = facts.server
    told = list(facts.notes)
    if _ATTR + "user_data" not in record:
        told.append(("user data", HIDDEN))
    boots = not (record.get("image") and facts.own_disk)
    if _ATTR + "root_device_name" not in record and boots and facts.attachments:
        told.append(("root device name",
                     f"{HIDDEN}; the first device is taken to be the one it boots from"))
    if record.get("key_name") and facts.key_pair is None:
        told.append((f"public key of key pair {record['key_name']}",
                     "it belongs to another user; its name is kept"))
    flavor = record.get("flavor") or {}
    if "extra_specs" not in flavor:
        told.append(("flavor's extra specs", HIDDEN))
    for size in ("ephemeral", "swap"):
        if flavor.get(size):
            told.append((f"contents of the {size} disk", "only the root disk and volumes are kept"))
    if record.get("locked"):
        told.append(("lock", "a restored server is not locked"))
    for port in facts.ports:
        if "binding:profile" not in port:
            told.append((f"port {port.get('name') or port['id']}: binding profile", HIDDEN))
        if port.get("trunk_details"):
            told.append((f"port {port.get('name') or port['id']}: trunk",
                         "its subports are not kept"))
    return [{"field": field, "why": why} for field, why in told]


def summary(document: Record, told: Sequence[Mapping[str, str]]) -> Record:
    """Return what the checkpoint's head keeps."""
    server = document["server"]
    key = document["key_pair"] or {}
    return {
        "id": document["id"],
        "name": server["name"],
        "status": server["status"],
        "boot": document["boot"],
        "flavor": {name: value for name, value in server["flavor"].items()
                   if name in ("id", "original_name", "vcpus", "ram", "disk")},
        "key_pair": {"name": server.get("key_name"), "fingerprint": key.get("fingerprint")}
        if server.get("key_name") else None,
        "metadata_items": len(split_metadata(server.get("metadata", {}))[0]),
        "metadata_refused": sorted(split_metadata(server.get("metadata", {}))[1]),
        "zone": zone(server),
        "group": (document["group"] or {}).get("name", ""),
        "volumes": [volume["id"] for volume in document["volumes"]],
        "ports": [{"id": one["id"], "network_id": one["network_id"], "mac": one["mac_address"],
                   "addresses": [fixed["ip_address"] for fixed in one["fixed_ips"]],
                   "security_groups": list(one.get("security_groups") or ())}
                  for one in document["ports"]],
        "floating": [{"id": one["id"], "address": one["floating_ip_address"],
                      "network_id": one["floating_network_id"]}
                     for port in document["ports"] for one in port["floating"]],
        "not_kept": [dict(one) for one in told],
    }


def zone(server: Mapping[str, Any]) -> str:
    """Return the zone it must be in: the one asked for, where Nova tells that (2.96), else its
    present one."""
    if "pinned_availability_zone" in server:
        return str(server["pinned_availability_zone"] or "")
    return str(server.get("zone") or "")


def group_of(server_id: str, groups: Iterable[Record]) -> Record | None:
    return next((group for group in groups if server_id in group.get("members", ())), None)
