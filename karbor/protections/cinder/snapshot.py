"""A Cinder snapshot that is the checkpoint: made, looked at again, made a volume of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from karbor.domain.checkpoint import Evidence
from karbor.domain.errors import ObjectDamaged, ObjectMissing
from karbor.domain.step import Again, Done, Failed, Outcome, Wait
from karbor.plugin.protection import Task, Work
from karbor.protections.cinder.backup import GIB, MARK, Snapshot, volume_of
from karbor.protections.cinder.restore import Restored, Volume, description_of, name_of
from karbor.protections.cinder_input import split_metadata
from karbor.protections.snapshot_removal import PASSING

SAME_STORAGE = ("a snapshot is kept by the storage that holds the volume, and is lost together "
                "with it; while it exists, Cinder does not delete the volume by itself")


class KeptSnapshot(Snapshot):
    """Taken at the moment that all resources of the operation share, and left where it is."""

    temporary: ClassVar[bool] = False

    def title(self, work: Work) -> str:
        return work.parameters.get("snapshot_name") or super().title(work)

    def description(self, work: Work) -> str:
        return work.parameters.get("description") or super().description(work)

    def finished(self, work: Work, id: str, seen: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what to save: `id`, `created_at` (Cinder's time), `size` (GiB), `volume_id` and
        `volume`, all that is needed to make a volume like it; and what a snapshot is not."""
        return {**super().finished(work, id, seen), "volume_id": work.resource.id,
                "volume": {**work.saved("settled")["volume"]},
                "not_kept": [{"field": "a copy elsewhere", "why": SAME_STORAGE}]}


class LookedAt(Task):
    """Saves `evidence` and `unproved`. Cinder lets nobody read a snapshot: what it says of it is
    all that can be had."""

    name = "looked_at"

    def run(self, work: Work) -> Outcome:
        kept = work.kept("snapshot") or work.saved("snapshot")
        snapshot = work.cloud.look("cinder.snapshot", kept["id"])
        if snapshot is None:
            return Failed(ObjectMissing(f"Cinder has no snapshot {kept['id']} any more",
                                        resource=work.resource.key))
        status = str(snapshot["status"]).lower()
        if status in PASSING:
            return Again(work.cloud.interval("cinder.snapshot"), wait=Wait(
                f"snapshot {kept['id']}, which is {status}", "snapshot"))
        if status != "available":
            return Failed(ObjectDamaged(f"Cinder's snapshot {kept['id']} is {status}",
                                        resource=work.resource.key))
        for field, now in (("volume_id", snapshot["volume_id"]), ("size", int(snapshot["size"])),
                           ("created_at", snapshot["created_at"])):
            if now != kept[field]:
                return Failed(ObjectDamaged(
                    f"Cinder's snapshot {kept['id']} is another one now: its {field} is {now} "
                    f"instead of {kept[field]}", resource=work.resource.key))
        return Done({"evidence": Evidence.STATUS.value, "unproved": (
            "Cinder says that the snapshot is available; its bytes cannot be read without making a "
            f"volume of it, and {SAME_STORAGE}")})


class VolumeOfSnapshot(Volume):
    """A new volume with the snapshot's bytes, of the same type, where Cinder puts it."""

    def create(self, work: Work) -> str:
        snapshot = work.kept("snapshot")
        volume = snapshot["volume"]
        body: dict[str, Any] = {
            "size": max(int(snapshot["size"]), int(volume["size"])),
            "snapshot_id": snapshot["id"],
            "name": name_of(work, volume) or f"restored {work.resource.id}",
            "description": description_of(work, volume),
            "metadata": {**split_metadata(volume["metadata"])[0], MARK: work.mark}}
        # Of an encrypted volume Cinder asks for the keys after it has copied the bytes.
        work.ensure_credential(int(snapshot["size"]) * GIB)
        made = work.cloud.api("cinder").post("/volumes", {"volume": body})
        return str(made["volume"]["id"])


class Finished(Restored):
    """Gives the volume the properties of the old one; its bytes were there from the beginning."""

    lends_token = False
    limit = ""

    def run(self, work: Work) -> Outcome:
        return self._finish(work, volume_of(work.cloud, work.saved("volume")["id"]))

    def _wanted(self, work: Work) -> Mapping[str, Any]:
        found: Mapping[str, Any] = work.kept("snapshot")["volume"]
        return found
