"""Restore a volume: an empty one that bears the mark, then the backup into it.

Cinder could make the volume from the backup in one request (microversion 3.47). It is not used:
the restored metadata replaces the mark before the volume is ready, and for incremental backups
several releases skipped zeros there that had overwritten data (an older layer shone through).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from karbor.domain.errors import (
    CloudNotFound,
    CloudUnavailable,
    RemoteFailed,
    RequestRefused,
    WorkInterrupted,
)
from karbor.domain.step import Again, Done, Failed, Outcome, Wait
from karbor.plugin.cloud import Api
from karbor.plugin.cosmetics import Cosmetics
from karbor.plugin.protection import Stage, Task, Work
from karbor.protections.cinder.backup import GIB, MARK, facts, volume_of
from karbor.protections.cinder_input import refused, split_metadata


def mapped(work: Work, old: str) -> str:
    """Return what `--map OLD=NEW` says for a name or id; else the same."""
    return str((work.parameters.get("map") or {}).get(old, old))


def name_of(work: Work, old: Mapping[str, Any]) -> str | None:
    """Return what the new volume is to be called."""
    name: str | None = work.parameters.get("restore_name") or old["name"]
    return name


def description_of(work: Work, old: Mapping[str, Any]) -> str | None:
    """Return what the new volume is to say of itself."""
    description: str | None = work.parameters.get("restore_description") or old["description"]
    return description


class Volume(Stage):
    """The new, empty volume. `work.saved("volume", resource)["id"]` is its id for everybody who
    needs the restored volume; it may be used once the stage `restored` is done."""

    name = "volume"
    kind = "cinder.volume"
    ready = frozenset({"available"})
    failed = frozenset({"error", "error_restoring", "error_deleting"})
    waits = "volume"

    def create(self, work: Work) -> str:
        backup = work.kept("backup")
        volume = backup["volume"]
        body: dict[str, Any] = {
            "size": max(int(backup["size"]), int(volume["size"])),
            "name": name_of(work, volume) or f"restored {work.resource.id}",
            "description": description_of(work, volume),
            "metadata": {**split_metadata(volume["metadata"])[0], MARK: work.mark}}
        if volume["volume_type"]:
            body["volume_type"] = mapped(work, volume["volume_type"])
        if volume["availability_zone"]:
            body["availability_zone"] = mapped(work, volume["availability_zone"])
        made = work.cloud.api("cinder").post("/volumes", {"volume": body})
        return str(made["volume"]["id"])

    def find(self, work: Work) -> list[str]:
        return [str(volume["id"])
                for volume in work.cloud.api("cinder").list("/volumes/detail", "volumes")
                if (volume.get("metadata") or {}).get(MARK) == work.mark]

    def delete(self, work: Work, id: str) -> None:
        work.cloud.api("cinder").delete(f"/volumes/{id}")


class Restored(Task):
    """Writes the backup into the volume, then gives the volume the properties of the old one.

    A restore that was cut off before its answer came is seen by the volume's state: while it is
    `restoring-backup` it is under way and is not asked for again. When it is `available` it either
    never began or is already over; doing it (again) writes the same bytes. Into a volume that is
    broken Cinder restores nothing: that is made anew as well.
    """

    name = "restored"
    lends_token = True
    limit = "cinder-backups"
    rests_on = "volume"

    def run(self, work: Work) -> Outcome:
        id = work.saved("volume")["id"]
        pause = work.cloud.interval("cinder.volume")
        if work.handle.get("asked"):
            seen = work.cloud.look("cinder.volume", id)
            if seen is not None and str(seen["status"]).lower() == "restoring-backup":
                return Again(pause, wait=_restoring(id))
        # The shared list may be older than the request: only the volume itself decides.
        try:
            volume = volume_of(work.cloud, id)
        except CloudNotFound as error:
            return Failed(error)
        status = str(volume["status"]).lower()
        if status == "restoring-backup":
            return Again(pause, {"asked": True}, wait=_restoring(id))
        if status != "available":
            return Failed(WorkInterrupted(
                f"the restored volume {id} is {status}{_reason(work, id)}",
                resource=work.resource.key, **{"service": "cinder", **work.cloud.asked(id)}))
        if work.handle.get("asked"):
            return self._finish(work, volume)
        return self._begin(work, id)

    def _begin(self, work: Work, id: str) -> Outcome:
        backup = work.kept("backup")["id"]
        cinder = work.cloud.api("cinder")
        pause = work.cloud.interval("cinder.volume")
        work.ensure_credential(int(work.kept("backup")["size"]) * GIB)
        try:
            cinder.post(f"/backups/{backup}/restore", {"restore": {"volume_id": id}})
        except RequestRefused:
            if cinder.get(f"/backups/{backup}")["backup"]["status"] == "restoring":
                return Again(pause, wait=Wait(
                    f"backup {backup}, which is being restored into another volume", "backup"))
            raise
        except (CloudNotFound, CloudUnavailable) as error:
            if "cinder-backup" not in error.message:
                raise
            return Failed(RemoteFailed(
                f"no cinder-backup service is running: {error.message}", service="cinder",
                request=error.request, request_id=error.request_id,
                resource=work.resource.key, remedy="tell the cloud's operator"))
        return Again(pause, {"asked": True})

    def _wanted(self, work: Work) -> Mapping[str, Any]:
        found: Mapping[str, Any] = work.kept("backup")["volume"]
        return found

    def _finish(self, work: Work, volume: Mapping[str, Any]) -> Outcome:
        """Set everything to what it shall be. Idempotent. Cinder restores part of this itself from
        the backup's own description, if its driver keeps one."""
        wanted = self._wanted(work)
        id, cinder = str(volume["id"]), work.cloud.api("cinder")
        name, description = name_of(work, wanted), description_of(work, wanted)
        now = facts(volume, wanted["metadata"])
        cosmetics = Cosmetics(work)
        for what in refused(wanted):
            cosmetics.report(what, "Cinder does not take it any more")
        for what, old, new in _differs(wanted, now, mapped(work, wanted["volume_type"])):
            cosmetics.report(what, f"it was to be {old} and is {new}")
        if (now["name"], now["description"]) != (name, description):
            cosmetics.request("name and description", lambda: cinder.put(
                f"/volumes/{id}", {"volume": {"name": name, "description": description}}))
        properties, _ = split_metadata(wanted["image_metadata"], longest=None)
        if properties and now["image_metadata"] != properties:
            cosmetics.request("image properties", lambda: _action(
                cinder, id, "os-set_image_metadata", {"metadata": properties}))
        # After the image metadata: Cinder's own restore of these makes every volume bootable.
        if now["bootable"] != wanted["bootable"]:
            cosmetics.request("bootable flag", lambda: _action(
                cinder, id, "os-set_bootable", {"bootable": wanted["bootable"]}))
        if wanted["readonly"] and not now["readonly"]:
            cosmetics.request("read-only flag", lambda: _action(
                cinder, id, "os-update_readonly_flag", {"readonly": True}))
        # Last, since it removes the mark: the volume is the user's from now on.
        cosmetics.request("metadata", lambda: cinder.put(
            f"/volumes/{id}/metadata", {"metadata": split_metadata(wanted["metadata"])[0]}),
            "it still bears Karbor's mark")
        if cosmetics.postponed:
            return cosmetics.again(work.handle)
        told = cosmetics.not_restored
        return Done({"id": id, "name": name, **({"not_restored": told} if told else {})})


def _differs(wanted: Mapping[str, Any], now: Mapping[str, Any], type: str
             ) -> list[tuple[str, Any, Any]]:
    """Return what Cinder decides by itself or by the volume's type, and has decided otherwise."""
    pairs = [(field.replace("_", " "), wanted[field], now[field])
             for field in ("size", "encrypted", "multiattach")]
    if type:        # by name; one that was mapped by its id cannot be compared
        pairs.append(("volume type", type, now["volume_type"]))
    return [(what, old, new) for what, old, new in pairs if old != new and not _is_id(str(old))]


def _restoring(id: str) -> Wait:
    return Wait(f"Cinder to restore the backup into volume {id}", "backup")


def _is_id(text: str) -> bool:
    try:
        return bool(UUID(text))
    except ValueError:
        return False


def _action(cinder: Api, id: str, action: str, body: Mapping[str, Any]) -> None:
    cinder.post(f"/volumes/{id}/action", {action: dict(body)})


def _reason(work: Work, id: str) -> str:
    """Return what Cinder tells users of a failure, where it does (its messages, microversion
    3.3)."""
    try:
        told = work.cloud.api("cinder").list("/messages", "messages",
                                             params={"resource_uuid": id})
    except CloudNotFound:
        return ""
    return "".join(f": {one['user_message']}" for one in told[:1])
