"""A router's places on subnets: made once each, although Neutron lets them bear no mark."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from karbor.plugin.cloud import Api
from karbor.protections.neutron.marks import birth_mark
from karbor.protections.neutron.topology import INTERFACES

Record = dict[str, Any]


class Interfaces:
    """Adds interfaces that are missing, where the router or the subnet was made by this restore.

    Between a router and a subnet that both survived, a missing interface was taken away on
    purpose: it is left alone. A router is on a subnet at most once, so its ports tell which
    interfaces an earlier entry made.
    """

    def __init__(self, api: Api, mark: str, maps: Mapping[str, Mapping[str, str]],
                 made: Callable[[str, str], bool]) -> None:
        self._api = api
        self._mark = mark
        self._maps = maps
        self._made = made

    def ensure(self, old: Record, created: list[Record]) -> None:
        """Ensure the interfaces of one kept router. What was made is added to `created`."""
        wanted = [
            interface
            for interface in old["interfaces"]
            if self._made("routers", old["id"]) or self._made("subnets", interface["subnet_id"])
        ]
        if not wanted:
            return
        router = self._maps["routers"][old["id"]]
        ports = self._api.list("/ports", "ports", params={"device_id": router})
        present = {fixed["subnet_id"] for port in ports if port["device_owner"] in INTERFACES
                   for fixed in port["fixed_ips"]}
        for one in wanted:
            subnet = self._maps["subnets"][one["subnet_id"]]
            if subnet not in present:
                self._add(router, subnet, one, created)
            entry = {"kind": "interfaces", "id": subnet, "name": old["name"], "old": router}
            if entry not in created:
                created.append(entry)

    def _add(self, router: str, subnet: str, one: Record, created: list[Record]) -> None:
        """Add an interface: by subnet where the interface has the gateway's address, as nearly
        always; otherwise with a port of that address, which is made and marked first."""
        target = self._api.get(f"/subnets/{subnet}")["subnet"]
        if target["gateway_ip"] == one["ip_address"]:
            self._api.put(f"/routers/{router}/add_router_interface", {"subnet_id": subnet})
            return
        mark = birth_mark(self._mark, f"{router}/{subnet}")
        found = [port for port in self._api.list("/ports", "ports",
                                                 params={"network_id": target["network_id"]})
                 if port.get("description") == mark]
        port = found[0] if found else self._api.post("/ports", {"port": {
            "network_id": target["network_id"], "description": mark,
            "fixed_ips": [{"subnet_id": subnet, "ip_address": one["ip_address"]}]}})["port"]
        self._api.put(f"/routers/{router}/add_router_interface", {"port_id": port["id"]})
        created.append({"kind": "ports", "id": port["id"], "name": "", "old": subnet})
