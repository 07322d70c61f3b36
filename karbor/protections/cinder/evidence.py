"""Read back a Cinder backup: how far can it be proved that it holds the volume?

The `size` that Cinder reports is only the volume's, and `available` only says that nothing raised:
a driver that saw one layer of a chain of images (a qcow2 overlay of a volume with snapshots on NFS)
has backed up a few hundred KiB of it without a complaint. So the driver's own description and its
objects are read, as far as the user can see them, for the backup and all that it is built upon.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from karbor.domain.checkpoint import Evidence
from karbor.domain.errors import ObjectDamaged, ObjectMissing
from karbor.domain.step import Again, Done, Failed, Outcome, Wait
from karbor.plugin.cloud import Cloud
from karbor.plugin.protection import Task, Work
from karbor.protections.cinder.swift_backup import NotVisible, SwiftBackup, opened

GIB = 1024 ** 3
KNOWN_VERSION = "1."            # of the chunked driver's description
QCOW2 = b"QFI\xfb"              # begins a qcow2 image; bytes 8-15 say whether it is an overlay
LONGEST_CHAIN = 1000
WHOLE = frozenset({"available", "restoring", "backing-up"})    # states of a backup to build upon


class ReadBack(Task):
    """Saves `evidence`, `unproved`, and `chain`: what was seen of each backup that a restore
    needs, so that a later verify can tell whether any object has changed since."""

    name = "read_back"

    def run(self, work: Work) -> Outcome:
        kept = work.kept("backup") or work.saved("backup")
        backup = work.cloud.look("cinder.backup", kept["id"])
        if backup is None:
            return Failed(ObjectMissing(f"Cinder has no backup {kept['id']} any more",
                                        resource=work.resource.key))
        status = str(backup["status"]).lower()
        if status in ("creating", "restoring"):
            return Again(work.cloud.interval("cinder.backup"), wait=Wait(
                f"backup {kept['id']}, which is {status}", "backup"))
        if status != "available":
            return Failed(ObjectDamaged(
                f"Cinder's backup {kept['id']} is {status}: {backup.get('fail_reason') or ''}",
                resource=work.resource.key))
        before = {one["backup"]: one for one in work.kept(self.name).get("chain", ())}
        minimum = int(kept["snapshot_size"]) * GIB
        try:
            chain = examine(work.cloud, backup, minimum)
        except NotVisible as error:
            if before:
                return Failed(ObjectMissing(
                    f"the objects of backup {kept['id']} could be seen before, and now: {error}",
                    resource=work.resource.key))
            why = self._broken(work, backup)
            if why:
                return Failed(ObjectMissing(f"backup {kept['id']} cannot be restored: {why}",
                                            resource=work.resource.key))
            return Done({"evidence": Evidence.STATUS.value, "unproved": str(error)})
        for one in chain:
            if before.get(one["backup"], one)["digest"] != one["digest"]:
                return Failed(ObjectDamaged(
                    f"the objects of backup {one['backup']} are not those that were there when "
                    "the checkpoint was made", resource=work.resource.key))
        return Done({"evidence": Evidence.OBJECTS.value, "chain": chain,
                     "unproved": "the bytes were not read back: Swift's sizes and checksums were "
                                 "compared with the description of the backup"})


    @staticmethod
    def _broken(work: Work, backup: Mapping[str, Any]) -> str:
        if not backup.get("is_incremental"):
            return ""
        return inferred_break(backup, work.cloud.api("cinder").list(
            "/backups/detail", "backups", params={"volume_id": str(backup["volume_id"])}))


def examine(cloud: Cloud, backup: Mapping[str, Any], minimum: int) -> list[dict[str, Any]]:
    """Check the backup and every one it is built upon; `minimum` is the volume's size in bytes.

    Returns, from the newest to the full one, `backup`, `prefix`, `objects`, `bytes`, `digest`.
    Raises ObjectDamaged, ObjectMissing, NotVisible.
    """
    chain: list[dict[str, Any]] = []
    while True:
        objects = SwiftBackup.find(cloud, backup)
        metadata = objects.metadata()
        _check(backup, metadata, objects, minimum)
        chain.append({"backup": str(backup["id"]), "prefix": objects.prefix,
                      "objects": len(metadata["objects"]), "digest": objects.digest(),
                      "bytes": sum(entry.size for entry in objects.entries.values())})
        parent = metadata.get("parent_id")
        if not parent:
            return chain
        if len(chain) > LONGEST_CHAIN or parent in {one["backup"] for one in chain}:
            raise ObjectDamaged(f"backup {backup['id']} is built upon itself")
        under = cloud.look("cinder.backup", parent)
        if under is None:
            raise ObjectMissing(f"backup {parent}, on which {backup['id']} is built, is gone or "
                                "not this project's")
        backup = under
        if str(backup["status"]).lower() not in WHOLE:
            raise ObjectDamaged(f"backup {parent}, on which others are built, is "
                                f"{backup['status']}")


def inferred_break(backup: Mapping[str, Any], backups: Sequence[Mapping[str, Any]]) -> str:
    """Return what is wrong below an incremental backup, by Cinder's list of its volume's
    `backups` alone; empty when nothing is known to be. The list can only tell that there is
    nothing whole below: each was built upon the newest one of its time."""
    below, current = sorted(backups, key=_time), backup
    while current.get("is_incremental"):
        older = [one for one in below if _time(one) < _time(current)]
        if not older:
            return f"the full backup that {current['id']} was built upon is gone"
        current = older[-1]
        if str(current["status"]).lower() not in WHOLE:
            return (f"backup {current['id']}, on which {backup['id']} seems to be built, is "
                    f"{current['status']}")
    return ""


def _time(backup: Mapping[str, Any]) -> str:
    return str(backup.get("data_timestamp") or backup.get("created_at") or "")


def _check(backup: Mapping[str, Any], metadata: Mapping[str, Any], objects: SwiftBackup,
           minimum: int) -> None:
    version = str(metadata.get("version"))
    if not version.startswith(KNOWN_VERSION):
        raise NotVisible(f"the backup's description has the unknown version {version}")
    for field, expected in (("backup_id", backup["id"]), ("volume_id", backup["volume_id"])):
        if metadata.get(field) != expected:
            raise ObjectDamaged(f"the description of backup {backup['id']} has {field} "
                                f"{metadata.get(field)}")
    end = 0
    full = not metadata.get("parent_id")
    for one in metadata["objects"]:
        (name, facts), = one.items()
        offset, length = int(facts["offset"]), int(facts["length"])
        if offset < end or (full and offset != end):
            raise ObjectDamaged(f"backup {backup['id']} has a gap or an overlap at byte {end}: "
                                f"its next object {name} begins at {offset}")
        end = offset + length
        _check_object(name, facts, objects)
    _check_names(metadata, objects)
    if full and end < minimum:
        raise ObjectDamaged(
            f"backup {backup['id']} holds {end} bytes of a volume of {minimum}: the backup driver "
            "did not see the whole volume", remedy=_LAYER)
    # What a full backup's objects cover was read from the volume; an increment has only changes.
    hashed = None if full else objects.hashed_bytes()
    if hashed is not None and hashed < minimum:
        raise ObjectDamaged(
            f"backup {backup['id']} has checksums for {hashed} bytes of a volume of {minimum}: the "
            "backup driver did not see the whole volume", remedy=_LAYER)
    if full and metadata["objects"]:
        _check_beginning(backup, metadata["objects"][0], objects)


_LAYER = ("some volume drivers that keep snapshots as qcow2 files back up one layer only: delete "
          "the volume's snapshots, or clone the volume and protect the clone")


def _check_object(name: str, facts: Mapping[str, Any], objects: SwiftBackup) -> None:
    entry = objects.entry(name)
    if entry is None:
        raise ObjectMissing(f"Swift has no object {name}")
    length = int(facts["length"])
    if facts.get("compression") == "none":
        fits = entry.size == length and entry.md5 == facts.get("md5")
    else:       # length and MD5 are those before compression
        fits = 0 < entry.size < length
    if not fits:
        raise ObjectDamaged(f"object {name} has {entry.size} bytes and the MD5 {entry.md5}, which "
                            f"does not fit its description ({length} bytes, {facts.get('md5')}, "
                            f"compression {facts.get('compression')})")


def _check_names(metadata: Mapping[str, Any], objects: SwiftBackup) -> None:
    """Raise ObjectDamaged where a name does not fit: Cinder refuses to restore a backup with an
    object that its description does not name."""
    known = {name for one in metadata["objects"] for name in one}
    for end in ("_metadata", "_sha256file"):
        known.add(objects.prefix + end)
        objects.entry(objects.prefix + end)     # what is compared later has it, listed or not
    strange = sorted(set(objects.entries) - known)
    if strange:
        raise ObjectDamaged("Swift has objects that the backup's description does not name: "
                            + ", ".join(strange[:3]))


def _check_beginning(backup: Mapping[str, Any], first: Mapping[str, Any], objects: SwiftBackup
                     ) -> None:
    (name, facts), = first.items()
    compression = str(facts.get("compression"))
    begin = opened(objects.beginning(name, 1), compression, 16)
    if begin is not None and begin[:4] == QCOW2 and any(begin[8:16]):
        raise ObjectDamaged(
            f"backup {backup['id']} holds the upper layer of a qcow2 image, not the volume",
            remedy=_LAYER)
