"""Delete a Cinder backup, or learn that it must stay for now."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

from karbor.domain.errors import (
    CloudError,
    CloudNotFound,
    CloudUnavailable,
    RemoteFailed,
    RequestRefused,
    WorkInterrupted,
)
from karbor.domain.step import Again, Done, Failed, Outcome, Wait
from karbor.plugin.cloud import Cloud
from karbor.plugin.protection import Task, Work

TRIES = 5       # requests that Cinder may ignore before we believe that no backup service runs
IGNORED = "Cinder does not begin to delete the backup: no cinder-backup service seems to run"


def delete_backup(cloud: Cloud, id: str) -> bool:
    """Ask Cinder to delete the backup: True when it is going or gone, False when incremental
    backups that were built upon it still exist (Cinder refuses then, and it must be asked again
    when they are gone). Idempotent.

    Raises RequestRefused when its state forbids it for now (it is being made or restored), and
    CloudUnavailable when Cinder ignored the request.
    """
    answer = _ask(cloud, id)
    if answer is _Answer.IGNORED:
        raise CloudUnavailable(IGNORED, service="cinder", request=f"DELETE /backups/{id}",
                               remedy="tell the cloud's operator")
    return answer is _Answer.GOING


def bury_backup(cloud: Cloud, id: str) -> bool:
    """Ask Cinder to delete a backup that an earlier deletion had to leave: True when it is gone.
    While Cinder is at it, or while incremental backups that were built upon it exist, it has to be
    asked again: until it is gone, somebody must know of it.

    Raises RemoteFailed when Cinder has tried and could not, and as `delete_backup`.
    """
    try:
        going = delete_backup(cloud, id)
    except RequestRefused as error:
        seen = _seen(cloud, id)
        if seen is None or seen["status"] != "error_deleting":
            raise
        why = seen.get("fail_reason") or "no reason told"
        raise RemoteFailed(
            f"Cinder could not delete backup {id}: {why}", service="cinder",
            request=f"DELETE /backups/{id}",
            remedy="have the cloud's operator see to it: openstack volume backup set --state "
                   f"available {id}") from error
    return going and _seen(cloud, id) is None


class _Answer(Enum):
    GOING = auto()
    DEPENDENTS = auto()
    IGNORED = auto()


def _ask(cloud: Cloud, id: str) -> _Answer:
    """Ask for the deletion. Without a running cinder-backup, Cinder answers 404 as if the backup
    were gone: so it is looked at afterwards. `deleting` is written before an honest 202."""
    try:
        cloud.api("cinder").delete(f"/backups/{id}")
    except RequestRefused as error:
        seen = _seen(cloud, id)
        if seen is None or seen["status"] == "deleting":
            return _Answer.GOING
        if seen.get("has_dependent_backups") or "ncremental backups exist" in error.message:
            return _Answer.DEPENDENTS
        raise
    try:
        seen = _seen(cloud, id)
    except CloudError as error:
        if error.transient:
            raise
        return _Answer.GOING        # it has agreed: whoever watches it will learn why not
    still_there = seen is not None and seen["status"] in ("available", "error")
    return _Answer.IGNORED if still_there else _Answer.GOING


def _seen(cloud: Cloud, id: str) -> dict[str, Any] | None:
    """Return the backup as it is now, not as the last shared list showed it."""
    try:
        found: dict[str, Any] = cloud.api("cinder").get(f"/backups/{id}")["backup"]
    except CloudNotFound:
        return None
    return found


class Removal(Task):
    """Deletes the backup of a checkpoint. Where Cinder refuses because later backups were built
    upon it, it saves `deferred`, and Karbor records that the backup is to be removed later."""

    name = "backup_removed"

    def run(self, work: Work) -> Outcome:
        id = work.kept("backup").get("id")
        if not id:
            return Done()       # the protect did not come so far
        if work.handle.get("asked"):
            return self._watch(work, id)
        pause = work.cloud.interval("cinder.backup")
        try:
            answer = _ask(work.cloud, id)
        except RequestRefused as error:
            seen = _seen(work.cloud, id)
            if seen is not None and seen["status"] in ("error_deleting", "error"):
                return Failed(error)
            return Again(pause, wait=Wait(      # it is being made or restored: that passes
                f"backup {id} to be deletable; it is {seen['status'] if seen else 'gone'}",
                "removal"))
        if answer is _Answer.DEPENDENTS:
            return Done({"deferred": {
                "id": id, "why": "later incremental backups were built upon it"}})
        if answer is _Answer.IGNORED:
            tries = int(work.handle.get("tries", 0)) + 1
            if tries < TRIES:
                return Again(pause, {"tries": tries}, wait=Wait(
                    f"Cinder to begin to delete backup {id}", "removal"))
            return Failed(RemoteFailed(IGNORED, service="cinder",
                                       request=f"DELETE /backups/{id}",
                                       resource=work.resource.key,
                                       remedy="tell the cloud's operator"))
        return Again(work.cloud.first_poll_delay("cinder.backup"), {"asked": True})

    @staticmethod
    def _watch(work: Work, id: str) -> Outcome:
        seen = work.cloud.look("cinder.backup", id)
        if seen is None:
            return Done({"deleted": id})
        if str(seen["status"]).lower() in ("error", "error_deleting"):
            why = seen.get("fail_reason") or "no reason told"
            # Asked for anew a few times: Swift or cinder-backup may have been restarted.
            return Failed(WorkInterrupted(
                f"Cinder could not delete backup {id}: {why}",
                resource=work.resource.key, **{"service": "cinder", **work.cloud.asked(id)},
                remedy="delete the backup in Cinder, then delete the checkpoint again"))
        return Again(work.cloud.interval("cinder.backup"), wait=Wait(
            f"backup {id} to be gone; it is {seen['status']}", "removal"))
