"""A resource's section of one bank into another bank, and the proof that it is there.

Bytes are copied as they lie there: names of objects tell no bank and no checkpoint, and what is in
them is bound by checksums to what the checkpoint's head says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from karbor.domain.checkpoint import Evidence
from karbor.domain.errors import ObjectDamaged, ObjectMissing
from karbor.domain.step import Again, Done, Outcome, Progress
from karbor.plugin.bank import Section, Stored
from karbor.plugin.protection import Stage, Task, Work

PAGE = 1000         # objects of one entry: so many are looked at again after a crash


class Copied(Task):
    """Saves `objects` and `bytes`: how much of the resource lies in the bank.

    An entry copies a page of objects. What an earlier entry has copied is seen in the target's own
    list, by its checksum, and not sent again. Holds one piece of one object at a time.
    """

    name = "section-copied"
    carries = True

    def __init__(self, original: Callable[[], Section]) -> None:
        self._original = original

    def run(self, work: Work) -> Outcome:
        original = self._original()
        after, done = str(work.handle.get("after", "")), int(work.handle.get("bytes", 0))
        objects = int(work.handle.get("objects", 0))
        page = original.list(after=after, limit=PAGE)
        total = work.handle.get("total")
        if total is None:
            total = sum(stored.size for stored in original.all())
        if not page:        # a bank may list less than it was asked for, and have more
            return Done({"objects": objects, "bytes": done})
        there = {stored.key: stored for stored in work.bank.list(after=after, limit=PAGE)}
        for stored in page:
            if not stored.checksum or there.get(stored.key) != stored:
                _copy(original, work.bank, stored)
            after, objects, done = stored.key, objects + 1, done + stored.size
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
    """Every object of the original is in the copy, with its size and checksum; and each was read
    back to its end, by the protection's own `proofs` if these say so, else here."""

    name = "section-compared"
    carries = True

    def __init__(self, original: Callable[[], Section], proofs: Sequence[Stage | Task]) -> None:
        self._original = original
        self._proofs = [proof.name for proof in proofs]

    def run(self, work: Work) -> Outcome:
        after, done = str(work.handle.get("after", "")), int(work.handle.get("bytes", 0))
        total = int(work.saved(Copied.name)["bytes"])
        page = self._original().list(after=after, limit=PAGE)
        if not page:
            return Done()
        there = {stored.key: stored for stored in work.bank.list(after=after, limit=PAGE)}
        read = not self._were_read(work)
        for stored in page:
            # A list may be a little older than the last objects.
            found = there.get(stored.key) or work.bank.stat(stored.key)
            if found is None:
                raise ObjectMissing(f"the copy has no {stored.key}")
            if stored.checksum and found != stored:
                raise ObjectDamaged(f"{stored.key} of the copy is not the object that was copied")
            if read:
                for _ in work.bank.get(stored.key):
                    pass        # the bank compares the checksum
            after, done = stored.key, done + stored.size
            work.report(Progress(done, total, "bytes"))
            if work.stopping:
                break
        return Again(handle={"after": after, "bytes": done},
                     progress=Progress(done, total, "bytes"))

    def _were_read(self, work: Work) -> bool:
        told = [work.saved(name).get("evidence") for name in self._proofs]
        return bool(told) and all(one == Evidence.CHECKSUMS for one in told)
