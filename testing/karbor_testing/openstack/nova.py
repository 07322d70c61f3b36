"""Nova: attachments, flavors, key pairs, server groups, limits, and the service's face."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from karbor_testing.openstack.cinder_volumes import Volumes
from karbor_testing.openstack.cloud import Cloud, Record, need
from karbor_testing.openstack.exchange import Answer, Refusal, Request
from karbor_testing.openstack.nova_boot import Building
from karbor_testing.openstack.nova_servers import Servers
from karbor_testing.openstack.nova_versions import NEWEST, at_least, microversion
from karbor_testing.openstack.service import Part, Service, faultname, page, route, unauthorized


class Attachments(Part):
    @route("GET", "/v2.1/servers/{id}/os-volume_attachments")
    def listing(self, request: Request, id: str) -> Answer:
        server = self.cloud.part(Servers).server(request, id)
        return Answer(200, {"volumeAttachments": [self._view(request, id, volume)
                                                  for volume in server["volumes"]]})

    @route("GET", "/v2.1/servers/{id}/os-volume_attachments/{volume}")
    def show(self, request: Request, id: str, volume: str) -> Answer:
        server = self.cloud.part(Servers).server(request, id)
        found = [one for one in server["volumes"] if one["id"] == volume]
        need(found, 404, f"volume_id not found: {volume}")
        return Answer(200, {"volumeAttachment": self._view(request, id, found[0])})

    @route("POST", "/v2.1/servers/{id}/os-volume_attachments")
    def attach(self, request: Request, id: str) -> Answer:
        server = self.cloud.part(Servers).server(request, id)
        wanted = request.member("volumeAttachment")
        need(server["status"] in {"ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED"}, 409,
             f"Cannot 'attach_volume' instance {id} while it is in vm_state "
             f"{server['status'].lower()}")
        volume = self.own("cinder.volume", str(wanted.get("volumeId")), request, "Volume")
        need(volume["status"] == "available", 400,
             f"Invalid volume: volume {volume['id']} status must be 'available'. Currently in "
             f"'{volume['status']}'")
        used = {one["device"] for one in server["volumes"]} | {"/dev/vda"}
        device = wanted.get("device") or next(
            name for name in (f"/dev/vd{letter}" for letter in "bcdefghijklmnopqrstuvwxyz")
            if name not in used)
        volume["status"] = "reserved"

        def done() -> None:
            self.cloud.part(Building).attach(server, volume, device, wanted)

        def failed(_status: str, _reason: str) -> None:
            volume["status"] = "available"

        self.cloud.change("nova.attach", [volume], done, failed)
        return Answer(200, {"volumeAttachment": self._view(request, id, {
            "id": volume["id"], "device": device, "tag": wanted.get("tag"),
            "delete_on_termination": bool(wanted.get("delete_on_termination"))})})

    @route("PUT", "/v2.1/servers/{id}/os-volume_attachments/{volume}")
    def change(self, request: Request, id: str, volume: str) -> Answer:
        """Whether it goes with the server, as from 2.85 on."""
        server = self.cloud.part(Servers).server(request, id)
        found = [one for one in server["volumes"] if one["id"] == volume]
        need(found, 404, f"volume_id not found: {volume}")
        wanted = request.member("volumeAttachment")
        need(wanted.get("volumeId") == volume, 400, "a volume is not swapped here")
        found[0]["delete_on_termination"] = bool(wanted.get("delete_on_termination"))
        return Answer(202)

    @route("DELETE", "/v2.1/servers/{id}/os-volume_attachments/{volume}")
    def detach(self, request: Request, id: str, volume: str) -> Answer:
        server = self.cloud.part(Servers).server(request, id)
        found = [one for one in server["volumes"] if one["id"] == volume]
        need(found, 404, f"volume_id not found: {volume}")
        need(not found[0]["boot"], 403, "Cannot detach a root device volume")
        record = self.cloud.kinds["cinder.volume"][volume]
        record["status"] = "detaching"

        def done() -> None:
            server["volumes"].remove(found[0])
            self.cloud.part(Volumes).detach(record, id)

        self.cloud.change("nova.detach", [record], done)
        return Answer(202)

    def _view(self, request: Request, server: str, one: Mapping[str, Any]) -> dict[str, Any]:
        body = {"volumeId": one["id"], "serverId": server, "device": one["device"]}
        if not at_least(request, 89):
            body["id"] = one["id"]
        if at_least(request, 70):
            body["tag"] = one["tag"]
        if at_least(request, 79):
            body["delete_on_termination"] = one["delete_on_termination"]
        if at_least(request, 89):
            body |= {"attachment_id": one["id"], "bdm_uuid": one["id"]}
        return body


class Interfaces(Part):
    @route("GET", "/v2.1/servers/{id}/os-interface")
    def listing(self, request: Request, id: str) -> Answer:
        server = self.cloud.part(Servers).server(request, id)
        return Answer(200, {"interfaceAttachments": [self._view(request, nic)
                                                     for nic in server["nics"]]})

    @route("POST", "/v2.1/servers/{id}/os-interface")
    def attach(self, request: Request, id: str) -> Answer:
        server = self.cloud.part(Servers).server(request, id)
        wanted = request.member("interfaceAttachment")
        self.cloud.part(Building).plug(request, server, {"port": wanted.get("port_id"),
                                                         "uuid": wanted.get("net_id"),
                                                         "tag": wanted.get("tag")})
        return Answer(200, {"interfaceAttachment": self._view(request, server["nics"][-1])})

    @route("DELETE", "/v2.1/servers/{id}/os-interface/{port}")
    def detach(self, request: Request, id: str, port: str) -> Answer:
        servers = self.cloud.part(Servers)
        server = servers.server(request, id)
        found = [nic for nic in server["nics"] if nic["port"] == port]
        need(found, 404, f"Port id {port} could not be found.")
        server["nics"].remove(found[0])
        servers.unplug(found[0])
        return Answer(202)

    def _view(self, request: Request, nic: Mapping[str, Any]) -> dict[str, Any]:
        port = self.cloud.kinds["neutron.port"][nic["port"]]
        return {"port_id": port["id"], "net_id": port["network_id"], "port_state": port["status"],
                "mac_addr": port["mac_address"], "fixed_ips": port["fixed_ips"],
                **({"tag": nic["tag"]} if at_least(request, 70) else {})}


class Allowances(Part):
    """Flavors, key pairs, server groups, limits, zones."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        cloud.on_populated.append(self.populate)

    def populate(self, projects: Mapping[str, str]) -> None:
        for number, (name, cpus, ram, disk) in enumerate((("m1.tiny", 1, 512, 1),
                                                          ("m1.small", 1, 2048, 20))):
            self.cloud.add("nova.flavor", {"id": str(number + 1), "name": name, "vcpus": cpus,
                                           "ram": ram, "disk": disk, "extra_specs": {},
                                           "_public": True}, projects["admin"])

    @route("GET", "/v2.1/flavors")
    @route("GET", "/v2.1/flavors/detail")
    def flavors(self, request: Request) -> Answer:
        return Answer(200, page([self._flavor(request, one) for one in
                                 self.visible("nova.flavor", request)], request, "flavors",
                                most=self.cloud.settings.page_of("compute")))

    @route("GET", "/v2.1/flavors/{id}")
    def flavor(self, request: Request, id: str) -> Answer:
        found = self.cloud.kinds["nova.flavor"].get(id)
        if found is None:
            raise Refusal(404, f"Flavor {id} could not be found.")
        return Answer(200, {"flavor": self._flavor(request, found)})

    @route("GET", "/v2.1/flavors/{id}/os-extra_specs")
    def extra_specs(self, _request: Request, id: str) -> Answer:
        return Answer(200, {"extra_specs": self.cloud.kinds["nova.flavor"][id]["extra_specs"]})

    def _flavor(self, request: Request, one: Record) -> dict[str, Any]:
        body = {"id": one["id"], "name": one["name"], "vcpus": one["vcpus"], "ram": one["ram"],
                "disk": one["disk"], "swap": 0 if at_least(request, 75) else "", "links": [],
                "OS-FLV-EXT-DATA:ephemeral": 0, "OS-FLV-DISABLED:disabled": False,
                "os-flavor-access:is_public": True, "rxtx_factor": 1.0}
        if at_least(request, 55):
            body["description"] = None
        if at_least(request, 61):
            body["extra_specs"] = one["extra_specs"]
        return body

    @route("GET", "/v2.1/os-keypairs")
    def key_pairs(self, request: Request) -> Answer:
        found = [one for one in self.cloud.kinds["nova.keypair"].values()
                 if one["user_id"] == request.user_id]
        return Answer(200, {"keypairs": [{"keypair": self._key_pair(one)} for one in found]})

    @route("GET", "/v2.1/os-keypairs/{name}")
    def key_pair(self, request: Request, name: str) -> Answer:
        found = self.cloud.kinds["nova.keypair"].get(f"{request.user_id}/{name}")
        if found is None:
            raise Refusal(404, f"Keypair {name} not found for user {request.user_id}")
        return Answer(200, {"keypair": self._key_pair(found)})

    @route("POST", "/v2.1/os-keypairs")
    def create_key_pair(self, request: Request) -> Answer:
        wanted = request.member("keypair")
        id = f"{request.user_id}/{wanted['name']}"
        need(id not in self.cloud.kinds["nova.keypair"], 409,
             f"Key pair '{wanted['name']}' already exists.")
        made = self.cloud.add("nova.keypair", {
            "id": id, "name": wanted["name"], "public_key": wanted["public_key"],
            "type": wanted.get("type", "ssh"), "fingerprint": self.cloud.new_hex(),
            "user_id": request.user_id}, request.project_id)
        return Answer(201 if at_least(request, 2) else 200, {"keypair": self._key_pair(made)})

    @route("DELETE", "/v2.1/os-keypairs/{name}")
    def delete_key_pair(self, request: Request, name: str) -> Answer:
        id = f"{request.user_id}/{name}"
        need(id in self.cloud.kinds["nova.keypair"], 404, f"Keypair {name} not found")
        self.cloud.remove("nova.keypair", id)
        return Answer(204)

    def _key_pair(self, one: Record) -> dict[str, Any]:
        return {name: one[name] for name in ("name", "public_key", "fingerprint", "type",
                                             "user_id")}

    @route("GET", "/v2.1/os-server-groups")
    def groups(self, request: Request) -> Answer:
        return Answer(200, {"server_groups": [self._group(request, one) for one in
                                              self.visible("nova.server_group", request)]})

    @route("GET", "/v2.1/os-server-groups/{id}")
    def group(self, request: Request, id: str) -> Answer:
        found = self.own("nova.server_group", id, request, "Instance group")
        return Answer(200, {"server_group": self._group(request, found)})

    @route("POST", "/v2.1/os-server-groups")
    def create_group(self, request: Request) -> Answer:
        wanted = request.member("server_group")
        policy = wanted.get("policy") or (wanted.get("policies") or ["affinity"])[0]
        made = self.cloud.add("nova.server_group", {
            "name": wanted["name"], "policy": policy, "rules": wanted.get("rules") or {},
            "members": [], "user_id": request.user_id}, request.project_id)
        return Answer(200, {"server_group": self._group(request, made)})

    @route("DELETE", "/v2.1/os-server-groups/{id}")
    def delete_group(self, request: Request, id: str) -> Answer:
        self.own("nova.server_group", id, request, "Instance group")
        self.cloud.remove("nova.server_group", id)
        return Answer(204)

    def _group(self, request: Request, one: Record) -> dict[str, Any]:
        body = {"id": one["id"], "name": one["name"], "members": list(one["members"])}
        if at_least(request, 64):
            body |= {"policy": one["policy"], "rules": one["rules"]}
        else:
            body |= {"policies": [one["policy"]], "metadata": {}}
        return body | {"project_id": one["_project"], "user_id": one["user_id"]}

    @route("GET", "/v2.1/limits")
    def limits(self, request: Request) -> Answer:
        mine = [one for one in self.cloud.kinds["nova.server"].values()
                if one["_project"] == request.project_id]
        flavors = [self.cloud.kinds["nova.flavor"][one["flavor"]] for one in mine]
        limit = self.cloud.settings.quotas.get
        return Answer(200, {"limits": {"rate": [], "absolute": {
            "maxTotalInstances": limit("nova.instances", -1),
            "maxTotalCores": limit("nova.cores", -1), "maxTotalRAMSize": limit("nova.ram", -1),
            "totalInstancesUsed": len(mine),
            "totalCoresUsed": sum(flavor["vcpus"] for flavor in flavors),
            "totalRAMUsed": sum(flavor["ram"] for flavor in flavors), "maxServerMeta": 128,
            "maxTotalKeypairs": 100, "maxServerGroups": 10, "maxServerGroupMembers": 10,
            "totalServerGroupsUsed": len(self.cloud.kinds["nova.server_group"])}}})

    @route("GET", "/v2.1/os-availability-zone")
    def zones(self, _request: Request) -> Answer:
        return Answer(200, {"availabilityZoneInfo": [
            {"zoneName": "nova", "zoneState": {"available": True}, "hosts": None}]})


class Face(Part):
    @route("GET", "/")
    def versions(self, request: Request) -> Answer:
        return Answer(200, {"versions": [self._version(request)]})

    @route("GET", "/v2.1")
    def version(self, request: Request) -> Answer:
        return Answer(200, {"version": self._version(request)})

    def _version(self, request: Request) -> dict[str, Any]:
        return {"id": "v2.1", "status": "CURRENT", "version": f"2.{NEWEST}", "min_version": "2.1",
                "updated": "2013-07-23T11:33:21Z",
                "links": [{"rel": "self", "href": f"{request.root}/v2.1/"}]}


class Nova(Service):
    name = "compute"
    types = ("compute",)
    suffix = "/v2.1"
    open = ("/", "/v2.1/?")
    parts = (Face, Building, Servers, Attachments, Interfaces, Allowances)

    def finish(self, request: Request, answer: Answer) -> Answer:
        version = f"2.{microversion(request)}"
        answer.headers |= {"OpenStack-API-Version": f"compute {version}",
                           "X-OpenStack-Nova-API-Version": version}
        return answer

    def refused(self, request: Request, refusal: Refusal) -> Answer:
        if refusal.status == 401:
            return unauthorized(self.cloud.root, refusal.message)
        return Answer(refusal.status, {faultname(refusal): {"code": refusal.status,
                                                            "message": refusal.message}})
