"""Cinder's backups: made by cinder-backup, their objects in the project's Swift account."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable
from typing import Any

from karbor_testing.openstack.cinder_versions import at_least
from karbor_testing.openstack.cinder_volumes import Volumes
from karbor_testing.openstack.cloud import Record, need
from karbor_testing.openstack.exchange import Answer, Refusal, Request
from karbor_testing.openstack.service import Part, page, route, shown
from karbor_testing.openstack.swift import Objects

BLOCK = 1 << 22     # bytes that one SHA-256 is for
GIB = 1 << 30
FIELDS = ("id", "status", "size", "object_count", "availability_zone", "container", "created_at",
          "updated_at", "name", "description", "fail_reason", "volume_id", "is_incremental",
          "snapshot_id", "data_timestamp")


class Backups(Part):
    @route("POST", "/v3/backups")
    def create(self, request: Request) -> Answer:
        wanted = request.member("backup")
        need(wanted.get("volume_id"), 400, "'volume_id' is a required property")
        volume = self.own("cinder.volume", wanted["volume_id"], request, "Volume")
        snapshot = None
        if wanted.get("snapshot_id"):
            snapshot = self.own("cinder.snapshot", wanted["snapshot_id"], request, "Snapshot")
            need(snapshot["volume_id"] == volume["id"], 400, "Invalid volume: Volume does not "
                 "match with the volume of the snapshot.")
            need(snapshot["status"] == "available", 400,
                 "Invalid snapshot: Snapshot to be backed up must be available, but the current "
                 f'status is "{snapshot["status"]}".')
        else:
            need(volume["status"] in {"available", "in-use"}, 400,
                 "Invalid volume: Volume to be backed up must be available or in-use, but the "
                 f'current status is "{volume["status"]}".')
            need(volume["status"] == "available" or wanted.get("force"), 400,
                 "Invalid volume: Backing up an in-use volume must use the force flag.")
        mine = [one for one in self.cloud.kinds["cinder.backup"].values()
                if one["_project"] == request.project_id]
        if self.cloud.over_quota("cinder.backups", 1, len(mine)):
            raise Refusal(413, "BackupLimitExceeded: Maximum number of backups allowed "
                               f"({self.cloud.settings.quotas['cinder.backups']}) exceeded")
        parent = self._parent(volume, snapshot) if wanted.get("incremental") else None
        now = self.cloud.stamp()
        backup = self.cloud.add("cinder.backup", {
            "status": "creating", "size": volume["size"], "object_count": 0,
            "availability_zone": wanted.get("availability_zone"),
            "container": wanted.get("container"), "created_at": now, "updated_at": now,
            "name": wanted.get("name"), "description": wanted.get("description"),
            "fail_reason": None, "volume_id": volume["id"],
            "snapshot_id": snapshot["id"] if snapshot else None,
            "is_incremental": parent is not None, "parent_id": parent["id"] if parent else None,
            "data_timestamp": snapshot["created_at"] if snapshot else now,
            "metadata": dict(wanted.get("metadata") or {}), "user_id": request.user_id,
            "_prefix": "", "_bytes": b"", "_token": request.token["id"]}, request.project_id)
        self._begin(backup, volume, snapshot, parent)
        return Answer(202, {"backup": {"id": backup["id"], "name": backup["name"],
                                       "links": self._links(request, backup)}})

    def _parent(self, volume: Record, snapshot: Record | None) -> Record:
        """The newest good backup of the volume, older than the snapshot."""
        def age(one: Record) -> str:
            fits = one["status"] == "available" and (
                snapshot is None or one["data_timestamp"] < snapshot["created_at"])
            return str(one["data_timestamp"]) if fits else ""

        found = [one for one in self.cloud.kinds["cinder.backup"].values()
                 if one["volume_id"] == volume["id"]]
        latest = max(found, key=age, default=None)
        if latest is None or latest["status"] != "available":
            raise Refusal(400, "Invalid backup: No backups available to do an incremental backup.")
        return latest

    def _begin(self, backup: Record, volume: Record, snapshot: Record | None,
               parent: Record | None) -> None:
        busy, before = (snapshot, "available") if snapshot else (volume, volume["status"])
        source = (snapshot or volume)["_bytes"]

        began = self.cloud.now()

        def done() -> None:
            # It writes with the token of the request, as far as a service token helps.
            ends = min(self.cloud.now(), began + self.cloud.settings.seconds)
            if self.cloud.settings.backups_need_tokens and not self.cloud.usable(
                    backup["_token"], ends):
                failed("error", "Object PUT failed: 401 Unauthorized")
                return
            busy["status"] = before
            self._store(backup, bytes(source), parent)
            backup.update(status="available", availability_zone="nova",
                          updated_at=self.cloud.stamp())

        def failed(status: str, reason: str) -> None:
            busy["status"] = before
            backup.update(status=status, fail_reason=reason)

        busy["status"] = "backing-up"
        change = self.cloud.change("cinder.backup", [backup, busy], done, failed)
        if not self.cloud.settings.backup_service:
            change.outcome = {"status": "error",
                              "reason": "Service not found for creating backup."}

    def _store(self, backup: Record, source: bytes, parent: Record | None) -> None:
        """What the chunked driver writes: pieces, their SHA-256 list, and the metadata last.

        A piece is one GiB, and the zeros after a volume's few bytes are described, not stored.
        """
        swift, project = self.cloud.part(Objects), str(backup["_project"])
        backup["container"] = container = backup["container"] or "volumebackups"
        backup["_prefix"] = prefix = (f"volume_{backup['volume_id']}/"
                                      f"{self.cloud.stamp(form='%Y%m%d%H%M%S')}/"
                                      f"az_nova_backup_{backup['id']}")
        backup["_bytes"] = source
        sums = [hashlib.sha256(source).hexdigest()]
        sums += [hashlib.sha256().hexdigest()] * (backup["size"] * GIB // BLOCK - 1)
        listed: list[dict[str, Any]] = []
        for number in range(backup["size"]):
            piece = source if number == 0 else b""
            if parent and (number > 0 or parent["_bytes"] == source):
                continue
            name = f"{prefix}-{len(listed) + 1:05d}"
            swift.put(project, container, name, zlib.compress(piece))
            listed.append({name: {"offset": number * GIB, "length": GIB, "compression": "zlib",
                                  "md5": hashlib.md5(piece, usedforsecurity=False).hexdigest()}})
        head = {"version": "1.0.0", "backup_id": backup["id"], "volume_id": backup["volume_id"],
                "backup_name": backup["name"], "backup_description": backup["description"],
                "created_at": backup["created_at"]}
        for tail, more in (("_sha256file", {"chunk_size": BLOCK, "sha256s": sums}),
                           ("_metadata", {"objects": listed, "parent_id": backup["parent_id"],
                                          "volume_meta": {}})):
            body = json.dumps({**head, **more}, sort_keys=True, indent=2)
            swift.put(project, container, prefix + tail, body.encode())
        backup["object_count"] = len(listed)

    @route("GET", "/v3/backups")
    @route("GET", "/v3/backups/detail")
    def listing(self, request: Request) -> Answer:
        found = [one for one in reversed(self.visible("cinder.backup", request))
                 if all(request.one(name, str(one[name])) == str(one[name])
                        for name in ("name", "status", "volume_id"))]
        shown_ones = [self._view(request, one) for one in found]
        body = page(shown_ones, request, "backups", most=self.cloud.settings.page_of("volume"))
        if not request.path.rstrip("/").endswith("detail"):
            body["backups"] = [shown(backup, ("id", "name", "links")) for backup in body["backups"]]
        return Answer(200, body)

    @route("GET", "/v3/backups/{id}")
    def show(self, request: Request, id: str) -> Answer:
        backup = self.own("cinder.backup", id, request, "Backup")
        need(self.cloud.look(backup), 404, f"Backup {id} could not be found.")
        return Answer(200, {"backup": self._view(request, backup)})

    @route("PUT", "/v3/backups/{id}")
    def update(self, request: Request, id: str) -> Answer:
        backup = self.own("cinder.backup", id, request, "Backup")
        wanted = request.member("backup")
        backup.update({name: wanted[name] for name in ("name", "description", "metadata")
                       if name in wanted})
        return Answer(200, {"backup": {"id": id, "name": backup["name"],
                                       "links": self._links(request, backup)}})

    @route("DELETE", "/v3/backups/{id}")
    def delete(self, request: Request, id: str) -> Answer:
        backup = self.own("cinder.backup", id, request, "Backup")
        need(backup["status"] in {"available", "error"}, 400,
             "Invalid backup: Backup status must be available or error")
        need(not self._children(backup), 400,
             "Invalid backup: Incremental backups exist for this backup.")
        # Cinder's ServiceNotFound is a kind of NotFound, and the backup stays as it is.
        need(self.cloud.settings.backup_service, 404, "Service cinder-backup could not be found.")

        def done() -> None:
            for one in list(self.cloud.kinds["swift.object"].values()):
                if backup["_prefix"] and one["name"].startswith(backup["_prefix"]):
                    self.cloud.remove("swift.object", one["id"])
            self.cloud.remove("cinder.backup", id)

        backup["status"] = "deleting"
        self.cloud.change("cinder.backup.delete", [backup], done)
        return Answer(202)

    @route("POST", "/v3/backups/{id}/restore")
    def restore(self, request: Request, id: str) -> Answer:
        backup = self.own("cinder.backup", id, request, "Backup")
        wanted = request.member("restore")
        need(backup["status"] == "available", 400,
             "Invalid backup: Backup status must be available")
        if wanted.get("volume_id"):
            volume = self.own("cinder.volume", wanted["volume_id"], request, "Volume")
            need(volume["status"] == "available", 400,
                 "Invalid volume: Volume to be restored to must be available")
            need(volume["size"] >= backup["size"], 400,
                 f"Invalid volume: volume size {volume['size']} is too small to restore backup of "
                 f"size {backup['size']}.")
        else:
            volume = self.cloud.part(Volumes).make(
                {"size": backup["size"],
                 "name": wanted.get("name") or f"restore_backup_{id}",
                 "description": "auto-created_from_restore_from_backup"}, request)
        self._restore_into(backup, volume)
        return Answer(202, {"restore": {"backup_id": id, "volume_id": volume["id"],
                                        "volume_name": volume["name"]}})

    def _restore_into(self, backup: Record, volume: Record) -> None:
        def done() -> None:
            volume["_bytes"] = backup["_bytes"]
            volume["status"] = backup["status"] = "available"

        def failed(status: str, reason: str) -> None:
            volume["status"] = "error_restoring" if status == "error" else status
            backup.update(status="available", fail_reason=reason)

        volume["status"], backup["status"] = "restoring-backup", "restoring"
        finish: Callable[[], None] = done
        change = self.cloud.change("cinder.restore", [volume, backup], finish, failed)
        if lost := self._lost(backup):
            change.outcome = {"status": "error", "reason": f"Backup {lost} could not be found."}

    def _lost(self, backup: Record) -> str:
        """The first of those that it is built upon that is not there any more."""
        while parent := backup["parent_id"]:
            below = self.cloud.kinds["cinder.backup"].get(parent)
            if below is None or below["_project"] != backup["_project"]:
                return str(parent)
            backup = below
        return ""

    def _children(self, backup: Record) -> list[Record]:
        return [one for one in self.cloud.kinds["cinder.backup"].values()
                if one["parent_id"] == backup["id"]]

    def _view(self, request: Request, backup: Record) -> dict[str, Any]:
        body = shown(backup, FIELDS) | {"has_dependent_backups": bool(self._children(backup)),
                                        "links": self._links(request, backup)}
        if at_least(request, 18) and request.admin:
            body["os-backup-project-attr:project_id"] = backup["_project"]
        if at_least(request, 43):
            body["metadata"] = dict(backup["metadata"])
        if at_least(request, 56):
            body["user_id"] = backup["user_id"]
        if at_least(request, 64):
            body["encryption_key_id"] = None
        return body

    def _links(self, request: Request, backup: Record) -> list[dict[str, str]]:
        return [{"rel": "self", "href": f"{request.root}/v3/{request.project_id}/backups/"
                                        f"{backup['id']}"}]
