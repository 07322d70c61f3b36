"""A Cinder snapshot that is the checkpoint: made, looked at again, made a volume of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from karbor.domain.step import Outcome
from karbor.plugin.protection import Work
from karbor.protections.cinder.backup import GIB, MARK, Snapshot, volume_of
from karbor.protections.cinder.restore import Restored, Volume, description_of, name_of
from karbor.protections.cinder_input import split_metadata
from karbor.protections.snapshot_evidence import SnapshotEvidence

SAME_STORAGE = ("a snapshot is kept by the storage that holds the volume, and is lost together "
                "with it; while it exists, Cinder does not delete the volume by itself")
UNPROVED = ("Cinder says that the snapshot is available; its bytes cannot be read without making a "
            f"volume of it, and {SAME_STORAGE}")


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


def evidence() -> SnapshotEvidence:
    """Return the task that looks at the snapshot again."""
    return SnapshotEvidence("Cinder", "volume_id", UNPROVED)
