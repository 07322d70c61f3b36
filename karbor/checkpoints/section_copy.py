"""A resource's section of one bank into another bank, and the proof that it is there.

Objects are copied as they lie there: their names tell no bank and no checkpoint, and what is in
them is bound by checksums to what the checkpoint's head says. Disks are read out of the one vault
and stored in the other, which may have most of their chunks already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from karbor.domain.checkpoint import Evidence
from karbor.domain.errors import ObjectDamaged, ObjectMissing
from karbor.domain.step import Again, Done, Outcome, Progress
from karbor.plugin.bank import Section, Stored
from karbor.plugin.protection import Stage, Task, Work
from karbor.plugin.vault_location import VaultLocation
from karbor.vault import DiskVault, KeptDisk, Paused

PAGE = 1000         # objects of one entry: so many are looked at again after a crash
DISK, BEGUN_DISK = "/disk.json", "/disk.begun.json"


@dataclass(frozen=True)
class Original:
    """What is copied: a resource's section, and the vault that has the disks of its project."""

    section: Section
    vault: VaultLocation

    def disk(self, key: str) -> KeptDisk:
        """Return the disk with this manifest. Raises ObjectMissing, ObjectDamaged, VaultSealed."""
        return DiskVault(self.vault, self.section).open(key.removesuffix(DISK))

    def objects(self) -> Iterator[Stored]:
        """Yield what is copied: all but what an attempt has left that did not come to its end."""
        return (stored for stored in self.section.all() if not stored.key.endswith(BEGUN_DISK))

    def size(self) -> int:
        """Return how many bytes there are to copy, those of the disks included."""
        return sum(self.disk(stored.key).size if stored.key.endswith(DISK) else stored.size
                   for stored in self.objects())


class Copied(Task):
    """Saves `objects` and `bytes`: how much of the resource lies in the bank.

    An entry copies a page of objects. What an earlier entry has copied is seen in the target's own
    list, by its checksum, and not sent again; a disk goes on where it was stopped. Holds one piece
    of one object, or what the vault needs for a disk, at a time.
    """

    name = "section-copied"
    carries = True

    def __init__(self, original: Callable[[], Original]) -> None:
        self._original = original

    def run(self, work: Work) -> Outcome:
        original = self._original()
        after, done = str(work.handle.get("after", "")), int(work.handle.get("bytes", 0))
        objects = int(work.handle.get("objects", 0))
        page = original.section.list(after=after, limit=PAGE)
        total = work.handle.get("total")
        if total is None:
            total = original.size()
        if not page:        # a bank may list less than it was asked for, and have more
            return Done({"objects": objects, "bytes": done})
        there = {stored.key: stored for stored in work.bank.list(after=after, limit=PAGE)}
        for stored in page:
            if stored.key.endswith(BEGUN_DISK):
                after = stored.key
                continue
            if stored.key.endswith(DISK):
                size = _copy_disk(original.disk(stored.key), stored.key, work, done, total)
                if size is None:
                    break
            else:
                size = stored.size
                if not stored.checksum or there.get(stored.key) != stored:
                    _copy(original.section, work.bank, stored)
            after, objects, done = stored.key, objects + 1, done + size
            work.report(Progress(done, total, "bytes"))
            if work.stopping:
                break
        return Again(handle={"after": after, "objects": objects, "bytes": done, "total": total},
                     progress=Progress(done, total, "bytes"))

    def undo(self, work: Work) -> Outcome:
        page = work.bank.list(limit=PAGE)
        if not page:
            return Done()
        work.bank.delete([stored.key for stored in page])
        return Again()


def _copy_disk(disk: KeptDisk, key: str, work: Work, before: int, total: int) -> int | None:
    """Copy a disk into the work's vault; return its size in bytes, None when the work stops."""
    stored = DiskVault(work.vault, work.bank).store(
        key.removesuffix(DISK), disk.read, size=disk.size, expected=disk.checksums,
        copy_of=disk.identity, stop=lambda: work.stopping,
        progress=lambda done: work.report(Progress(before + done, total, "bytes")))
    return None if isinstance(stored, Paused) else disk.size


def _copy(original: Section, copy: Section, stored: Stored) -> None:
    """Copy one object. Raises ObjectDamaged when the bytes are not what the original's bank has
    recorded."""
    made = copy.put(stored.key, original.get(stored.key))
    if stored.checksum and made != stored:
        raise ObjectDamaged(
            f"the copy of {stored.key} has {made.size} bytes with the checksum "
            f"{made.checksum}, and the original {stored.size} with {stored.checksum}"
        )


class Compared(Task):
    """Every object of the original is in the copy, with its size and checksum, every disk is the
    one that was copied; and each was read back to its end, by the protection's own `proofs` if
    these say so, else here."""

    name = "section-compared"
    carries = True

    def __init__(self, original: Callable[[], Original], proofs: Sequence[Stage | Task]) -> None:
        self._original = original
        self._proofs = [proof.name for proof in proofs]

    def run(self, work: Work) -> Outcome:
        original = self._original()
        after, done = str(work.handle.get("after", "")), int(work.handle.get("bytes", 0))
        within = int(work.handle.get("within", 0))          # bytes of a disk that were read back
        total = int(work.saved(Copied.name)["bytes"])
        page = original.section.list(after=after, limit=PAGE)
        if not page:
            return Done()
        there = {stored.key: stored for stored in work.bank.list(after=after, limit=PAGE)}
        read = not self._were_read(work)
        for stored in page:
            if stored.key.endswith(BEGUN_DISK):
                after = stored.key
                continue
            if stored.key.endswith(DISK):
                disk = _copy_of(original.disk(stored.key), stored.key, work)
                if read:
                    within = disk.check(within, stop=lambda: work.stopping)
                    if within < disk.size:
                        break
                size, within = disk.size, 0
            else:
                size = _compare(stored, there, work, read=read)
            after, done = stored.key, done + size
            work.report(Progress(done, total, "bytes"))
            if work.stopping:
                break
        return Again(handle={"after": after, "bytes": done, "within": within},
                     progress=Progress(done, total, "bytes"))

    def _were_read(self, work: Work) -> bool:
        told = [work.saved(name).get("evidence") for name in self._proofs]
        return bool(told) and all(evidence == Evidence.CHECKSUMS for evidence in told)


def _compare(stored: Stored, there: dict[str, Stored], work: Work, *, read: bool) -> int:
    """Compare one object with its copy; return its size. Raises ObjectMissing, ObjectDamaged."""
    # A list may be a little older than the last objects.
    copied = there.get(stored.key) or work.bank.stat(stored.key)
    if copied is None:
        raise ObjectMissing(f"the copy has no {stored.key}")
    if stored.checksum and copied != stored:
        raise ObjectDamaged(f"{stored.key} of the copy is not the object that was copied")
    if read:
        for _ in work.bank.get(stored.key):
            pass        # the bank compares the checksum
    return stored.size


def _copy_of(disk: KeptDisk, key: str, work: Work) -> KeptDisk:
    """Return the copy of a disk. Raises ObjectMissing, ObjectDamaged when it is another disk."""
    copied = DiskVault(work.vault, work.bank).open(key.removesuffix(DISK))
    if (copied.identity, copied.size) != (disk.identity, disk.size):
        raise ObjectDamaged(f"{key} of the copy is not the disk that was copied")
    return copied
