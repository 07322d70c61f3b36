"""Neutron's networks, subnets and ports."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from karbor_testing.openstack.cloud import Cloud, Record, need
from karbor_testing.openstack.exchange import Refusal, Request
from karbor_testing.openstack.neutron_kinds import Collection, Kind
from karbor_testing.openstack.neutron_security import SecurityGroups


class Networks(Collection):
    kind = Kind("networks", "Network", {
        "name": "", "description": "", "admin_state_up": True, "shared": False,
        "router:external": False, "port_security_enabled": True, "mtu": 1450,
        "availability_zone_hints": [], "dns_domain": "", "provider:network_type": None,
        "provider:physical_network": None, "provider:segmentation_id": None, "qos_policy_id": None,
        "is_default": False}, frozenset({"availability_zone_hints"}))

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        cloud.on_populated.append(self.populate)

    def populate(self, projects: Mapping[str, str]) -> None:
        """The network outside, as an operator makes it."""
        operator = Request("POST", "/", {}, {}, b"", "", {"project_id": projects["admin"],
                                                          "roles": ["admin"]})
        public = self.add(operator, {"name": "public", "router:external": True})
        self.cloud.part(Subnets).add(operator, {
            "network_id": public["id"], "name": "public-subnet", "cidr": "203.0.113.0/24",
            "ip_version": 4, "enable_dhcp": False})

    def fill(self, request: Request, wanted: dict[str, Any]) -> Record:
        for name in ("shared", "router:external", "provider:network_type",
                     "provider:segmentation_id"):
            need(not wanted[name] or request.admin, 403,
                 f"((rule:create_network and rule:create_network:{name})) is disallowed by policy",
                 "PolicyNotAuthorized")
        self.cloud.part(SecurityGroups).default(request)
        for name in list(wanted):
            if name.startswith("provider:"):
                del wanted[name]
        return {**wanted, "status": "ACTIVE", "subnets": [], "ipv4_address_scope": None,
                "ipv6_address_scope": None, "availability_zones": []}

    def removing(self, request: Request, record: Record) -> None:
        ports = [one["id"] for one in self.cloud.kinds["neutron.port"].values()
                 if one["network_id"] == record["id"]]
        need(not ports, 409, f"Unable to complete operation on network {record['id']}. There are "
                             f"one or more ports still in use on the network, id for these ports "
                             f"is: {','.join(ports)}.", "NetworkInUse")
        for one in list(self.cloud.kinds["neutron.subnet"].values()):
            if one["network_id"] == record["id"]:
                self.cloud.remove("neutron.subnet", one["id"])


class Subnets(Collection):
    kind = Kind("subnets", "Subnet", {
        "name": "", "description": "", "network_id": None, "cidr": None, "ip_version": 4,
        "gateway_ip": "auto", "enable_dhcp": True, "allocation_pools": None,
        "dns_nameservers": [], "host_routes": [], "ipv6_ra_mode": None, "ipv6_address_mode": None,
        "segment_id": None, "service_types": [], "dns_publish_fixed_ip": False,
        "subnetpool_id": None}, frozenset({"network_id", "cidr", "ip_version"}))

    def fill(self, request: Request, wanted: dict[str, Any]) -> Record:
        network = self.cloud.part(Networks).mine(request, wanted["network_id"])
        try:
            block = ipaddress.ip_network(str(wanted["cidr"]))
        except ValueError as error:
            raise Refusal(400, f"Invalid input for operation: {error}", "HTTPBadRequest"
                          ) from error
        for other in self.all():
            need(other["network_id"] != network["id"]
                 or not block.overlaps(ipaddress.ip_network(other["cidr"])), 400,
                 f"Invalid input for operation: Requested subnet with cidr: {block} for network: "
                 f"{network['id']} overlaps with another subnet.", "InvalidInput")
        if wanted["gateway_ip"] == "auto":
            wanted["gateway_ip"] = str(block[1])
        if not wanted["allocation_pools"]:
            first = 2 if wanted["gateway_ip"] == str(block[1]) else 1
            wanted["allocation_pools"] = [{"start": str(block[first]), "end": str(block[-2])}]
        return wanted

    def created(self, request: Request, record: Record) -> None:
        network = self.cloud.kinds["neutron.network"][record["network_id"]]
        network["subnets"] = [*network["subnets"], record["id"]]
        record["_public"] = network["_public"] and not network["router:external"]

    def removing(self, request: Request, record: Record) -> None:
        used = [port for port in self.cloud.kinds["neutron.port"].values()
                for fixed in port["fixed_ips"] if fixed["subnet_id"] == record["id"]]
        need(not used, 409, f"Unable to complete operation on subnet {record['id']}: One or more "
                            "ports have an IP allocation from this subnet.", "SubnetInUse")
        network = self.cloud.kinds["neutron.network"].get(record["network_id"])
        if network:
            network["subnets"] = [subnet for subnet in network["subnets"] if subnet != record["id"]]


class Ports(Collection):
    kind = Kind("ports", "Port", {
        "name": "", "description": "", "network_id": None, "admin_state_up": True,
        "mac_address": None, "fixed_ips": None, "device_id": "", "device_owner": "",
        "security_groups": None, "allowed_address_pairs": [], "extra_dhcp_opts": [],
        "port_security_enabled": True, "binding:vnic_type": "normal", "dns_name": "",
        "dns_domain": "", "qos_policy_id": None, "propagate_uplink_status": True, "hints": None,
        "numa_affinity_policy": None}, frozenset({"network_id"}))

    def fill(self, request: Request, wanted: dict[str, Any]) -> Record:
        network = self.cloud.part(Networks).get(request, str(wanted["network_id"]))
        owner = network["_project"] == request.project_id or request.admin
        chosen = wanted["mac_address"] or any(
            "ip_address" in fixed_ip for fixed_ip in wanted["fixed_ips"] or ())
        need(owner or not chosen, 403, "(rule:create_port and (rule:create_port:fixed_ips or "
             "rule:create_port:mac_address)) is disallowed by policy", "PolicyNotAuthorized")
        macs = {one["mac_address"] for one in self.all() if one["network_id"] == network["id"]}
        need(wanted["mac_address"] not in macs, 409,
             f"Unable to complete operation for network {network['id']}. The mac address "
             f"{wanted['mac_address']} is in use.", "MacAddressInUse")
        wanted["mac_address"] = wanted["mac_address"] or "fa:16:3e:" + ":".join(
            self.cloud.new_hex()[at:at + 2] for at in (0, 2, 4))
        if not wanted["port_security_enabled"]:
            wanted["security_groups"] = wanted["security_groups"] or []
        if wanted["security_groups"] is None:
            wanted["security_groups"] = [self.cloud.part(SecurityGroups).default(request)["id"]]
        self._groups(request, wanted["security_groups"])
        wanted["fixed_ips"] = self.addresses(network, wanted["fixed_ips"], "")
        return {**wanted, "status": "ACTIVE" if wanted["device_id"] else "DOWN",
                "binding:vif_type": "ovs", "binding:profile": {}}

    def changing(self, request: Request, record: Record, wanted: dict[str, Any]) -> None:
        if "security_groups" in wanted:
            self._groups(request, wanted["security_groups"])
        if "fixed_ips" in wanted:
            network = self.cloud.kinds["neutron.network"][record["network_id"]]
            wanted["fixed_ips"] = self.addresses(network, wanted["fixed_ips"], record["id"])
        record["status"] = "ACTIVE" if wanted.get("device_id", record["device_id"]) else "DOWN"

    def removing(self, request: Request, record: Record) -> None:
        need(not record["device_owner"].startswith("network:router"), 409,
             f"Port {record['id']} cannot be deleted directly via the port API: has device owner "
             f"{record['device_owner']}.", "ServicePortInUse")
        self.leave(record)

    def leave(self, port: Record) -> None:
        """Floating addresses let go of a port that goes away."""
        for one in self.cloud.kinds["neutron.floatingip"].values():
            if one["port_id"] == port["id"]:
                one.update(port_id=None, fixed_ip_address=None, router_id=None, status="DOWN")

    def addresses(self, network: Record, wanted: list[dict[str, str]] | None, port: str
                  ) -> list[dict[str, str]]:
        """Fixed addresses as wanted, or one of the first IPv4 subnet. Raises Refusal."""
        subnets = [one for one in self.cloud.kinds["neutron.subnet"].values()
                   if one["network_id"] == network["id"]]
        taken = {fixed["ip_address"] for one in self.all() if one["id"] != port
                 for fixed in one["fixed_ips"] if one["network_id"] == network["id"]}
        if wanted is None:
            wanted = [{"subnet_id": subnets[0]["id"]}] if subnets else []
        found = []
        for one in wanted:
            subnet = self._subnet(subnets, one, network)
            address = one.get("ip_address") or self.free(subnet, taken)
            need(address not in taken, 409, f"IP address {address} already allocated in subnet "
                                            f"{subnet['id']}", "IpAddressAlreadyAllocated")
            taken.add(address)
            found.append({"subnet_id": subnet["id"], "ip_address": address})
        return found

    def _subnet(self, subnets: list[Record], wanted: Mapping[str, str], network: Record) -> Record:
        for subnet in subnets:
            inside = "ip_address" not in wanted or (
                ipaddress.ip_address(wanted["ip_address"]) in ipaddress.ip_network(subnet["cidr"]))
            if wanted.get("subnet_id", subnet["id"]) == subnet["id"] and inside:
                return subnet
        raise Refusal(400, "Invalid input for operation: IP address "
                           f"{wanted.get('ip_address')} is not a valid IP for any of the subnets "
                           f"on the network {network['id']}.", "InvalidInput")

    def free(self, subnet: Record, taken: set[str]) -> str:
        for pool in subnet["allocation_pools"]:
            first = ipaddress.ip_address(pool["start"])
            for at in range(int(ipaddress.ip_address(pool["end"])) - int(first) + 1):
                if str(first + at) not in taken:
                    return str(first + at)
        raise Refusal(409, f"No more IP addresses available on network {subnet['network_id']}.",
                      "IpAddressGenerationFailure")

    def _groups(self, request: Request, ids: list[str]) -> None:
        for id in ids:
            self.cloud.part(SecurityGroups).get(request, id)
