"""Cinder: snapshots, what a project may use, and the service's face."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from karbor_testing.openstack.cinder_backups import Backups
from karbor_testing.openstack.cinder_versions import NEWEST, at_least, microversion
from karbor_testing.openstack.cinder_volumes import Volumes
from karbor_testing.openstack.cloud import Cloud, Record, need
from karbor_testing.openstack.exchange import Answer, Refusal, Request
from karbor_testing.openstack.service import (
    Part,
    Service,
    faultname,
    page,
    route,
    shown,
    unauthorized,
)

FIELDS = ("id", "created_at", "updated_at", "name", "description", "volume_id", "status", "size",
          "metadata")


class Snapshots(Part):
    @route("POST", "/v3/snapshots")
    def create(self, request: Request) -> Answer:
        wanted = request.member("snapshot")
        volume = self.own("cinder.volume", str(wanted.get("volume_id")), request, "Volume")
        forced = at_least(request, 66) or wanted.get("force")
        need(volume["status"] in {"available", "in-use"}, 400,
             f"Invalid volume: Volume {volume['id']} status must be available or in-use, but "
             f"current status is: {volume['status']}.")
        need(volume["status"] == "available" or forced, 400,
             f"Invalid volume: Volume {volume['id']} status must be available, but current status "
             f"is: {volume['status']}.")
        mine = [one for one in self.cloud.kinds["cinder.snapshot"].values()
                if one["_project"] == request.project_id]
        if self.cloud.over_quota("cinder.snapshots", 1, len(mine)):
            raise Refusal(413, "SnapshotLimitExceeded: Maximum number of snapshots allowed "
                               f"({self.cloud.settings.quotas['cinder.snapshots']}) exceeded")
        now = self.cloud.stamp()
        snapshot = self.cloud.add("cinder.snapshot", {
            "created_at": now, "updated_at": now, "name": wanted.get("name"),
            "description": wanted.get("description"), "volume_id": volume["id"],
            "status": "creating", "size": volume["size"],
            "metadata": dict(wanted.get("metadata") or {}), "user_id": request.user_id,
            "_bytes": bytes(volume["_bytes"]), "_bootable": volume["bootable"],
            "_image_meta": dict(volume["volume_image_metadata"])}, request.project_id)
        self.cloud.change("cinder.snapshot", [snapshot],
                          lambda: snapshot.update(status="available"))
        return Answer(202, {"snapshot": self._view(snapshot, request)})

    @route("GET", "/v3/snapshots")
    @route("GET", "/v3/snapshots/detail")
    def listing(self, request: Request) -> Answer:
        metadata = ast.literal_eval(request.one("metadata", "{}"))
        found = [one for one in reversed(self.visible("cinder.snapshot", request))
                 if all(request.one(name, str(one[name])) == str(one[name])
                        for name in ("name", "status", "volume_id"))
                 and metadata.items() <= one["metadata"].items()]
        return Answer(200, page([self._view(one, request) for one in found], request, "snapshots",
                                most=self.cloud.settings.page_of("volume")))

    @route("GET", "/v3/snapshots/{id}")
    def show(self, request: Request, id: str) -> Answer:
        snapshot = self.own("cinder.snapshot", id, request, "Snapshot")
        need(self.cloud.look(snapshot), 404, f"Snapshot {id} could not be found.")
        return Answer(200, {"snapshot": self._view(snapshot, request)})

    @route("PUT", "/v3/snapshots/{id}")
    def update(self, request: Request, id: str) -> Answer:
        snapshot = self.own("cinder.snapshot", id, request, "Snapshot")
        wanted = request.member("snapshot")
        snapshot.update({name: wanted[name] for name in ("name", "description") if name in wanted})
        return Answer(200, {"snapshot": self._view(snapshot, request)})

    @route("DELETE", "/v3/snapshots/{id}")
    def delete(self, request: Request, id: str) -> Answer:
        snapshot = self.own("cinder.snapshot", id, request, "Snapshot")
        need(snapshot["status"] in {"available", "error"}, 400,
             "Invalid snapshot: Snapshot status must be available or error.")
        snapshot["status"] = "deleting"
        self.cloud.change("cinder.snapshot.delete", [snapshot],
                          lambda: self.cloud.remove("cinder.snapshot", id))
        return Answer(202)

    def _view(self, snapshot: Record, request: Request) -> dict[str, Any]:
        body = shown(snapshot, FIELDS)
        body |= {"os-extended-snapshot-attributes:project_id": snapshot["_project"],
                 "os-extended-snapshot-attributes:progress":
                     "100%" if snapshot["status"] == "available" else "0%"}
        if at_least(request, 14):
            body["group_snapshot_id"] = None
        if at_least(request, 41):
            body["user_id"] = snapshot["user_id"]
        if at_least(request, 65):
            body["consumes_quota"] = True
        return body


class Allowances(Part):
    """Types, zones, limits, quotas, services and the versions."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        cloud.on_populated.append(self.populate)

    def populate(self, projects: Mapping[str, str]) -> None:
        for name in ("lvm", "fast"):
            self.cloud.add("cinder.type", {"name": name, "is_public": True, "description": None,
                                           "extra_specs": {}, "_public": True}, projects["admin"])

    @route("GET", "/")
    @route("GET", "/v3")
    def versions(self, request: Request) -> Answer:
        version = {"id": "v3.0", "status": "CURRENT", "version": f"3.{NEWEST}",
                   "min_version": "3.0", "updated": "2016-02-08T12:20:21Z",
                   "links": [{"rel": "self", "href": f"{request.root}/v3/"}],
                   "media-types": [{"base": "application/json",
                                    "type": "application/vnd.openstack.volume+json;version=3"}]}
        return Answer(300 if request.path == "/" else 200, {"versions": [version]})

    @route("GET", "/v3/types")
    def types(self, request: Request) -> Answer:
        return Answer(200, {"volume_types": [self._type(one)
                                             for one in self.visible("cinder.type", request)]})

    @route("GET", "/v3/types/{id}")
    def type(self, _request: Request, id: str) -> Answer:
        kinds = self.cloud.kinds["cinder.type"]
        found = (kinds.get(id) if id != "default"
                 else next(kind for kind in kinds.values() if kind["name"] == "lvm"))
        need(found, 404, f"Volume type {id} could not be found.")
        assert found is not None
        return Answer(200, {"volume_type": self._type(found)})

    @route("GET", "/v3/os-availability-zone")
    def zones(self, _request: Request) -> Answer:
        return Answer(200, {"availabilityZoneInfo": [{"zoneName": "nova",
                                                      "zoneState": {"available": True}}]})

    @route("GET", "/v3/limits")
    def limits(self, request: Request) -> Answer:
        used, limit = self._used(request), self.cloud.settings.quotas.get
        return Answer(200, {"limits": {"rate": [], "absolute": {
            "maxTotalVolumes": limit("cinder.volumes", -1),
            "maxTotalVolumeGigabytes": limit("cinder.gigabytes", -1),
            "maxTotalSnapshots": limit("cinder.snapshots", -1),
            "maxTotalBackups": limit("cinder.backups", -1), "maxTotalBackupGigabytes": -1,
            "totalVolumesUsed": used["volumes"], "totalGigabytesUsed": used["gigabytes"],
            "totalSnapshotsUsed": used["snapshots"], "totalBackupsUsed": used["backups"],
            "totalBackupGigabytesUsed": used["backup_gigabytes"]}}})

    @route("GET", "/v3/os-quota-sets/{project}")
    def quotas(self, request: Request, project: str) -> Answer:
        need(project == request.project_id or request.admin, 403,
             "Policy doesn't allow volume_extension:quotas:show to be performed.")
        out: dict[str, Any] = {"id": project}
        for name, used in self._used(request).items():
            limit = self.cloud.settings.quotas.get(f"cinder.{name}", -1)
            out[name] = ({"limit": limit, "in_use": used, "reserved": 0, "allocated": 0}
                         if request.one("usage").lower() in {"true", "1"} else limit)
        return Answer(200, {"quota_set": out})

    @route("GET", "/v3/os-services")
    def services(self, request: Request) -> Answer:
        need(request.admin, 403, "Policy doesn't allow volume_extension:services:index to be "
                                 "performed.")
        names = ["cinder-scheduler", "cinder-volume"]
        names += ["cinder-backup"] if self.cloud.settings.backup_service else []
        return Answer(200, {"services": [{"binary": name, "host": "double", "zone": "nova",
                                          "status": "enabled", "state": "up",
                                          "updated_at": self.cloud.stamp()} for name in names]})

    @route("GET", "/v3/extensions")
    def extensions(self, _request: Request) -> Answer:
        return Answer(200, {"extensions": [{"alias": "backups", "name": "Backups", "links": [],
                                            "description": "Backups support.",
                                            "updated": "2012-12-12T00:00:00+00:00"}]})

    def _used(self, request: Request) -> dict[str, int]:
        kinds = {kind: [one for one in self.cloud.kinds[f"cinder.{kind}"].values()
                        if one["_project"] == request.project_id]
                 for kind in ("volume", "snapshot", "backup")}
        return {"volumes": len(kinds["volume"]), "snapshots": len(kinds["snapshot"]),
                "backups": len(kinds["backup"]),
                "gigabytes": sum(one["size"] for one in kinds["volume"]),
                "backup_gigabytes": sum(one["size"] for one in kinds["backup"])}

    def _type(self, one: Record) -> dict[str, Any]:
        return shown(one, ("id", "name", "is_public", "description", "extra_specs")) | {
            "os-volume-type-access:is_public": True, "qos_specs_id": None}


class Cinder(Service):
    name = "volume"
    types = ("block-storage", "volumev3")
    suffix = "/v3"
    open = ("/", "/v3/?")
    parts = (Allowances, Volumes, Snapshots, Backups)

    def answer(self, request: Request) -> Answer:
        request.path = re.sub(r"^/v3/[0-9a-f]{32}(?=/|$)", "/v3", request.path)
        return super().answer(request)

    def finish(self, request: Request, answer: Answer) -> Answer:
        answer.headers.setdefault("OpenStack-API-Version", f"volume 3.{microversion(request)}")
        return answer

    def refused(self, request: Request, refusal: Refusal) -> Answer:
        if refusal.status == 401:
            return unauthorized(self.cloud.root, refusal.message)
        body: dict[str, Any] = {"code": refusal.status, "message": refusal.message}
        if refusal.status == 413:
            body["retryAfter"] = "0"
        return Answer(refusal.status, {faultname(refusal): body},
                      {"Retry-After": "0"} if refusal.status == 413 else {})
