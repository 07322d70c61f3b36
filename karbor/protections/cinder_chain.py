"""What Cinder builds an incremental backup upon, and whether that is whole.

Cinder takes the newest available backup of the volume and looks no further. Where the full backup
at the bottom is gone, or one between, it goes on building upon what nobody can restore. Its API
does not tell what a backup was built upon; the driver's description in Swift does, where it can be
seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from karbor.domain.errors import ObjectDamaged, ObjectMissing
from karbor.domain.step import Done, Outcome
from karbor.plugin.cloud import Cloud
from karbor.plugin.protection import Task, Work
from karbor.protections.cached_lists import CachedLists
from karbor.protections.cinder.evidence import GIB, examine, inferred_break
from karbor.protections.cinder.swift_backup import NotVisible

Backup = Mapping[str, Any]


class Base(Task):
    """Decides whether the backup is incremental. Saves `incremental`, and, where it was to be and
    cannot, `note`: why it is a full one."""

    name = "base"

    def run(self, work: Work) -> Outcome:
        mode = work.parameters.get("backup_mode", "full")
        if mode == "full":
            return Done({"incremental": False})
        own = [backup for backup in CachedLists(work.cloud).cinder("/backups/detail", "backups")
               if backup["volume_id"] == work.resource.id]
        why = why_full(work.cloud, own, work.saved("snapshot"))
        if not why:
            return Done({"incremental": True})
        if mode == "auto" and not own:
            return Done({"incremental": False})     # the first one: nobody expects another
        return Done({"incremental": False, "note": f"backed up in full: {why}"})


def parent(backups: Sequence[Backup], snapshot: Mapping[str, Any]) -> Backup | None:
    """Return the backup of the volume that Cinder would build upon: the available one with the
    newest data older than the snapshot (cinder's backup/api.py, create)."""
    return max((backup for backup in backups if backup.get("status") == "available"
                and str(backup.get("data_timestamp") or "") < str(snapshot["created_at"])),
               key=lambda one: str(one["data_timestamp"]), default=None)


def why_full(cloud: Cloud, backups: Sequence[Backup], snapshot: Mapping[str, Any]) -> str:
    """Return why no incremental backup of the snapshot can be made that can be restored; empty
    when it can. `backups` are all of the volume."""
    under = parent(backups, snapshot)
    if under is None:
        return "Cinder has no available backup of this volume to build upon"
    if int(under["size"]) < int(snapshot["size"]):      # its chunked drivers refuse that
        return f"the volume has grown since its last backup {under['id']}"
    if not under.get("is_incremental"):
        return ""
    return break_in(cloud, under, backups, int(snapshot["size"]) * GIB)


def break_in(cloud: Cloud, backup: Backup, backups: Sequence[Backup], minimum: int) -> str:
    """Return what is wrong with the chain below an incremental backup; empty when nothing is
    known to be. `minimum` is the volume's size in bytes."""
    try:
        examine(cloud, backup, minimum)
    except (ObjectMissing, ObjectDamaged) as error:
        return f"what it would build upon cannot be restored: {error.message}"
    except NotVisible:
        return inferred_break(backup, backups)
    return ""
