"""Delete the snapshot of a checkpoint, in Cinder or Manila, and see it gone."""

from __future__ import annotations

from karbor.domain.errors import RemoteFailed, RequestRefused
from karbor.domain.step import Again, Done, Failed, Outcome, Wait
from karbor.plugin.protection import Task, Work

PASSING = frozenset({"creating", "backing-up", "restoring", "migrating", "migrating_to",
                     "managing", "unmanaging"})
GOING = PASSING | {"deleting", "deferred_deleting"}
TRIES = 3       # deletions that a storage may refuse before we believe that it always will


class SnapshotRemoval(Task):
    """`service` is cinder or manila, `of` what its snapshots are of. Saves `deleted`, its id."""

    name = "snapshot_removed"

    def __init__(self, service: str, of: str) -> None:
        self._service = service
        self._kind = f"{service}.snapshot"
        self._of = of

    def run(self, work: Work) -> Outcome:
        id = work.kept("snapshot").get("id")
        if not id:
            return Done()       # the protect did not come so far
        pause = work.cloud.interval(self._kind)
        asked = int(work.handle.get("asked", 0))
        if asked:
            seen = work.cloud.look(self._kind, id)
            if seen is None:
                return Done({"deleted": id})
            status = str(seen["status"]).lower()
            if status in GOING:
                return Again(pause, {"asked": asked}, wait=self._going(id, status))
            if asked >= TRIES:
                return self._failed(work, id, f"it is {status} again and again")
        try:
            work.cloud.api(self._service).delete(f"/snapshots/{id}")
        except RequestRefused as error:
            seen = work.cloud.look(self._kind, id)
            if seen is None:
                return Done({"deleted": id})
            if (status := str(seen["status"]).lower()) in GOING:
                return Again(pause, {"asked": asked}, wait=self._going(id, status))
            return self._failed(work, id, error.message)
        return Again(
            work.cloud.first_poll_delay(self._kind) if not asked else pause, {"asked": asked + 1}
        )

    @staticmethod
    def _going(id: str, status: str) -> Wait:
        return Wait(f"snapshot {id} to be gone; it is {status}", "removal")

    def _failed(self, work: Work, id: str, why: str) -> Failed:
        return Failed(RemoteFailed(
            f"{self._service.capitalize()} does not delete snapshot {id}: {why}",
            resource=work.resource.key,
            **{"service": self._service, "request": f"DELETE /snapshots/{id}",
               **work.cloud.asked(id)},
            remedy=f"some storages keep a snapshot as long as {self._of}s made from it exist: "
                   "delete those, then delete the checkpoint again"))
