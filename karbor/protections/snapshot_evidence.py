"""What can be proved of a snapshot that is the checkpoint: its service says that it is there."""

from __future__ import annotations

from karbor.domain.checkpoint import Evidence
from karbor.domain.errors import ObjectDamaged, ObjectMissing
from karbor.domain.step import Again, Done, Failed, Outcome, Wait
from karbor.plugin.protection import Task, Work
from karbor.protections.snapshot_removal import PASSING


class SnapshotEvidence(Task):
    """Saves `evidence` and `unproved`. Nobody reads a snapshot itself: what its service says of it
    is all that can be had."""

    name = "looked_at"

    def __init__(self, service: str, of: str, unproved: str) -> None:
        """`service` is Cinder or Manila, `of` the field of a snapshot that names what it was taken
        of, `unproved` why the proof goes no further."""
        self._service = service
        self._kind = f"{service.lower()}.snapshot"
        self._of = of
        self._unproved = unproved

    def run(self, work: Work) -> Outcome:
        kept = work.kept("snapshot") or work.saved("snapshot")
        snapshot = work.cloud.look(self._kind, kept["id"])
        if snapshot is None:
            return Failed(ObjectMissing(f"{self._service} has no snapshot {kept['id']} any more",
                                        resource=work.resource.key))
        status = str(snapshot["status"]).lower()
        if status in PASSING:
            return Again(work.cloud.interval(self._kind), wait=Wait(
                f"snapshot {kept['id']}, which is {status}", "snapshot"))
        if status != "available":
            return Failed(ObjectDamaged(f"{self._service}'s snapshot {kept['id']} is {status}",
                                        resource=work.resource.key))
        for field, now in ((self._of, snapshot[self._of]), ("size", int(snapshot["size"])),
                           ("created_at", snapshot["created_at"])):
            if now != kept[field]:
                return Failed(ObjectDamaged(
                    f"{self._service}'s snapshot {kept['id']} is another one now: its {field} is "
                    f"{now} instead of {kept[field]}", resource=work.resource.key))
        return Done({"evidence": Evidence.STATUS.value, "unproved": self._unproved})
