"""Cinder's volumes. The data of a volume is a short byte string; its size says GiB all the same."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from karbor_testing.openstack.cinder_versions import at_least
from karbor_testing.openstack.cloud import Record, need
from karbor_testing.openstack.exchange import Answer, Refusal, Request
from karbor_testing.openstack.service import Part, page, route, shown

FIELDS = ("id", "status", "size", "availability_zone", "created_at", "updated_at", "name",
          "description", "volume_type", "snapshot_id", "source_volid", "metadata", "user_id",
          "bootable", "encrypted", "replication_status", "consistencygroup_id", "multiattach",
          "attachments")
DELETABLE = {"available", "error", "error_restoring", "error_extending", "error_managing"}


class Volumes(Part):
    @route("POST", "/v3/volumes")
    def create(self, request: Request) -> Answer:
        return Answer(202, {"volume": self._view(self.make(request.member("volume"), request),
                                                 request)})

    def make(self, wanted: Mapping[str, Any], request: Request) -> Record:
        """A new volume, on its way to `available`. Raises Refusal."""
        source, body, bootable, image_meta = self._source(wanted, request)
        size = int(wanted.get("size") or (source or {}).get("size") or 0)
        need(size > 0, 400, "Invalid input received: Volume size must be a positive integer")
        need(not source or "size" not in source or size >= source["size"] or source.get("_image"),
             400, f"Invalid input received: Volume size '{size}'GB cannot be smaller than its "
                  "source's size. They must be >= the original size.")
        zone, kind = wanted.get("availability_zone"), wanted.get("volume_type")
        need(zone in {None, "nova"}, 400, f"Availability zone '{zone}' is invalid.")
        kinds = {name: one["name"] for one in self.cloud.kinds["cinder.type"].values()
                 for name in (one["id"], one["name"])}
        need(kind is None or kind in kinds, 404, f"Volume type {kind} could not be found.")
        self._quota(request, size)
        now = self.cloud.stamp()
        volume = self.cloud.add("cinder.volume", {
            "status": "creating", "size": size, "availability_zone": "nova", "created_at": now,
            "updated_at": None, "name": wanted.get("name"),
            "description": wanted.get("description"),
            "volume_type": kinds[kind] if kind else "lvm",
            "snapshot_id": wanted.get("snapshot_id"), "source_volid": wanted.get("source_volid"),
            "metadata": {str(key): str(value)
                         for key, value in (wanted.get("metadata") or {}).items()},
            "user_id": request.user_id, "bootable": bootable, "encrypted": False,
            "replication_status": None, "consistencygroup_id": None,
            "multiattach": bool(wanted.get("multiattach")), "attachments": [],
            "volume_image_metadata": image_meta, "_bytes": b""}, request.project_id)

        def done() -> None:
            volume.update(status="available", updated_at=self.cloud.stamp(), _bytes=body)

        self.cloud.change("cinder.volume", [volume], done)
        return volume

    def _source(self, wanted: Mapping[str, Any], request: Request
                ) -> tuple[Record | None, bytes, str, dict[str, Any]]:
        """What the volume is made from: the record, its bytes, bootable, image metadata."""
        if id := wanted.get("snapshot_id"):
            snapshot = self.own("cinder.snapshot", id, request, "Snapshot")
            need(snapshot["status"] == "available", 400,
                 f"Invalid snapshot: Originating snapshot status must be one of 'available' values"
                 f" (it is {snapshot['status']}).")
            return (snapshot, snapshot["_bytes"], snapshot["_bootable"],
                    dict(snapshot["_image_meta"]))
        if id := wanted.get("source_volid"):
            volume = self.own("cinder.volume", id, request, "Volume")
            return (volume, volume["_bytes"], volume["bootable"],
                    dict(volume["volume_image_metadata"]))
        if id := wanted.get("imageRef"):
            image = self.own("glance.image", id, request, "Image")
            need(image["status"] == "active", 400,
                 f"Invalid image identifier or unable to access requested image: {id}")
            meta = {"image_id": id, "image_name": image["name"], "checksum": image["checksum"],
                    "container_format": image["container_format"], "size": str(image["size"]),
                    "disk_format": image["disk_format"], "min_disk": str(image["min_disk"]),
                    "min_ram": str(image["min_ram"])}
            return ({**image, "size": image["min_disk"], "_image": True}, image["_bytes"], "true",
                    meta)
        return None, b"", "false", {}

    def _quota(self, request: Request, size: int) -> None:
        mine = [one for one in self.cloud.kinds["cinder.volume"].values()
                if one["_project"] == request.project_id]
        limits = self.cloud.settings.quotas
        if self.cloud.over_quota("cinder.volumes", 1, len(mine)):
            raise Refusal(413, "VolumeLimitExceeded: Maximum number of volumes allowed "
                               f"({limits['cinder.volumes']}) exceeded for quota 'volumes'.")
        used = sum(one["size"] for one in mine)
        if self.cloud.over_quota("cinder.gigabytes", size, used):
            raise Refusal(413, "VolumeSizeExceedsAvailableQuota: Requested volume or snapshot "
                               f"exceeds allowed gigabytes quota. Requested {size}G, quota is "
                               f"{limits['cinder.gigabytes']}G and {used}G has been consumed.")

    @route("GET", "/v3/volumes")
    @route("GET", "/v3/volumes/detail")
    def listing(self, request: Request) -> Answer:
        metadata = ast.literal_eval(request.one("metadata", "{}"))
        found = [one for one in reversed(self.visible("cinder.volume", request))
                 if request.one("name", str(one["name"])) == str(one["name"])
                 and request.one("status", one["status"]) == one["status"]
                 and metadata.items() <= one["metadata"].items()]
        body = page([self._view(one, request) for one in found], request, "volumes",
                    most=self.cloud.settings.page_of("volume"))
        if not request.path.rstrip("/").endswith("detail"):
            body["volumes"] = [shown(volume, ("id", "name", "links")) for volume in body["volumes"]]
        return Answer(200, body)

    @route("GET", "/v3/volumes/summary")
    def summary(self, request: Request) -> Answer:
        found = self.visible("cinder.volume", request)
        metadata: dict[str, list[str]] = {}
        for one in found:
            for key, value in one["metadata"].items():
                metadata[key] = sorted({*metadata.get(key, ()), value})
        return Answer(200, {"volume-summary": {
            "total_count": len(found), "total_size": sum(one["size"] for one in found),
            "metadata": metadata}})

    @route("GET", "/v3/volumes/{id}")
    def show(self, request: Request, id: str) -> Answer:
        volume = self.own("cinder.volume", id, request, "Volume")
        need(self.cloud.look(volume), 404, f"Volume {id} could not be found.")
        return Answer(200, {"volume": self._view(volume, request)})

    @route("PUT", "/v3/volumes/{id}")
    def update(self, request: Request, id: str) -> Answer:
        volume = self.own("cinder.volume", id, request, "Volume")
        wanted = request.member("volume")
        volume.update({name: wanted[name] for name in ("name", "description", "metadata")
                       if name in wanted})
        return Answer(200, {"volume": self._view(volume, request)})

    @route("DELETE", "/v3/volumes/{id}")
    def delete(self, request: Request, id: str) -> Answer:
        volume = self.own("cinder.volume", id, request, "Volume")
        snapshots = [one for one in self.cloud.kinds["cinder.snapshot"].values()
                     if one["volume_id"] == id]
        cascade = request.one("cascade").lower() == "true"
        need(volume["status"] in DELETABLE and not volume["attachments"]
             and (cascade or not snapshots), 400,
             "Invalid volume: Volume status must be available or error or error_restoring or "
             "error_extending or error_managing and must not be migrating, attached, belong to a "
             "group, have snapshots, awaiting a transfer, or be disassociated from snapshots after "
             "volume transfer.")
        volume["status"] = "deleting"

        def done() -> None:
            for snapshot in snapshots:
                self.cloud.remove("cinder.snapshot", snapshot["id"])
            self.cloud.remove("cinder.volume", id)

        def failed(status: str, _reason: str) -> None:
            volume["status"] = "error_deleting" if status == "error" else status

        self.cloud.change("cinder.volume.delete", [volume], done, failed)
        return Answer(202)

    @route("POST", "/v3/volumes/{id}/action")
    def action(self, request: Request, id: str) -> Answer:
        volume = self.own("cinder.volume", id, request, "Volume")
        wanted: Any
        name, wanted = next(iter(request.json().items()), ("", None))
        if name == "os-set_bootable":
            volume["bootable"] = str(bool(wanted["bootable"])).lower()
            return Answer(200)
        if name == "os-extend":
            need(volume["status"] == "available" and wanted["new_size"] > volume["size"], 400,
                 "Invalid input received: New size for extend must be greater than current size.")
            volume["size"] = wanted["new_size"]
            return Answer(202)
        if name == "os-set_image_metadata":
            volume["volume_image_metadata"].update(wanted["metadata"])
            return Answer(200, {"metadata": volume["volume_image_metadata"]})
        if name == "os-reset_status":
            need(request.admin, 403, "Policy doesn't allow volume_extension:volume_admin_actions:"
                                     "reset_status to be performed.")
            volume["status"] = wanted["status"]
            return Answer(202)
        if name == "os-update_readonly_flag":
            volume["_flags"] = {"readonly": str(wanted["readonly"])}
            return Answer(202)
        raise Refusal(400, f"There is no such action: {name}")

    @route("GET", "/v3/volumes/{id}/metadata")
    def metadata(self, request: Request, id: str) -> Answer:
        volume = self.own("cinder.volume", id, request, "Volume")
        return Answer(200, {"metadata": volume["metadata"]})

    @route("POST", "/v3/volumes/{id}/metadata")
    @route("PUT", "/v3/volumes/{id}/metadata")
    def set_metadata(self, request: Request, id: str) -> Answer:
        volume = self.own("cinder.volume", id, request, "Volume")
        kept = {} if request.method == "PUT" else volume["metadata"]
        volume["metadata"] = {**kept, **request.member("metadata")}
        return Answer(200, {"metadata": volume["metadata"]})

    @route("DELETE", "/v3/volumes/{id}/metadata/{key}")
    def drop_metadata(self, request: Request, id: str, key: str) -> Answer:
        volume = self.own("cinder.volume", id, request, "Volume")
        need(key in volume["metadata"], 404,
             f"Volume {id} has no metadata with key {key}.")
        del volume["metadata"][key]
        return Answer(200)

    def attach(self, volume: Record, server: str, device: str) -> None:
        """As Nova does it through Cinder's attachments. The bytes stay the volume's."""
        volume["status"] = "in-use"
        volume["attachments"] = [*volume["attachments"], {
            "id": volume["id"], "attachment_id": self.cloud.new_id(), "volume_id": volume["id"],
            "server_id": server, "host_name": None, "device": device,
            "attached_at": self.cloud.stamp()}]

    def detach(self, volume: Record, server: str) -> None:
        volume["attachments"] = [attachment for attachment in volume["attachments"]
                                 if attachment["server_id"] != server]
        volume["status"] = "in-use" if volume["attachments"] else "available"

    def _view(self, volume: Record, request: Request) -> dict[str, Any]:
        body = shown(volume, FIELDS)
        body["links"] = [{"rel": "self", "href": f"{request.root}/v3/{request.project_id}/volumes/"
                                                 f"{volume['id']}"}]
        # Cinder shows flags of its own over the user's metadata, here and not in /metadata
        body["metadata"] = {**volume["metadata"], **volume.get("_flags", {})}
        body["os-vol-tenant-attr:tenant_id"] = volume["_project"]
        if volume["volume_image_metadata"]:
            body["volume_image_metadata"] = volume["volume_image_metadata"]
        if request.admin:
            body |= {"migration_status": None, "os-vol-host-attr:host": "double@lvm#lvm",
                     "os-vol-mig-status-attr:migstat": None,
                     "os-vol-mig-status-attr:name_id": None}
        if at_least(request, 13):
            body["group_id"] = None
        if at_least(request, 48):
            body |= {"service_uuid": None, "shared_targets": False}
        if at_least(request, 61):
            body["cluster_name"] = None
        if at_least(request, 63):
            body["volume_type_id"] = next(
                (one["id"] for one in self.cloud.kinds["cinder.type"].values()
                 if one["name"] == volume["volume_type"]), None)
        if at_least(request, 65):
            body["consumes_quota"] = True
        return body
