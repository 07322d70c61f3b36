"""Nova's servers after they were built: what is shown of them, and what is done to them."""

from __future__ import annotations

import json
from typing import Any

from karbor_testing.openstack.cinder_volumes import Volumes
from karbor_testing.openstack.cloud import Record, need
from karbor_testing.openstack.exchange import Answer, Refusal, Request
from karbor_testing.openstack.glance import Images
from karbor_testing.openstack.neutron_networks import Ports
from karbor_testing.openstack.nova_versions import at_least
from karbor_testing.openstack.service import Part, page, route, shown

ATTR = "OS-EXT-SRV-ATTR:"


class Servers(Part):
    def server(self, request: Request, id: str) -> Record:
        try:
            return self.own("nova.server", id, request, "Instance")
        except Refusal as refusal:
            raise Refusal(404, f"Instance {id} could not be found.") from refusal

    @route("GET", "/v2.1/servers")
    @route("GET", "/v2.1/servers/detail")
    def listing(self, request: Request) -> Answer:
        found = [one for one in reversed(self.visible("nova.server", request))
                 if request.one("name") in one["name"]
                 and request.one("status", one["status"]).upper() == one["status"]
                 and set(filter(None, request.one("tags").split(","))) <= set(one["tags"])]
        body = page([self.view(one, request, many=True) for one in found], request, "servers",
                    most=self.cloud.settings.page_of("compute"))
        if not request.path.rstrip("/").endswith("detail"):
            body["servers"] = [shown(server, ("id", "name", "links")) for server in body["servers"]]
        return Answer(200, body)

    @route("GET", "/v2.1/servers/{id}")
    def show(self, request: Request, id: str) -> Answer:
        server = self.server(request, id)
        need(self.cloud.look(server), 404, f"Instance {id} could not be found.")
        return Answer(200, {"server": self.view(server, request)})

    @route("PUT", "/v2.1/servers/{id}")
    def update(self, request: Request, id: str) -> Answer:
        server, wanted = self.server(request, id), request.member("server")
        server.update({name: wanted[name] for name in
                       ("name", "description", "accessIPv4", "accessIPv6", "hostname")
                       if name in wanted})
        return Answer(200, {"server": self.view(server, request)})

    @route("DELETE", "/v2.1/servers/{id}")
    def delete(self, request: Request, id: str) -> Answer:
        server = self.server(request, id)
        need(not server["locked"] or request.admin, 409, f"Instance {id} is locked")
        server["task_state"] = "deleting"
        self.cloud.change("nova.server.delete", [server], lambda: self._remove(server))
        return Answer(204)

    def _remove(self, server: Record) -> None:
        volumes = self.cloud.part(Volumes)
        for one in server["volumes"]:
            volume = self.cloud.kinds["cinder.volume"].get(one["id"])
            if volume:
                volumes.detach(volume, server["id"])
                if one["delete_on_termination"]:
                    self.cloud.remove("cinder.volume", volume["id"])
        for nic in server["nics"]:
            self.unplug(nic)
        for group in self.cloud.kinds["nova.server_group"].values():
            group["members"] = [member for member in group["members"] if member != server["id"]]
        self.cloud.remove("nova.server", server["id"])

    def unplug(self, nic: dict[str, Any]) -> None:
        """A port that Nova made goes; one that was given is free again."""
        port = self.cloud.kinds["neutron.port"].get(nic["port"])
        if port and nic["made"]:
            self.cloud.part(Ports).leave(port)
            self.cloud.remove("neutron.port", port["id"])
        elif port:
            port.update(device_id="", device_owner="", status="DOWN")

    @route("POST", "/v2.1/servers/{id}/action")
    def action(self, request: Request, id: str) -> Answer:
        server = self.server(request, id)
        wanted: Any
        name, wanted = next(iter(request.json().items()), ("", None))
        if name == "createImage":
            return self._image(request, server, wanted)
        if name in {"os-stop", "os-start"}:
            before, after = ("ACTIVE", "SHUTOFF") if name == "os-stop" else ("SHUTOFF", "ACTIVE")
            need(server["status"] == before, 409, f"Cannot '{name.removeprefix('os-')}' instance "
                 f"{id} while it is in vm_state {server['status'].lower()}")
            server["status"] = after
            return Answer(202)
        if name in {"lock", "unlock"}:
            server["locked"] = name == "lock"
            return Answer(202)
        raise Refusal(400, f"There is no such action: {name}")

    def _image(self, request: Request, server: Record, wanted: dict[str, Any]) -> Answer:
        need(server["status"] in {"ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED"}
             and server["task_state"] is None, 409, f"Cannot 'createImage' instance "
             f"{server['id']} while it is in task_state {server['task_state']}")
        images = self.cloud.part(Images)
        if any(volume["boot"] for volume in server["volumes"]):
            return self._image_of_volumes(request, server, wanted)
        image = images.make({"name": wanted["name"], "disk_format": "qcow2",
                             "container_format": "bare", "visibility": "private",
                             "image_type": "snapshot", "instance_uuid": server["id"],
                             "base_image_ref": server["image"], "user_id": request.user_id,
                             "owner_id": request.project_id, **(wanted.get("metadata") or {})},
                            request.project_id)
        body = bytes(server["_bytes"])
        server["task_state"] = "image_uploading"

        def done() -> None:
            server["task_state"] = None
            images.fill(image, body)

        def failed(status: str, _reason: str) -> None:
            server["task_state"] = None
            if status == "gone":        # what Nova does: it deletes the image of a failed snapshot
                self.cloud.remove("glance.image", image["id"])
            else:
                image["status"] = status

        self.cloud.change("nova.image", [image, server], done, failed)
        return self._made(request, image)

    def _made(self, request: Request, image: Record) -> Answer:
        if at_least(request, 45):
            return Answer(202, {"image_id": image["id"]})
        return Answer(202, None, {"Location": f"{self.cloud.root}/image/images/{image['id']}"})

    def _image_of_volumes(self, request: Request, server: Record, wanted: dict[str, Any]) -> Answer:
        """Of a server that boots from a volume: without data, and with a snapshot of each of its
        volumes in Cinder, which the image names."""
        mapping = []
        for one in server["volumes"]:
            volume = self.cloud.kinds["cinder.volume"][one["id"]]
            now = self.cloud.stamp()
            snapshot = self.cloud.add("cinder.snapshot", {
                "created_at": now, "updated_at": now, "name": f"snapshot for {wanted['name']}",
                "description": "", "volume_id": volume["id"], "status": "available",
                "size": volume["size"], "metadata": {}, "user_id": request.user_id,
                "_bytes": bytes(volume["_bytes"]), "_bootable": volume["bootable"],
                "_image_meta": dict(volume["volume_image_metadata"])}, request.project_id)
            mapping.append({
                "source_type": "snapshot", "destination_type": "volume",
                "boot_index": 0 if one["boot"] else None, "snapshot_id": snapshot["id"],
                "volume_id": None, "image_id": None, "volume_size": volume["size"],
                "device_name": one["device"], "delete_on_termination": False})
        images = self.cloud.part(Images)
        image = images.make({"name": wanted["name"], "disk_format": "raw",
                             "container_format": "bare", "visibility": "private",
                             "block_device_mapping": json.dumps(mapping), "bdm_v2": "True",
                             "root_device_name": "/dev/vda", "base_image_ref": "",
                             **(wanted.get("metadata") or {})}, request.project_id)
        images.fill(image, b"")
        return self._made(request, image)

    @route("GET", "/v2.1/servers/{id}/metadata")
    def metadata(self, request: Request, id: str) -> Answer:
        return Answer(200, {"metadata": self.server(request, id)["metadata"]})

    @route("POST", "/v2.1/servers/{id}/metadata")
    @route("PUT", "/v2.1/servers/{id}/metadata")
    def set_metadata(self, request: Request, id: str) -> Answer:
        server = self.server(request, id)
        kept = server["metadata"] if request.method == "POST" else {}
        server["metadata"] = {**kept, **request.member("metadata")}
        return Answer(200, {"metadata": server["metadata"]})

    @route("DELETE", "/v2.1/servers/{id}/metadata/{key}")
    def drop_metadata(self, request: Request, id: str, key: str) -> Answer:
        server = self.server(request, id)
        need(key in server["metadata"], 404, "Metadata item was not found")
        del server["metadata"][key]
        return Answer(204)

    @route("GET", "/v2.1/servers/{id}/tags")
    def tags(self, request: Request, id: str) -> Answer:
        return Answer(200, {"tags": self.server(request, id)["tags"]})

    @route("PUT", "/v2.1/servers/{id}/tags")
    def set_tags(self, request: Request, id: str) -> Answer:
        server = self.server(request, id)
        server["tags"] = list(request.json()["tags"])
        return Answer(200, {"tags": server["tags"]})

    def view(self, server: Record, request: Request, *, many: bool = False) -> dict[str, Any]:
        body = shown(server, ("id", "name", "status", "created", "updated", "user_id", "metadata",
                              "key_name", "config_drive", "accessIPv4", "accessIPv6"))
        body |= {
            "tenant_id": server["_project"], "hostId": server["id"].replace("-", "") * 2,
            "image": {"id": server["image"], "links": []} if server["image"] else "",
            "flavor": self._flavor(server, request), "addresses": self._addresses(server),
            "links": [{"rel": "self", "href": f"{request.root}/v2.1/servers/{server['id']}"}],
            "OS-DCF:diskConfig": server["disk_config"],
            "OS-EXT-AZ:availability_zone": server["availability_zone"],
            "OS-SRV-USG:launched_at": server["launched_at"], "OS-SRV-USG:terminated_at": None,
            "OS-EXT-STS:task_state": server["task_state"], "OS-EXT-STS:power_state":
                {"ACTIVE": 1, "SHUTOFF": 4}.get(server["status"], 0),
            "OS-EXT-STS:vm_state": {"SHUTOFF": "stopped", "BUILD": "building"}.get(
                server["status"], server["status"].lower()),
            "os-extended-volumes:volumes_attached": [
                {"id": volume["id"], **({"delete_on_termination": volume["delete_on_termination"]}
                                        if at_least(request, 3) else {})}
                for volume in server["volumes"]]}
        if server["status"] in {"ACTIVE", "BUILD"}:
            body["progress"] = 0
        if server["fault"]:
            body["fault"] = server["fault"]
        names = {one["id"]: one["name"]
                 for one in self.cloud.kinds["neutron.security_group"].values()}
        groups = [names[group] for nic in server["nics"]
                  for group in self.cloud.kinds["neutron.port"].get(
                      nic["port"], {"security_groups": ()})["security_groups"]]
        if groups:
            body["security_groups"] = [{"name": one} for one in groups]
        later = ((9, "locked", server["locked"]), (19, "description", server["description"]),
                 (26, "tags", server["tags"]), (63, "trusted_image_certificates", None),
                 (73, "locked_reason", None), (90, f"{ATTR}hostname", server["hostname"]),
                 (96, "pinned_availability_zone", server["pinned"]),
                 (100, "scheduler_hints", server["hints"]))
        body |= {name: value for minor, name, value in later if at_least(request, minor)}
        if at_least(request, 71) and not many:
            body["server_groups"] = [one["id"] for one in
                                     self.cloud.kinds["nova.server_group"].values()
                                     if server["id"] in one["members"]]
        if request.admin:
            body |= {f"{ATTR}host": "double", f"{ATTR}instance_name": "instance-1",
                     f"{ATTR}hypervisor_hostname": "double",
                     f"{ATTR}hostname": server["hostname"],
                     f"{ATTR}root_device_name": "/dev/vda", f"{ATTR}user_data":
                         server["user_data"]}
        return body

    def _flavor(self, server: Record, request: Request) -> dict[str, Any]:
        flavor = self.cloud.kinds["nova.flavor"][server["flavor"]]
        if not at_least(request, 47):
            return {"id": flavor["id"], "links": []}
        return {"original_name": flavor["name"], "vcpus": flavor["vcpus"], "ram": flavor["ram"],
                "disk": flavor["disk"], "ephemeral": 0, "swap": 0,
                "extra_specs": flavor["extra_specs"]}

    def _addresses(self, server: Record) -> dict[str, list[dict[str, Any]]]:
        out: dict[str, list[dict[str, Any]]] = {}
        for nic in server["nics"]:
            port = self.cloud.kinds["neutron.port"].get(nic["port"])
            if port is None:
                continue
            network = self.cloud.kinds["neutron.network"][port["network_id"]]
            floating = [one["floating_ip_address"] for one in
                        self.cloud.kinds["neutron.floatingip"].values()
                        if one["port_id"] == port["id"]]
            kinds = [(fixed_ip["ip_address"], "fixed") for fixed_ip in port["fixed_ips"]]
            for address, kind in kinds + [(one, "floating") for one in floating]:
                out.setdefault(network["name"], []).append({
                    "addr": address, "version": 6 if ":" in address else 4,
                    "OS-EXT-IPS:type": kind, "OS-EXT-IPS-MAC:mac_addr": port["mac_address"]})
        return out
