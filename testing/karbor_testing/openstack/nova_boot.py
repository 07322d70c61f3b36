"""Nova builds a server: ports, volumes, the local disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from karbor_testing.openstack.cinder_volumes import Volumes
from karbor_testing.openstack.cloud import Record, need
from karbor_testing.openstack.exchange import Answer, Refusal, Request
from karbor_testing.openstack.neutron_networks import Ports
from karbor_testing.openstack.neutron_security import SecurityGroups
from karbor_testing.openstack.nova_versions import at_least
from karbor_testing.openstack.service import Part, route


class Building(Part):
    @route("POST", "/v2.1/servers")
    def create(self, request: Request) -> Answer:
        wanted = request.member("server")
        for name in ("name", "flavorRef"):
            need(name in wanted, 400, "Invalid input for field/attribute server. Value: "
                                      f"{wanted}. '{name}' is a required property")
        need("networks" in wanted or not at_least(request, 37), 400,
             "Invalid input for field/attribute server. 'networks' is a required property")
        need("hostname" not in wanted or at_least(request, 90), 400,
             "Invalid input for field/attribute server. Additional properties are not allowed "
             "('hostname' was unexpected)")
        flavor = self._flavor(str(wanted["flavorRef"]))
        self._quota(request, flavor)
        key = wanted.get("key_name")
        need(not key or f"{request.user_id}/{key}" in self.cloud.kinds["nova.keypair"], 400,
             "Invalid key_name provided.")
        zone = wanted.get("availability_zone")
        need(zone in {None, "", "nova"}, 400, "The requested availability zone is not available")
        hints = request.json().get("os:scheduler_hints") or wanted.get("os:scheduler_hints") or {}
        group = hints.get("group")
        need(not group or group in self.cloud.kinds["nova.server_group"], 400,
             f"Instance group {group} could not be found.")
        devices = self._devices(request, wanted)
        ports = self._ports(request, wanted)
        server = self.cloud.add("nova.server", {
            "name": wanted["name"], "status": "BUILD", "task_state": "scheduling",
            "created": self.cloud.stamp(form="%Y-%m-%dT%H:%M:%SZ"),
            "updated": self.cloud.stamp(form="%Y-%m-%dT%H:%M:%SZ"), "user_id": request.user_id,
            "description": wanted.get("description"), "flavor": flavor["id"],
            "image": wanted.get("imageRef") or "", "metadata": dict(wanted.get("metadata") or {}),
            "tags": list(wanted.get("tags") or ()), "key_name": key, "fault": None,
            "availability_zone": "nova", "pinned": zone or None,
            "config_drive": "True" if wanted.get("config_drive") else "",
            "disk_config": wanted.get("OS-DCF:diskConfig", "MANUAL"), "hints": dict(hints),
            "accessIPv4": wanted.get("accessIPv4") or "",
            "accessIPv6": wanted.get("accessIPv6") or "", "locked": False,
            "user_data": wanted.get("user_data"), "launched_at": None,
            "hostname": wanted.get("hostname") or wanted["name"].lower().replace("_", "-"),
            "volumes": [], "nics": [], "_bytes": b""}, request.project_id)
        if group:
            self.cloud.kinds["nova.server_group"][group]["members"].append(server["id"])
        self._build(request, server, devices, ports)
        return Answer(202, {"server": {
            "id": server["id"], "OS-DCF:diskConfig": server["disk_config"],
            "links": [{"rel": "self", "href": f"{request.root}/v2.1/servers/{server['id']}"}],
            "security_groups": wanted.get("security_groups") or [{"name": "default"}],
            "adminPass": self.cloud.new_hex()[:12]}})

    def _flavor(self, id: str) -> Record:
        found = self.cloud.kinds["nova.flavor"].get(id.rpartition("/")[2])
        if found is None:
            raise Refusal(400, "Invalid flavorRef provided.")
        return found

    def _quota(self, request: Request, flavor: Record) -> None:
        mine = [one for one in self.cloud.kinds["nova.server"].values()
                if one["_project"] == request.project_id]
        flavors = self.cloud.kinds["nova.flavor"]
        for name, wanted, used in (
                ("instances", 1, len(mine)),
                ("cores", flavor["vcpus"], sum(flavors[one["flavor"]]["vcpus"] for one in mine)),
                ("ram", flavor["ram"], sum(flavors[one["flavor"]]["ram"] for one in mine))):
            limit = self.cloud.settings.quotas.get(f"nova.{name}", -1)
            need(not self.cloud.over_quota(f"nova.{name}", wanted, used), 403,
                 f"Quota exceeded for {name}: Requested {wanted}, but already used {used} of "
                 f"{limit} {name}")

    def _devices(self, request: Request, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        """The block devices, each with its source looked up. Raises Refusal(400)."""
        given = [dict(one) for one in wanted.get("block_device_mapping_v2") or ()]
        image = wanted.get("imageRef")
        mapped = self._mapped(request, str(image)) if image else []
        given = [*mapped, *given]
        if image and not mapped and not any(
                one.get("source_type") == "image" for one in given):
            given.insert(0, {"source_type": "image", "destination_type": "local",
                             "uuid": image, "boot_index": 0, "delete_on_termination": True})
        boot = [one for one in given if str(one.get("boot_index")) == "0"]
        need(len(boot) == 1, 400, "Block Device Mapping is Invalid: Boot sequence for the instance "
                                  "and image/block device mapping combination is not valid.")
        need(not image or mapped or (boot[0]["source_type"] == "image"
                                     and boot[0]["uuid"] == image), 400,
             "Block Device Mapping is Invalid: Boot sequence for the instance and image/block "
             "device mapping combination is not valid.")
        for one in given:
            one["_source"] = self._source(request, one)
        return given

    def _mapped(self, request: Request, id: str) -> list[dict[str, Any]]:
        """What an image that was made of a server booted from a volume says it boots from."""
        image = self.own("glance.image", id, request, "Image")
        told = json.loads(image["properties"].get("block_device_mapping") or "[]")
        return [{**one, "uuid": one["snapshot_id"]} for one in told if one.get("snapshot_id")]

    def _source(self, request: Request, device: dict[str, Any]) -> Record | None:
        source, id = device.get("source_type"), str(device.get("uuid"))
        if source == "image":
            found = self.own("glance.image", id, request, "Image")
            need(found["status"] == "active", 400, f"Image {id} is not active.")
            return found
        if source == "volume":
            try:
                volume = self.own("cinder.volume", id, request, "Volume")
            except Refusal as refusal:
                raise Refusal(400, "Block Device Mapping is Invalid: failed to get volume "
                                   f"{id}.") from refusal
            need(volume["status"] == "available" or volume["multiattach"], 400,
                 f"Invalid volume: volume '{id}' status must be 'available'. Currently in "
                 f"'{volume['status']}'")
            return volume
        if source == "snapshot":
            return self.own("cinder.snapshot", id, request, "Snapshot")
        need(source == "blank", 400, f"Invalid source_type {source}")
        return None

    def _ports(self, request: Request, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        """What each interface is to be. Raises Refusal(400) for a port that is in use."""
        networks = wanted.get("networks", "auto")
        if networks == "none":
            return []
        groups = [security_group["name"] for security_group in wanted.get("security_groups") or ()]
        if networks == "auto":
            mine = [one for one in self.cloud.kinds["neutron.network"].values()
                    if one["_project"] == request.project_id]
            need(len(mine) < 2, 409, "Multiple possible networks found, use a Network ID to be "
                                     "more specific.")
            networks = [{"uuid": one["id"]} for one in mine]
        found = []
        for one in networks:
            if one.get("port"):
                port = self.cloud.kinds["neutron.port"].get(one["port"])
                need(port and port["_project"] == request.project_id, 400,
                     f"Port id {one['port']} could not be found.")
                assert port is not None
                need(not port["device_id"], 409, f"Port {one['port']} is still in use.")
            else:
                network = self.cloud.kinds["neutron.network"].get(str(one.get("uuid")))
                need(network, 400, f"Network {one.get('uuid')} could not be found.")
            found.append({**one, "_groups": groups})
        return found

    def _build(self, request: Request, server: Record, devices: list[dict[str, Any]],
               ports: list[dict[str, Any]]) -> None:
        for device in devices:
            if device["source_type"] == "volume":
                device["_source"]["status"] = "reserved"

        def done() -> None:
            try:
                for port in ports:
                    self.plug(request, server, port)
                self._disks(request, server, devices)
            except Refusal as refusal:
                failed("ERROR", refusal.message)
                return
            server.update(status="ACTIVE", task_state=None,
                          launched_at=self.cloud.stamp(form="%Y-%m-%dT%H:%M:%S.000000"))

        def failed(status: str, reason: str) -> None:
            for device in devices:
                if device["source_type"] == "volume" and device["_source"]["status"] == "reserved":
                    device["_source"]["status"] = "available"
            server.update(status=status.upper(), task_state=None, fault={
                "code": 500, "created": self.cloud.stamp(form="%Y-%m-%dT%H:%M:%SZ"),
                "message": reason or "No valid host was found."})

        self.cloud.change("nova.server", [server], done, failed)

    def _disks(self, request: Request, server: Record, devices: list[dict[str, Any]]) -> None:
        names = iter(f"/dev/vd{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")
        ordered = sorted(devices, key=lambda one: str(one.get("boot_index")) != "0")
        for one in ordered:
            name = next(names)
            source = one["_source"]
            if one.get("destination_type", "volume") == "local":
                server["_bytes"] = bytes(source["_bytes"]) if source else b""
                continue
            if one["source_type"] == "volume":
                volume = source
            else:
                origin = {"image": "imageRef", "snapshot": "snapshot_id"}.get(one["source_type"])
                volume = self.cloud.part(Volumes).make(
                    {"size": one.get("volume_size") or 1, "name": "",
                     **({origin: one["uuid"]} if origin else {})}, request)
                volume["_change"].finish()
            self.attach(server, volume, one.get("device_name") or name, one,
                        boot=str(one.get("boot_index")) == "0")

    def attach(self, server: Record, volume: Record, device: str, wanted: Mapping[str, Any], *,
               boot: bool = False) -> None:
        self.cloud.part(Volumes).attach(volume, server["id"], device)
        server["volumes"].append({"id": volume["id"], "device": device, "boot": boot,
                                  "tag": wanted.get("tag"), "delete_on_termination": bool(
                                      wanted.get("delete_on_termination"))})

    def plug(self, request: Request, server: Record, wanted: dict[str, Any]) -> Record:
        """Give the server an interface: a given port, or one of its own."""
        ports = self.cloud.part(Ports)
        if wanted.get("port"):
            port, made = self.cloud.kinds["neutron.port"][wanted["port"]], False
        else:
            groups = [one["id"] for one in self.cloud.part(SecurityGroups).all()
                      if one["_project"] == server["_project"]
                      and {one["name"], one["id"]} & set(wanted.get("_groups", ()))]
            fixed = ([{"ip_address": wanted["fixed_ip"]}] if wanted.get("fixed_ip") else None)
            port, made = ports.add(request, {
                "network_id": wanted["uuid"], "fixed_ips": fixed,
                **({"security_groups": groups} if groups else {})}), True
        port.update(device_id=server["id"], device_owner="compute:nova", status="ACTIVE")
        server["nics"].append({"port": port["id"], "made": made, "tag": wanted.get("tag")})
        return port
