"""What Nova and Neutron are asked for when a kept server is built again. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from karbor.protections.nova.facts import zone
from karbor.protections.nova_input import split_metadata, takes_hostname

Record = dict[str, Any]
Chosen = Mapping[str, str]      # --map OLD=NEW

MARK_KEY = "karbor_mark"
"""The metadata key that tells which operation is building the server; gone when it is done. Where
the server has as many items of metadata as it may have, the mark is its description until then."""

PORT_OPTIONAL = ("mac_address", "fixed_ips", "allowed_address_pairs", "extra_dhcp_opts",
                 "qos_policy_id", "binding:vnic_type", "port_security_enabled")


def choose_flavor(kept: Mapping[str, Any], flavors: Iterable[Mapping[str, Any]], chosen: Chosen,
                  explicit: str = "") -> Mapping[str, Any] | None:
    """Return the flavor to build with: as asked for, as mapped, or the one of the kept name
    (names of flavors are unique in Nova); None when it is not there."""
    name = kept.get("original_name") or kept.get("id") or ""
    wanted = explicit or chosen.get(name) or name
    candidates = list(flavors)
    exact = [candidate for candidate in candidates if candidate["id"] == wanted]
    named = [candidate for candidate in candidates if candidate["name"] == wanted]
    return next(iter((exact + named) if explicit or name in chosen else (named + exact)), None)


def nearest_flavor(kept: Mapping[str, Any], flavors: Iterable[Mapping[str, Any]]
                   ) -> Mapping[str, Any] | None:
    """Return the smallest flavor that is not smaller than the kept one in anything."""
    fitting = [flavor for flavor in flavors if all(flavor.get(size, 0) >= kept.get(size, 0)
                                                   for size in ("vcpus", "ram", "disk"))]
    return min(fitting, key=lambda one: (one["ram"], one["vcpus"], one["disk"]), default=None)


def network_of(old: Record, maps: Mapping[str, Mapping[str, str]], chosen: Chosen) -> str:
    """Return the network on which a kept port is made again."""
    return maps.get("networks", {}).get(old["network_id"]) \
        or chosen.get(old["network_id"], old["network_id"])


def port(old: Record, description: str, maps: Mapping[str, Mapping[str, str]], chosen: Chosen,
         *, automatic: Collection[str] = (), taken: Collection[str] = ()) -> tuple[Record, Record]:
    """Return the port's body, and weaker values for fields that may be refused. On a network
    other than the kept one's copy its addresses mean nothing, so they are left out; so is the
    address on an `automatic` subnet, which follows from the MAC. For each address that is
    `taken` another one of its subnet is asked for."""
    subnets = maps.get("subnets", {})
    body: Record = {"network_id": network_of(old, maps, chosen), "name": old["name"],
                    "description": description,
                    "admin_state_up": old.get("admin_state_up", True),
                    "mac_address": old["mac_address"]}
    fixed = [{"subnet_id": subnets[fixed_ip["subnet_id"]],
              **({} if fixed_ip["subnet_id"] in automatic or fixed_ip["ip_address"] in taken
                 else {"ip_address": fixed_ip["ip_address"]})}
             for fixed_ip in old["fixed_ips"] if fixed_ip["subnet_id"] in subnets]
    if fixed or not old["fixed_ips"]:
        body["fixed_ips"] = fixed
    if old.get("port_security_enabled") is False:
        body["port_security_enabled"] = False
        body["security_groups"] = []
    else:
        groups = maps.get("security_groups", {})
        body["security_groups"] = [
            groups.get(security_group, security_group) for security_group in old["security_groups"]
        ]
    # no dns_name: Nova writes the server's host name there, and refuses a port with another one
    for name in ("allowed_address_pairs", "extra_dhcp_opts", "qos_policy_id"):
        if old.get(name):
            body[name] = old[name]
    if old.get("binding:vnic_type", "normal") != "normal":
        body["binding:vnic_type"] = old["binding:vnic_type"]
    # as many addresses as it had: two of one subnet are two
    return body, {"fixed_ips": [{"subnet_id": one["subnet_id"]} for one in fixed]} if fixed else {}


def volumes(kept: Sequence[Record], new_ids: Mapping[str, str], image: str) -> list[Record]:
    """Return the block devices in the kept order. All are given to the one request that builds the
    server: Nova attaches them in this order, and nothing is left half attached."""
    devices: list[Record] = []
    if image:
        devices.append({"source_type": "image", "destination_type": "local", "uuid": image,
                        "boot_index": 0, "delete_on_termination": True})
    for one in kept:
        device: Record = {"source_type": "volume", "destination_type": "volume",
                          "uuid": new_ids[one["id"]], "boot_index": 0 if one["boot"] else -1,
                          "delete_on_termination": one["delete_on_termination"]}
        if one.get("device"):
            device["device_name"] = one["device"]
        if one.get("tag"):
            device["tag"] = one["tag"]
        devices.append(device)
    return devices


def key_pair(kept: Mapping[str, Any], chosen: Chosen) -> str:
    """Return the name of the key pair to build with; "" for none (`--map KEY=`)."""
    name = kept.get("key_name") or ""
    return chosen.get(name, name)


def server(document: Record, *, name: str, mark: str, flavor: str, image: str,
           devices: list[Record], ports: Sequence[str], group: str, version: str, chosen: Chosen,
           mark_in_description: bool = False) -> Record:
    """Return the body of POST /servers; `ports` in the kept order."""
    kept = document["server"]
    tags = [one.get("device_tag") for one in document["ports"]]
    networks: Any = [{"port": id, **({"tag": tag} if tag else {})}
                     for id, tag in zip(ports, tags, strict=True)]
    body: Record = {
        "name": name, "flavorRef": flavor,
        "networks": networks or "none",
        "metadata": split_metadata(kept.get("metadata", {}))[0],
        "OS-DCF:diskConfig": kept["disk_config"],
        "config_drive": kept["config_drive"],
    }
    if image:
        body["imageRef"] = image
    if len(devices) > (1 if image else 0):
        body["block_device_mapping_v2"] = devices
    for field in ("description", "tags", "user_data", "accessIPv4", "accessIPv6",
                  "trusted_image_certificates"):
        if kept.get(field):
            body[field] = kept[field]
    if mark_in_description:
        body["description"] = mark
    else:
        body["metadata"][MARK_KEY] = mark
    if key := key_pair(kept, chosen):
        body["key_name"] = key
    where = zone(kept)
    if where:
        body["availability_zone"] = chosen.get(where, where)
    if name == kept["name"] and takes_hostname(kept.get("hostname") or "", version):
        body["hostname"] = kept["hostname"]
    request: Record = {"server": body}
    if group:
        request["os:scheduler_hints"] = {"group": group}
    return request
