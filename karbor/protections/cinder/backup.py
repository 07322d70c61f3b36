"""Protect a volume: wait until it is at rest, take a snapshot, back the snapshot up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from karbor.domain.errors import (
    CloudConflict,
    CloudNotFound,
    CloudUnavailable,
    RemoteFailed,
    RequestRefused,
)
from karbor.domain.step import Again, Done, Failed, Outcome, Wait
from karbor.plugin.cloud import Cloud
from karbor.plugin.protection import Stage, Task, Work
from karbor.protections.cached_lists import CachedLists
from karbor.protections.cinder.backup_deletion import delete_backup
from karbor.protections.cinder_input import FLAGS, own_metadata, refused

MARK = "karbor_mark"
GIB = 1 << 30
AT_REST = frozenset({"available", "in-use"})
HOPELESS = ("service not found", "quota", "no space", "limit exceeded", "entity too large",
            "insufficient", "unauthorized", "forbidden")
"""Words by which Cinder says that the next backup would fail as this one did. What the ended
credential of the work was to blame for is made anew on the next one (see operations.remaking)."""
STUCK = frozenset({"maintenance", "awaiting-transfer", "deleting", "unmanaging"})


def broken(status: str) -> bool:
    """Return whether a volume in this state will not come to rest by itself."""
    return "error" in status or status in STUCK


def volume_of(cloud: Cloud, id: str) -> dict[str, Any]:
    """Return the volume as Cinder shows it now. Raises CloudNotFound."""
    found: dict[str, Any] = cloud.api("cinder").get(f"/volumes/{id}")["volume"]
    return found


class Settled(Task):
    """Waits until nobody is working on the volume, and keeps what a restore must know of it.

    A snapshot is possible only of a volume that is available or in use; attaching, detaching,
    extending, another backup and the like pass by themselves.
    """

    name = "settled"

    def run(self, work: Work) -> Outcome:
        try:
            volume = self._volume(work)
        except CloudNotFound as error:
            return Failed(error)
        status = str(volume["status"]).lower()
        if status in AT_REST:
            own = own_metadata(work.cloud, volume)
            told = not_kept(volume, own)
            return Done({"volume": facts(volume, own), **({"not_kept": told} if told else {})})
        if broken(status):
            return Failed(RemoteFailed(
                f"the volume is {status}", service="cinder", resource=work.resource.key,
                remedy="repair or delete it, or leave it out"))
        return Again(work.cloud.interval("cinder.volume"), {"waited": True}, wait=Wait(
            f"the volume to come to rest; it is {status}", "at_rest"))

    @staticmethod
    def _volume(work: Work) -> Mapping[str, Any]:
        """Return the volume, at first from a list that all volumes of the operation share: nearly
        all are at rest. One that begins to be worked on after that list makes its snapshot wait."""
        id = work.resource.id
        if not work.handle.get("waited"):
            volume = CachedLists(work.cloud).volumes().get(id)
            return volume or volume_of(work.cloud, id)
        seen = work.cloud.look("cinder.volume", id)
        return seen or volume_of(work.cloud, id)


def facts(volume: Mapping[str, Any], own: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return what is kept of a volume, to make one like it. Sizes are in GiB. `own` is the
    user's metadata where that is known: Cinder shows flags of its own among it."""
    shown = volume.get("metadata") or {}
    if own is None:
        own = {key: value for key, value in shown.items() if key not in FLAGS}
    metadata = {key: value for key, value in own.items() if key != MARK}
    return {
        "size": int(volume["size"]),
        "name": volume.get("name"),
        "description": volume.get("description"),
        "volume_type": volume.get("volume_type") or "",
        "availability_zone": volume.get("availability_zone") or "",
        "bootable": str(volume.get("bootable", "")).lower() == "true",
        "encrypted": bool(volume.get("encrypted")),
        "multiattach": bool(volume.get("multiattach")),
        # Cinder's flag is shown over a user's item of this name
        "readonly": (str(shown.get("readonly", "")).lower() == "true"
                     and shown["readonly"] != own.get("readonly")),
        "metadata": metadata,
        "image_metadata": dict(volume.get("volume_image_metadata") or {}),
    }


def not_kept(volume: Mapping[str, Any], own: Mapping[str, str]) -> list[dict[str, str]]:
    """Return what a volume is part of, and its copy will not be; and what cannot be seen of it."""
    told = []
    if own.get("readonly") == "True" == (volume.get("metadata") or {}).get("readonly"):
        told.append({"field": "read-only flag", "why": "Cinder shows it under the same name as the "
                     "metadata item readonly; a restored volume is writable"})
    told += [{"field": what, "why": "Cinder does not take it any more"}
             for what in refused({"metadata": own,
                                  "image_metadata": volume.get("volume_image_metadata")})]
    if volume.get("group_id") or volume.get("consistencygroup_id"):
        told.append({"field": "volume group", "why": "a restored volume belongs to none"})
    if volume.get("replication_status") in ("enabled", "active"):
        told.append({"field": "replication", "why": "it depends on the type of the new volume"})
    return told


def usual_name(work: Work) -> str:
    """Return the name by which people find the backup in Cinder."""
    return f"karbor {work.resource.name or work.resource.id}"[:255]


class Snapshot(Stage):
    """A snapshot at the moment that all resources of the operation share; gone after the backup."""

    name = "snapshot"
    kind = "cinder.snapshot"
    ready = frozenset({"available"})
    failed = frozenset({"error", "error_deleting"})
    temporary = True
    waits = "snapshot"

    def create(self, work: Work) -> str:
        body = {"snapshot": {
            "volume_id": work.resource.id, "force": True,
            "name": self.title(work), "description": self.description(work),
            "metadata": {MARK: work.mark}}}
        try:
            made = work.cloud.api("cinder").post("/snapshots", body)
        except RequestRefused as error:
            status = str(volume_of(work.cloud, work.resource.id)["status"]).lower()
            if status in AT_REST or broken(status):
                raise
            # somebody began to work on it after it had been seen at rest: that passes
            raise CloudUnavailable(f"the volume is {status}: {error.message}", service="cinder",
                                   request=error.request, request_id=error.request_id,
                                   status=error.status) from error
        return str(made["snapshot"]["id"])

    def title(self, work: Work) -> str:
        return usual_name(work)

    def description(self, work: Work) -> str:
        return f"for checkpoint {work.checkpoint_id}"

    def find(self, work: Work) -> list[str]:
        listed = work.cloud.api("cinder").list(
            "/snapshots/detail", "snapshots", params={"volume_id": work.resource.id})
        return _marked(listed, work.mark)

    def delete(self, work: Work, id: str) -> None:
        work.cloud.api("cinder").delete(f"/snapshots/{id}")

    def never_deleted(self, work: Work, id: str, seen: Mapping[str, Any]) -> str:
        """Return why the snapshot will never be deleted: Cinder leaves it as it is when its
        scheduler finds no host for the backup."""
        if self.status(seen) != "backing-up":
            return ""
        made = [backup for backup in _backups(work) if backup.get("snapshot_id") == id]
        if any(one["status"] in ("creating", "restoring") for one in made):
            return ""
        return "Cinder makes no backup of it any more, and did not say so"

    def finished(self, work: Work, id: str, seen: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what to save: `id`, `created_at` (Cinder's time) and `size` (GiB) at that
        moment."""
        return {"id": id, "created_at": seen.get("created_at"), "size": int(seen["size"])}


class Backup(Stage):
    """Cinder's backup of the snapshot: full, or on top of the newest earlier one."""

    name = "backup"
    lends_token = True
    kind = "cinder.backup"
    ready = frozenset({"available"})
    limit = "cinder-backups"
    waits = "backup"

    def create(self, work: Work) -> str:
        snapshot = work.saved("snapshot")
        body: dict[str, Any] = {
            "volume_id": work.resource.id, "snapshot_id": snapshot["id"], "force": True,
            "name": work.parameters.get("backup_name") or usual_name(work),
            "description": work.parameters.get("description")
            or f"checkpoint {work.checkpoint_id}",
            "incremental": self._incremental(work), "metadata": {MARK: work.mark}}
        if work.parameters.get("container"):
            body["container"] = work.parameters["container"]
        work.ensure_credential(int(snapshot["size"]) * GIB)
        made = work.cloud.api("cinder").post("/backups", {"backup": body})
        return str(made["backup"]["id"])

    def find(self, work: Work) -> list[str]:
        return _marked(_backups(work), work.mark)

    def delete(self, work: Work, id: str) -> None:
        if not delete_backup(work.cloud, id):
            raise CloudConflict("other backups were built upon it", service="cinder",
                                request=f"DELETE /backups/{id}", resource=work.resource.key)

    def may_succeed_anew(self, seen: Mapping[str, Any]) -> bool:
        why = super().failure(seen).lower()
        return not any(words in why for words in HOPELESS)

    def failure(self, seen: Mapping[str, Any]) -> str:
        why = super().failure(seen)
        if "service not found" in why.lower():
            why += " No cinder-backup service is running: tell the cloud's operator"
        return why

    def finished(self, work: Work, id: str, seen: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what to save: `id`, `size` (GiB, the volume's at that time), `is_incremental`,
        `container`, `object_count`, `created_at`, `snapshot_size` (GiB: as many bytes must have
        been kept) and `volume`, all that is needed to make a volume like it."""
        return {
            "id": id, "size": int(seen["size"]),
            "is_incremental": bool(seen.get("is_incremental")),
            "container": seen.get("container") or "",
            "object_count": int(seen.get("object_count") or 0),
            "availability_zone": seen.get("availability_zone") or "",
            "created_at": seen.get("created_at"),
            "volume_id": work.resource.id,
            "snapshot_size": work.saved("snapshot")["size"],
            "volume": {**work.saved("settled")["volume"]},
        }

    @staticmethod
    def _incremental(work: Work) -> bool:
        mode = work.parameters.get("backup_mode", "full")
        return bool(work.saved("base").get("incremental", mode == "incremental"))


def _backups(work: Work) -> list[dict[str, Any]]:
    return work.cloud.api("cinder").list(
        "/backups/detail", "backups", params={"volume_id": work.resource.id})


def _marked(listed: list[dict[str, Any]], mark: str) -> list[str]:
    return [str(item["id"]) for item in listed
            if (item.get("metadata") or {}).get(MARK) == mark]
