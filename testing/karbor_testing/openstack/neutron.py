"""Neutron: routers, floating addresses, quotas, extensions, and the service's face."""

from __future__ import annotations

import ipaddress
from typing import Any

from karbor_testing.openstack.cloud import Record, need
from karbor_testing.openstack.exchange import Answer, Refusal, Request
from karbor_testing.openstack.neutron_kinds import Collection, Kind
from karbor_testing.openstack.neutron_networks import Networks, Ports, Subnets
from karbor_testing.openstack.neutron_security import SecurityGroupRules, SecurityGroups
from karbor_testing.openstack.service import Part, Service, route, unauthorized

INTERFACE = "network:router_interface"
EXTENSIONS = ("router", "external-net", "extraroute", "ext-gw-mode", "security-group", "quotas",
              "quota_details", "standard-attr-tag", "standard-attr-description", "tag-creation",
              "standard-attr-timestamp", "port-security", "allowed-address-pairs", "binding",
              "network_availability_zone", "availability_zone", "net-mtu", "pagination", "sorting",
              "project-id", "dns-integration", "stateful-security-group", "default-subnetpools")


class Routers(Collection):
    kind = Kind("routers", "Router", {
        "name": "", "description": "", "admin_state_up": True, "external_gateway_info": None,
        "routes": [], "availability_zone_hints": [], "distributed": False, "ha": False},
        frozenset({"availability_zone_hints"}))

    def fill(self, request: Request, wanted: dict[str, Any]) -> Record:
        return {**wanted, "status": "ACTIVE", "availability_zones": [], "flavor_id": None}

    def created(self, request: Request, record: Record) -> None:
        wanted, record["external_gateway_info"] = record["external_gateway_info"], None
        if wanted:
            try:
                self._gateway(request, record, wanted)
            except Refusal:
                self.cloud.kinds["neutron.router"].pop(record["id"])
                self.cloud.ledger.pop()
                raise

    def changing(self, request: Request, record: Record, wanted: dict[str, Any]) -> None:
        if "external_gateway_info" in wanted:
            self._gateway(request, record, wanted.pop("external_gateway_info") or {})
        for one in wanted.get("routes") or ():
            inside = any(ipaddress.ip_address(one["nexthop"]) in ipaddress.ip_network(
                self.cloud.kinds["neutron.subnet"][fixed["subnet_id"]]["cidr"])
                for port in self.ports(record) for fixed in port["fixed_ips"])
            need(inside, 400, f"Invalid format for routes: {one}, the nexthop is not connected "
                              "with router", "InvalidRoutes")

    def _gateway(self, request: Request, record: Record, wanted: dict[str, Any]) -> None:
        ports = self.cloud.part(Ports)
        for port in self.ports(record):
            if port["device_owner"] == "network:router_gateway":
                floating = [one for one in self.cloud.kinds["neutron.floatingip"].values()
                            if one["router_id"] == record["id"]]
                need(not floating, 409, f"Gateway cannot be updated for router {record['id']}, "
                     "since a gateway to external network is required by one or more floating "
                     "IPs.", "RouterExternalGatewayInUseByFloatingIp")
                self.cloud.remove("neutron.port", port["id"])
        record["external_gateway_info"] = None
        if not wanted:
            return
        network = self.cloud.part(Networks).get(request, wanted["network_id"])
        need(network["router:external"], 400,
             f"Bad router request: Network {network['id']} is not an external network.",
             "BadRequest")
        need(not wanted.get("external_fixed_ips") or request.admin, 403,
             "((rule:create_router and (rule:create_router:external_gateway_info and "
             "(rule:create_router:external_gateway_info:external_fixed_ips and "
             "rule:create_router:external_gateway_info:network_id)))) is disallowed by policy",
             "PolicyNotAuthorized")
        operator = _operator(request)
        port = ports.add(operator, {"network_id": network["id"], "device_id": record["id"],
                                    "device_owner": "network:router_gateway",
                                    "security_groups": []})
        port["_project"] = ""
        record["external_gateway_info"] = {
            "network_id": network["id"], "enable_snat": wanted.get("enable_snat", True),
            "external_fixed_ips": port["fixed_ips"]}

    def ports(self, record: Record) -> list[Record]:
        return [one for one in self.cloud.kinds["neutron.port"].values()
                if one["device_id"] == record["id"]]

    def removing(self, request: Request, record: Record) -> None:
        need(not [port for port in self.ports(record) if port["device_owner"] == INTERFACE], 409,
             f"Router {record['id']} still has ports", "RouterInUse")
        self._gateway(request, record, {})

    @route("PUT", "/v2.0/routers/{id}/add_router_interface")
    def add_interface(self, request: Request, id: str) -> Answer:
        router, wanted = self.mine(request, id), request.json()
        ports = self.cloud.part(Ports)
        if wanted.get("port_id"):
            port = ports.get(request, wanted["port_id"])
            need(not port["device_id"], 409, f"Unable to complete operation on port {port['id']}. "
                 f"The port is already in use by {port['device_id']}.", "PortInUse")
            subnet = port["fixed_ips"][0]["subnet_id"]
            self._once(router, subnet)
        else:
            record = self.cloud.part(Subnets).get(request, wanted["subnet_id"])
            subnet = record["id"]
            self._once(router, subnet)
            need(record["gateway_ip"], 400, "Bad router request: Subnet for router interface must "
                                            "have a gateway IP.", "BadRequest")
            port = ports.add(_operator(request), {
                "network_id": record["network_id"], "security_groups": [],
                "fixed_ips": [{"subnet_id": subnet, "ip_address": record["gateway_ip"]}]})
            port["_project"] = router["_project"]
        port.update(device_id=id, device_owner=INTERFACE, status="ACTIVE", security_groups=[])
        return Answer(200, self._interface(router, port, subnet))

    def _once(self, router: Record, subnet: str) -> None:
        here = [fixed for port in self.ports(router) for fixed in port["fixed_ips"]
                if fixed["subnet_id"] == subnet]
        need(not here, 400, f"Bad router request: Router already has a port on subnet {subnet}.",
             "BadRequest")

    @route("PUT", "/v2.0/routers/{id}/remove_router_interface")
    def remove_interface(self, request: Request, id: str) -> Answer:
        router, wanted = self.mine(request, id), request.json()
        for port in self.ports(router):
            subnets = [fixed["subnet_id"] for fixed in port["fixed_ips"]]
            if port["device_owner"] == INTERFACE and (
                    port["id"] == wanted.get("port_id") or wanted.get("subnet_id") in subnets):
                used = [one for one in self.cloud.kinds["neutron.floatingip"].values()
                        if one["router_id"] == id and one["_subnet"] in subnets]
                need(not used, 409, f"Router interface for subnet {subnets[0]} on router {id} "
                     "cannot be deleted, as it is required by one or more floating IPs.",
                     "RouterInterfaceInUseByFloatingIP")
                self.cloud.remove("neutron.port", port["id"])
                return Answer(200, self._interface(router, port, subnets[0]))
        raise Refusal(404, f"Router {id} has no interface on subnet {wanted.get('subnet_id')}",
                      "RouterInterfaceNotFoundForSubnet")

    def _interface(self, router: Record, port: Record, subnet: str) -> dict[str, Any]:
        return {"id": router["id"], "tenant_id": router["_project"],
                "project_id": router["_project"], "port_id": port["id"],
                "network_id": port["network_id"], "subnet_id": subnet, "subnet_ids": [subnet]}


class FloatingIps(Collection):
    kind = Kind("floatingips", "Floating IP", {
        "description": "", "floating_network_id": None, "floating_ip_address": None,
        "port_id": None, "fixed_ip_address": None, "subnet_id": None, "dns_name": "",
        "dns_domain": ""}, frozenset({"floating_network_id", "floating_ip_address", "subnet_id"}))

    def fill(self, request: Request, wanted: dict[str, Any]) -> Record:
        network = self.cloud.part(Networks).get(request, str(wanted["floating_network_id"]))
        need(network["router:external"], 400, "Bad floatingip request: Network "
             f"{network['id']} is not a valid external network.", "BadRequest")
        need(not wanted["floating_ip_address"] or request.admin, 403,
             "(rule:create_floatingip and rule:create_floatingip:floating_ip_address) is "
             "disallowed by policy", "PolicyNotAuthorized")
        wanted.pop("subnet_id")
        link = self._link(request, wanted)
        port = self.cloud.part(Ports).add(_operator(request), {
            "network_id": network["id"], "device_owner": "network:floatingip",
            "device_id": "PENDING", "security_groups": [],
            **({"fixed_ips": [{"ip_address": wanted["floating_ip_address"]}]}
               if wanted["floating_ip_address"] else {})})
        port["_project"] = ""
        wanted["floating_ip_address"] = port["fixed_ips"][0]["ip_address"]
        return {**wanted, **link, "qos_policy_id": None, "port_forwardings": [],
                "_port": port["id"]}

    def created(self, request: Request, record: Record) -> None:
        self.cloud.kinds["neutron.port"][record["_port"]]["device_id"] = record["id"]

    def changing(self, request: Request, record: Record, wanted: dict[str, Any]) -> None:
        need("port_id" in wanted or "fixed_ip_address" not in wanted, 400, "Bad floatingip "
             "request: fixed_ip_address cannot be specified without a port_id.", "BadRequest")
        # Neutron does so at every change, also of the description alone
        wanted.update(self._link(request, {**record, "fixed_ip_address": None, **wanted}))

    def _link(self, request: Request, wanted: dict[str, Any]) -> dict[str, Any]:
        """What becomes of the address when it is (not) at a port."""
        if not wanted["port_id"]:
            return {"port_id": None, "fixed_ip_address": None, "router_id": None,
                    "status": "DOWN", "_subnet": None}
        port = self.cloud.part(Ports).get(request, wanted["port_id"])
        several = [fixed_ip for fixed_ip in port["fixed_ips"] if ":" not in fixed_ip["ip_address"]]
        need(wanted["fixed_ip_address"] or len(several) < 2, 400, "Bad floatingip request: Port "
             f"{port['id']} has multiple fixed IPv4 addresses. Must provide a specific IPv4 "
             "address when assigning a floating IP.", "BadRequest")
        fixed = next((fixed_ip for fixed_ip in port["fixed_ips"] if wanted["fixed_ip_address"] in
                      {None, fixed_ip["ip_address"]}), None)
        if fixed is None:
            raise Refusal(400, f"Bad floatingip request: Port {port['id']} does not have fixed ip "
                               f"{wanted['fixed_ip_address']}.", "BadRequest")
        others = [one for one in self.all() if one["port_id"] == port["id"]
                  and one["fixed_ip_address"] == fixed["ip_address"]
                  and one["id"] != wanted.get("id")]
        need(not others, 409, f"Cannot associate floating IP with port {port['id']} using fixed IP "
             f"{fixed['ip_address']}, as that fixed IP already has a floating IP.",
             "FloatingIPPortAlreadyAssociated")
        for router in self.cloud.kinds["neutron.router"].values():
            gateway = router["external_gateway_info"] or {}
            reaches = any(mine["subnet_id"] == fixed["subnet_id"]
                          for one in self.cloud.part(Routers).ports(router)
                          for mine in one["fixed_ips"])
            if reaches and gateway.get("network_id") == wanted["floating_network_id"]:
                return {"port_id": port["id"], "fixed_ip_address": fixed["ip_address"],
                        "router_id": router["id"], "status": "ACTIVE",
                        "_subnet": fixed["subnet_id"]}
        raise Refusal(404, f"External network {wanted['floating_network_id']} is not reachable "
                           f"from subnet {fixed['subnet_id']}. Therefore, cannot associate Port "
                           f"{port['id']} with a Floating IP.",
                      "ExternalGatewayForFloatingIPNotFound")

    def removing(self, request: Request, record: Record) -> None:
        self.cloud.remove("neutron.port", record["_port"])

    def view(self, record: Record) -> dict[str, Any]:
        port = self.cloud.kinds["neutron.port"].get(record["port_id"] or "")
        details = {name: port[name] for name in ("name", "network_id", "mac_address",
                                                 "admin_state_up", "status", "device_id",
                                                 "device_owner")} if port else None
        return super().view(record) | {"port_details": details}


class Face(Part):
    @route("GET", "/")
    def versions(self, request: Request) -> Answer:
        return Answer(200, {"versions": [{"id": "v2.0", "status": "CURRENT", "links": [
            {"rel": "self", "href": f"{request.root}/v2.0/"}]}]})

    @route("GET", "/v2.0")
    def version(self, request: Request) -> Answer:
        names = [one.kind for one in COLLECTIONS]
        return Answer(200, {"resources": [{"name": name.singular, "collection": name.plural,
                                           "links": [{"rel": "self", "href": f"{request.root}/v2.0/"
                                                                             f"{name.path}"}]}
                                          for name in names]})

    @route("GET", "/v2.0/extensions")
    def extensions(self, _request: Request) -> Answer:
        return Answer(200, {"extensions": [{"alias": one, "name": one, "description": "",
                                            "updated": "2020-01-01T00:00:00-00:00", "links": []}
                                           for one in EXTENSIONS]})

    @route("GET", "/v2.0/extensions/{alias}")
    def extension(self, _request: Request, alias: str) -> Answer:
        need(alias in EXTENSIONS, 404, f"Extension with alias {alias} does not exist",
             "ExtensionNotFound")
        return Answer(200, {"extension": {"alias": alias, "name": alias, "links": []}})

    @route("GET", "/v2.0/availability_zones")
    def zones(self, _request: Request) -> Answer:
        return Answer(200, {"availability_zones": [
            {"name": "nova", "resource": kind, "state": "available"}
            for kind in ("network", "router")]})

    @route("GET", "/v2.0/quotas/{project}")
    def quotas(self, request: Request, project: str) -> Answer:
        return Answer(200, {"quota": {name: limit for name, limit, _ in self._quotas(
            request, project)}})

    @route("GET", "/v2.0/quotas/{project}/details")
    def details(self, request: Request, project: str) -> Answer:
        return Answer(200, {"quota": {name: {"limit": limit, "used": used, "reserved": 0}
                                      for name, limit, used in self._quotas(request, project)}})

    def _quotas(self, request: Request, project: str) -> list[tuple[str, int, int]]:
        need(project == request.project_id or request.admin, 403,
             "(rule:get_quota) is disallowed by policy", "PolicyNotAuthorized")
        return [(kind.singular, self.cloud.settings.quotas.get(kind.store, -1),
                 sum(1 for one in self.cloud.kinds[kind.store].values()
                     if one["_project"] == project))
                for kind in (one.kind for one in COLLECTIONS)]


def _operator(request: Request) -> Request:
    """The same request with Neutron's own rights."""
    return Request(request.method, request.path, {}, {}, b"", request.root,
                   {**request.token, "roles": [*request.token.get("roles", ()), "admin"]})


COLLECTIONS: tuple[type[Collection], ...] = (
    Networks, Subnets, Ports, Routers, SecurityGroups, SecurityGroupRules, FloatingIps)


class Neutron(Service):
    name = "network"
    types = ("network",)
    open = ("/",)
    parts = (Face, *COLLECTIONS)

    def refused(self, request: Request, refusal: Refusal) -> Answer:
        if refusal.status == 401:
            return unauthorized(self.cloud.root, refusal.message)
        return Answer(refusal.status, {"NeutronError": {
            "type": refusal.kind or {404: "HTTPNotFound", 400: "HTTPBadRequest"}.get(
                refusal.status, "Error"),
            "message": refusal.message, "detail": ""}})
