"""A Neutron and a Nova small enough to read, which can kill their caller around any write."""

from __future__ import annotations

import copy
import itertools
import re
from ipaddress import ip_network
from typing import Any

from karbor_testing.bank import MemoryBank

from karbor.domain.errors import CloudConflict, CloudForbidden, CloudNotFound
from karbor.domain.resource import NETWORK, SERVER, VOLUME, Resource, ResourceGraph
from karbor.domain.step import Again, Done
from karbor.plugin.bank import Section

Record = dict[str, Any]
PROJECT_ID = "p1"


class Killed(BaseException):
    """The process ends here."""


class World:
    """The cloud. `kill` = (number of a write, "before" or "after"): when to kill the caller."""

    project_id = PROJECT_ID
    project_name = "demo"
    user_id = "u1"

    def __init__(self) -> None:
        self.things: dict[str, dict[str, Record]] = {kind: {} for kind in (
            "networks", "subnets", "ports", "routers", "security-groups", "floatingips",
            "servers", "volumes", "os-server-groups", "address-groups")}
        self.flavors = [{"id": "f1", "name": "small", "vcpus": 1, "ram": 512, "disk": 1}]
        self.key_pairs = [{"keypair": {"name": "key", "public_key": "ssh-rsa A", "type": "ssh",
                                       "fingerprint": "aa:bb"}}]
        self.zones = [{"zoneName": "nova", "zoneState": {"available": True}}]
        self.limits = {"maxTotalInstances": 10, "totalInstancesUsed": 0, "maxTotalCores": 20,
                       "totalCoresUsed": 0, "maxTotalRAMSize": -1, "totalRAMUsed": 0}
        self.quota = {kind: {"limit": 100, "used": 0, "reserved": 0} for kind in (
            "network", "subnet", "port", "router", "security_group", "security_group_rule",
            "floatingip")}
        self.real_metadata_limit = -1       # where it is another than Nova says
        self.kill: tuple[int, str] | None = None
        self.writes = 0
        self.requests: list[str] = []
        self._ids = itertools.count(1)

    # -- Cloud
    def api(self, service: str) -> Any:
        return {"neutron": Neutron, "nova": Nova}[service](self)

    def look(self, kind: str, id: str) -> Record | None:
        if kind == "cinder.volume":
            return copy.deepcopy(self.things["volumes"].get(id))
        server = self.things["servers"].get(id)
        if server is None:
            return None
        seen = copy.deepcopy(server)
        if server["status"] == "BUILD":
            server["status"] = "ACTIVE"
        elif server["status"] == "DELETING":
            self.drop_server(id)
        elif server["status"] == "STOPPING":
            server["status"] = "SHUTOFF"
        return seen

    def asked(self, id: str) -> dict[str, str]:
        return {}

    def ensure_credential(self, seconds: float) -> float | None:
        return None

    def interval(self, kind: str) -> float:
        return 0.0

    def first_poll_delay(self, kind: str) -> float:
        return 0.0

    # --
    def new_id(self, kind: str) -> str:
        return f"{kind}-{next(self._ids)}"

    def write(self, do: Any) -> Any:
        self.writes += 1
        if self.kill == (self.writes, "before"):
            raise Killed
        answer = copy.deepcopy(do())
        if self.kill == (self.writes, "after"):
            raise Killed
        return answer

    def drop_port(self, id: str) -> None:
        del self.things["ports"][id]
        for one in self.things["floatingips"].values():
            if one["port_id"] == id:
                one.update(port_id=None, fixed_ip_address=None)

    def drop_server(self, id: str) -> None:
        server = self.things["servers"].pop(id)
        for volume in server["os-extended-volumes:volumes_attached"]:
            self.things["volumes"][volume["id"]]["status"] = "available"
        for port in list(self.things["ports"].values()):
            if port["device_id"] == id:
                port.update(device_id="", device_owner="")
        for group in self.things["os-server-groups"].values():
            group["members"] = [one for one in group["members"] if one != id]

    def named(self, kind: str, name: str) -> Record:
        return next(one for one in self.things[kind].values() if one["name"] == name)

    def picture(self) -> Record:
        return copy.deepcopy(self.things)


class Double:
    def __init__(self, world: World) -> None:
        self.world = world
        self.things = world.things

    def list(self, path: str, key: str, *, params: Any = None, version: Any = None) -> list[Record]:
        self.world.requests.append(f"GET {path}")
        found = self.collection(path)
        for name, value in (params or {}).items():
            found = [one for one in found if one.get(name) == value]
        return copy.deepcopy(found)

    def need(self, kind: str, id: str) -> Record:
        if id not in self.things[kind]:
            raise CloudNotFound(f"{kind} {id} could not be found")
        return self.things[kind][id]


class Neutron(Double):
    def collection(self, path: str) -> list[Record]:
        return list(self.things[path.strip("/")].values())

    def get(self, path: str, **_: Any) -> Any:
        kind, id = path.strip("/").split("/")[:2]
        self.world.requests.append(f"GET {path}")
        if kind == "quotas":
            return {"quota": copy.deepcopy(self.world.quota)}
        return {kind[:-1].replace("-", "_"): copy.deepcopy(self.need(kind, id))}

    def post(self, path: str, body: Any = None, **_: Any) -> Any:
        self.world.requests.append(f"POST {path}")
        return self.world.write(lambda: self._post(path.strip("/"), body))

    def _post(self, kind: str, body: Any) -> Any:
        if kind == "security-group-rules":
            before = copy.deepcopy(self.things["security-groups"])
            try:
                return {"security_group_rules": [self._rule(one)
                                                 for one in body["security_group_rules"]]}
            except CloudNotFound:       # all or none
                self.things["security-groups"].clear()
                self.things["security-groups"].update(before)
                raise
        singular = kind[:-1].replace("-", "_")
        record = {"id": self.world.new_id(singular), "name": "", "description": "", "tags": [],
                  "admin_state_up": True, "project_id": PROJECT_ID, **copy.deepcopy(body[singular])}
        getattr(self, f"_new_{singular}", lambda record: None)(record)
        self.things[kind][record["id"]] = record
        return {singular: record}

    def _new_subnet(self, record: Record) -> None:
        self.need("networks", record["network_id"])

    def _new_router(self, record: Record) -> None:
        gateway = record.setdefault("external_gateway_info", None)
        record["routes"] = []
        if gateway:
            if "external_fixed_ips" in gateway:
                raise CloudForbidden("create_router:external_gateway_info:external_fixed_ips "
                                     "is disallowed by policy")
            gateway["external_fixed_ips"] = [{"ip_address": self._free_external()}]

    def _new_port(self, record: Record) -> None:
        network = self.need("networks", record["network_id"])
        for group in record.setdefault("security_groups", []):
            self.need("security-groups", group)
        mates = [one for one in self.things["ports"].values()
                 if one["network_id"] == network["id"]]
        taken = {fixed["ip_address"] for one in mates for fixed in one["fixed_ips"]}
        if record.get("mac_address") in {one["mac_address"] for one in mates}:
            raise CloudConflict(f"The mac address {record['mac_address']} is in use.")
        record.setdefault("mac_address", f"fa:16:3e:00:00:{next(self.world._ids):02x}")
        record.setdefault("fixed_ips", [
            {"subnet_id": one["id"]} for one in self.things["subnets"].values()
            if one["network_id"] == network["id"]])
        for fixed in record["fixed_ips"]:
            if fixed.get("ip_address") in taken:
                raise CloudConflict(f"The IP address {fixed['ip_address']} is in use.")
            subnet = self.need("subnets", fixed["subnet_id"])
            fixed.setdefault("ip_address", next(
                str(one) for one in ip_network(subnet["cidr"]).hosts()
                if str(one) not in taken | {subnet["gateway_ip"]}))
            taken.add(fixed["ip_address"])
        record.setdefault("device_id", "")
        record.setdefault("device_owner", "")

    def _new_security_group(self, record: Record) -> None:
        record["security_group_rules"] = []
        self.things["security-groups"][record["id"]] = record
        for ethertype in ("IPv4", "IPv6"):
            self._rule({"security_group_id": record["id"], "direction": "egress",
                        "ethertype": ethertype})

    def _rule(self, body: Record) -> Record:
        rule = {"protocol": None, "port_range_min": None, "port_range_max": None,
                "remote_ip_prefix": None, "remote_group_id": None, "description": "", **body,
                "id": self.world.new_id("rule")}
        if rule["remote_group_id"]:
            self.need("security-groups", rule["remote_group_id"])
        if rule.get("remote_address_group_id"):
            self.need("address-groups", rule["remote_address_group_id"])
        self.need("security-groups", body["security_group_id"])["security_group_rules"].append(rule)
        return rule

    def _new_floatingip(self, record: Record) -> None:
        self.need("networks", record["floating_network_id"])
        if "floating_ip_address" in record:
            raise CloudForbidden("create_floatingip:floating_ip_address is disallowed by policy")
        record["floating_ip_address"] = self._free_external()
        record.update(port_id=None, fixed_ip_address=None)

    def _free_external(self) -> str:
        return f"203.0.113.{next(self.world._ids)}"

    def put(self, path: str, body: Any = None, **_: Any) -> Any:
        self.world.requests.append(f"PUT {path}")
        return self.world.write(lambda: self._put(path.strip("/").split("/"), body))

    def _put(self, where: list[str], body: Any) -> Any:
        record = self.need(where[0], where[1])
        if where[2:] == ["tags"]:
            record["tags"] = list(body["tags"])
        elif where[2:] == ["add_router_interface"]:
            self._add_interface(record, body)
        elif where[2:] == ["remove_router_interface"]:
            self.need("ports", body["port_id"])
            self.world.drop_port(body["port_id"])
        else:
            (changes,) = body.values()
            if where[0] == "floatingips":
                changes = {**changes, **self._fixed_address(record, changes)}
            record.update(copy.deepcopy(changes))
        return {}

    def _fixed_address(self, record: Record, changes: Record) -> Record:
        """As Neutron: where a port has several addresses of IPv4, each change must say which."""
        id = changes.get("port_id", record["port_id"])
        if not id:
            return {}
        port = self.need("ports", id)
        addresses = [one["ip_address"] for one in port["fixed_ips"] if ":" not in one["ip_address"]]
        if "fixed_ip_address" not in changes:
            if len(addresses) > 1:
                raise CloudConflict(f"Bad floatingip request: Port {id} has multiple fixed IPv4 "
                                    "addresses. Must provide a specific IPv4 address when "
                                    "assigning a floating IP.")
            return {"fixed_ip_address": addresses[0]}
        if "port_id" not in changes:
            raise CloudConflict("fixed_ip_address cannot be specified without a port_id")
        if changes["fixed_ip_address"] not in addresses:
            raise CloudConflict(f"Port {id} does not have fixed ip {changes['fixed_ip_address']}")
        return {}

    def _add_interface(self, router: Record, body: Record) -> None:
        if "port_id" in body:
            port = self.need("ports", body["port_id"])
            port.update(device_id=router["id"], device_owner="network:router_interface")
            return
        subnet = self.need("subnets", body["subnet_id"])
        for port in self.things["ports"].values():
            if port["device_id"] == router["id"] and \
                    port["fixed_ips"][0]["subnet_id"] == subnet["id"]:
                raise CloudConflict("Router already has a port on subnet")
        self._post("ports", {"port": {
            "network_id": subnet["network_id"], "device_id": router["id"],
            "device_owner": "network:router_interface",
            "fixed_ips": [{"subnet_id": subnet["id"], "ip_address": subnet["gateway_ip"]}]}})

    def delete(self, path: str, **_: Any) -> None:
        self.world.requests.append(f"DELETE {path}")
        kind, id = path.strip("/").split("/")
        self.world.write(lambda: self._delete(kind, id))

    def _delete(self, kind: str, id: str) -> None:
        ports = self.things["ports"].values()
        if kind == "security-group-rules":
            for group in self.things["security-groups"].values():
                group["security_group_rules"] = [one for one in group["security_group_rules"]
                                                 if one["id"] != id]
            return
        used = {"networks": any(one["network_id"] == id for one in ports),
                "subnets": any(fixed["subnet_id"] == id for one in ports
                               for fixed in one["fixed_ips"]),
                "routers": any(one["device_id"] == id for one in ports),
                "security-groups": any(id in one["security_groups"] for one in ports),
                "ports": id in self.things["ports"] and
                self.things["ports"][id]["device_owner"].startswith("network:")}.get(kind, False)
        if used:
            raise CloudConflict(f"{kind} {id} is in use")
        if kind == "ports" and id in self.things["ports"]:
            self.world.drop_port(id)
        self.things[kind].pop(id, None)


class Nova(Double):
    def collection(self, path: str) -> list[Record]:
        where = path.strip("/").split("/")
        if where[0] == "servers" and len(where) == 3:
            server = self.need("servers", where[1])
            if where[2] == "os-interface":
                return [{"port_id": one["id"], "tag": None} for one in self.things["ports"].values()
                        if one["device_id"] == server["id"]]
            return [{"volumeId": one["id"], "device": one["device"], "tag": None,
                     "delete_on_termination": one["delete_on_termination"]}
                    for one in server["os-extended-volumes:volumes_attached"]]
        fixed = {"flavors": self.world.flavors, "os-keypairs": self.world.key_pairs,
                 "os-availability-zone": self.world.zones}
        return fixed[where[0]] if where[0] in fixed else list(self.things[where[0]].values())

    def get(self, path: str, **_: Any) -> Any:
        self.world.requests.append(f"GET {path}")
        if path == "/":
            return {"version": {"version": "2.100"}}
        if path == "/limits":
            return {"limits": {"absolute": self.world.limits}}
        return {"server": copy.deepcopy(self.need("servers", path.split("/")[2]))}

    def post(self, path: str, body: Any = None, **_: Any) -> Any:
        self.world.requests.append(f"POST {path}")
        return self.world.write(lambda: self._post(path.strip("/").split("/"), body))

    def _post(self, where: list[str], body: Any) -> Any:
        if where == ["servers"]:
            return {"server": self._server(body)}
        if where == ["os-server-groups"]:
            id = self.world.new_id("group")
            self.things["os-server-groups"][id] = {"id": id, "members": [], "rules": {},
                                                   **body["server_group"]}
            return {"server_group": self.things["os-server-groups"][id]}
        server = self.need("servers", where[1])
        if "os-stop" in body:
            if server["status"] != "ACTIVE":
                raise CloudConflict("it is not running")
            server["status"] = "STOPPING"
            return {}
        raise AssertionError(where)

    def _server(self, request: Record) -> Record:
        body = copy.deepcopy(request["server"])
        most = self.world.limits.get("maxServerMeta", -1)
        most = self.world.real_metadata_limit if self.world.real_metadata_limit >= 0 else most
        if 0 <= most < len(body["metadata"]):
            raise CloudForbidden(f"nova answered 403: Maximum number of metadata items exceeds "
                                 f"{most}")
        if not re.fullmatch(r"[a-zA-Z0-9._-]*", body.get("hostname", "")):
            raise CloudConflict(f"Invalid input for field/attribute hostname: {body['hostname']}")
        id = self.world.new_id("server")
        for one in body["networks"]:
            self.need("ports", one["port"]).update(device_id=id, device_owner="compute:nova")
        volumes = [one for one in body.get("block_device_mapping_v2", ())
                   if one["source_type"] == "volume"]
        for one in volumes:
            self.need("volumes", one["uuid"])["status"] = "in-use"
        flavor = next(one for one in self.world.flavors if one["id"] == body["flavorRef"])
        group = request.get("os:scheduler_hints", {}).get("group")
        if group:
            self.need("os-server-groups", group)["members"].append(id)
        record = {
            **{name: body.get(name) for name in ("name", "metadata", "key_name", "tags",
                                                 "description")},
            "id": id, "status": "BUILD", "config_drive": "",
            "OS-EXT-SRV-ATTR:hostname": body.get("hostname") or body["name"].lower(),
            "OS-DCF:diskConfig": "AUTO",
            "image": {"id": body["imageRef"]} if "imageRef" in body else "",
            "flavor": {"original_name": flavor["name"], "vcpus": 1, "ram": 512, "disk": 1,
                       "ephemeral": 0, "swap": 0},
            "OS-EXT-AZ:availability_zone": "nova", "pinned_availability_zone": None,
            "addresses": {}, "locked": False,
            "os-extended-volumes:volumes_attached": [
                {"id": one["uuid"], "device": one.get("device_name"),
                 "delete_on_termination": one["delete_on_termination"]} for one in volumes]}
        self.things["servers"][id] = record
        return record

    def put(self, path: str, body: Any = None, **_: Any) -> Any:
        self.world.requests.append(f"PUT {path}")
        where = path.strip("/").split("/")
        server = self.need("servers", where[1])
        [changes] = body.values()
        if where[2:3] == ["os-volume_attachments"]:
            [server] = [one for one in server["os-extended-volumes:volumes_attached"]
                        if one["id"] == where[3]]
        return self.world.write(lambda: server.update(copy.deepcopy(changes)) or {})

    def delete(self, path: str, **_: Any) -> None:
        self.world.requests.append(f"DELETE {path}")
        where = path.strip("/").split("/")
        self.world.write(lambda: self._delete(where))

    def _delete(self, where: list[str]) -> None:
        if where[0] == "os-server-groups":
            self.things[where[0]].pop(where[1], None)
        elif len(where) == 2:
            if where[1] in self.things["servers"]:      # Api.delete: gone already is good
                self.things["servers"][where[1]]["status"] = "DELETING"
        else:
            self.need("servers", where[1])["metadata"].pop(where[3], None)


class FakeWork:
    """A Work whose handle and results the test keeps."""

    stopping = False
    checkpoint_id = "c1"
    operation_id = "o1"

    def __init__(self, world: World, graph: ResourceGraph, resource: Resource, *,
                 bank: MemoryBank, results: dict[tuple[str, str], Record],
                 parameters: Record | None = None) -> None:
        self.cloud = world
        self.graph = graph
        self.resource = resource
        self.bank = Section(bank, "sections/" + resource.type.replace(":", "_"))
        self.parameters = parameters or {}
        self.mark = f"karbor:o1:{resource.id}"
        self.handle: Record = {}
        self.entered_before = False
        self._results = results

    def saved(self, stage: str, resource: Resource | None = None) -> Record:
        return self._results.get((stage, (resource or self.resource).key), {})

    def kept(self, stage: str, resource: Resource | None = None) -> Record:
        return self._results.get(("kept " + stage, (resource or self.resource).key), {})

    def ensure_credential(self, size: int | None) -> None:
        """A token of minutes is enough here."""

    def report(self, progress: Any) -> None:
        raise AssertionError("nothing here takes that long")

    def enter(self, call: Any) -> Any:
        """One entry, as the driver does it: a handle is kept only when the entry ended."""
        outcome = call(self)
        self.entered_before = True
        if getattr(outcome, "handle", None) is not None:
            self.handle = copy.deepcopy(dict(outcome.handle))
        return outcome

    def through(self, call: Any) -> Any:
        """Entered until it is over; entered again after being killed."""
        for _ in range(200):
            try:
                outcome = self.enter(call)
            except Killed:
                self.entered_before = True
                continue
            if not isinstance(outcome, Again):
                assert isinstance(outcome, Done), outcome
                return outcome
        raise AssertionError("it never ends")


def application(world: World) -> tuple[Resource, Resource]:
    """Network, router, groups, a server with two volumes and a floating address. Returns the
    server and the topology."""
    neutron, nova = Neutron(world), Nova(world)
    world.things["networks"]["ext"] = {"id": "ext", "name": "public", "project_id": "admin",
                                       "router:external": True}

    def make(kind: str, **body: Any) -> Record:
        singular = kind[:-1].replace("-", "_")
        made: Record = neutron.post(f"/{kind}", {singular: body})[singular]
        return world.things[kind][made["id"]]

    make("security-groups", name="default")
    web = make("security-groups", name="web", description="from outside", tags=["t1"])
    database = make("security-groups", name="db")
    neutron._delete("security-group-rules", database["security_group_rules"][1]["id"])
    neutron.post("/security-group-rules", {"security_group_rules": [
        {"security_group_id": web["id"], "direction": "ingress", "ethertype": "IPv4",
         "protocol": "tcp", "port_range_min": 443, "port_range_max": 443, "description": "tls"},
        {"security_group_id": web["id"], "direction": "ingress", "ethertype": "IPv4",
         "remote_group_id": database["id"]}]})
    network = make("networks", name="net", description="the inner one", mtu=1400)
    subnet = make("subnets", name="sub", network_id=network["id"], cidr="10.0.0.0/24",
                  ip_version=4, gateway_ip="10.0.0.1", enable_dhcp=True,
                  dns_nameservers=["9.9.9.9"],
                  allocation_pools=[{"start": "10.0.0.10", "end": "10.0.0.99"}], host_routes=[])
    router = make("routers", name="router", external_gateway_info={"network_id": "ext"})
    neutron.put(f"/routers/{router['id']}/add_router_interface", {"subnet_id": subnet["id"]})
    neutron.put(f"/routers/{router['id']}", {"router": {"routes": [
        {"destination": "192.0.2.0/24", "nexthop": "10.0.0.7"}]}})
    port = make("ports", name="eth0", network_id=network["id"], mac_address="fa:16:3e:aa:aa:aa",
                security_groups=[web["id"]],
                fixed_ips=[{"subnet_id": subnet["id"], "ip_address": "10.0.0.42"}])
    floating = make("floatingips", floating_network_id="ext", description="door")
    neutron.put(f"/floatingips/{floating['id']}", {"floatingip": {"port_id": port["id"]}})
    for id in ("v1", "v2", "new-v1", "new-v2"):
        world.things["volumes"][id] = {"id": id, "status": "available"}
    group = nova.post("/os-server-groups", {"server_group": {
        "name": "apart", "policy": "anti-affinity", "rules": {}}})["server_group"]
    made = nova.post("/servers", {
        "os:scheduler_hints": {"group": group["id"]},
        "server": {"name": "web-1", "flavorRef": "f1", "metadata": {"tier": "front"},
                   "tags": ["blue"], "key_name": "key", "networks": [{"port": port["id"]}],
                   "block_device_mapping_v2": [
                       {"source_type": "volume", "uuid": "v1", "boot_index": 0,
                        "device_name": "/dev/vda", "delete_on_termination": False},
                       {"source_type": "volume", "uuid": "v2", "boot_index": -1,
                        "device_name": "/dev/vdb", "delete_on_termination": True}]}})["server"]
    world.things["servers"][made["id"]]["status"] = "SHUTOFF"
    return (Resource(SERVER, made["id"], "web-1"),
            Resource(NETWORK, PROJECT_ID, "Network topology"))


def graph_of(server: Resource, topology: Resource) -> ResourceGraph:
    volumes = [Resource(VOLUME, id) for id in ("v1", "v2")]
    return ResourceGraph.build([server], lambda level: {
        one.key: [*volumes, topology] for one in level if one == server})


def lose(world: World, server: Resource, *, networks: bool = True) -> None:
    """Delete the application but the floating address; volumes v1 and v2 are gone as well."""
    world.drop_server(server.id)
    world.things["os-server-groups"].clear()
    for id in ("v1", "v2"):
        del world.things["volumes"][id]
    for port in list(world.things["ports"].values()):
        if networks or port["device_owner"] != "network:router_interface":
            world.drop_port(port["id"])
    if networks:
        for kind in ("networks", "subnets", "routers", "security-groups"):
            world.things[kind] = {id: one for id, one in world.things[kind].items()
                                  if id == "ext" or one["name"] == "default"}
