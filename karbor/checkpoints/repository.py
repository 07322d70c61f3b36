"""Checkpoints as a bank tells them. The bank is the truth; see docs/bank-format.md.

    projects/PROJECT/checkpoints/ID/begin.json       what is being protected; written first
    projects/PROJECT/resources/ID/SECTION/…          what each resource keeps
    projects/PROJECT/checkpoints/ID/head.json        how it ended; written last
    projects/PROJECT/checkpoints/ID/verified.json    what the last verify found
    projects/PROJECT/checkpoints/ID/deleting.json    hidden: what it holds is being removed

Records and bytes lie apart, so that listing the records does not walk over millions of pieces.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from karbor.domain.checkpoint import FORMAT, Checkpoint, CheckpointState, Kept
from karbor.domain.errors import (
    AmbiguousName,
    Conflict,
    NewerFormat,
    NotFound,
    ObjectDamaged,
    ObjectExists,
    ObjectMissing,
)
from karbor.domain.resource import Resource, ResourceGraph
from karbor.domain.verification import Verification
from karbor.plugin.bank import Bank, Section

LOG = logging.getLogger(__name__)
PAGE = 1000
VERIFIED = "verified.json"
DELETING = "deleting.json"


def section_name(resource: Resource) -> str:
    """Return the resource's part of its checkpoint, e.g. `volume-1c2d…` (see
    docs/bank-format.md)."""
    kind = resource.type.rsplit("::", 1)[-1].lower()
    return f"{kind}-{resource.id}" + (f"@{resource.within}" if resource.within else "")


class CheckpointRepository:
    """The checkpoints of one project in one bank."""

    def __init__(self, bank: Bank, project_id: str) -> None:
        self._section = Section(bank, f"projects/{project_id}/checkpoints")
        self._bytes = Section(bank, f"projects/{project_id}/resources")
        self._project_id = project_id

    # ------------------------------------------------------------------ reading
    def ids(self) -> Iterator[str]:
        """Yield every checkpoint's id, oldest first (they sort by time), hidden ones included."""
        for identity, _ in self.listed():
            yield identity

    def listed(self) -> Iterator[tuple[str, str]]:
        """Yield the ids as `ids` does, each with the checksum of what its last verify found, ""
        before there was one. From one listing: no object is read."""
        last, checksum = "", ""
        for stored in self._section.all():
            identity, _, name = stored.key.partition("/")
            if identity != last:
                if last:
                    yield last, checksum
                last, checksum = identity, ""
            if name == VERIFIED:
                checksum = stored.checksum
        if last:
            yield last, checksum

    def list(self, *, hidden: bool = False) -> Iterator[Checkpoint]:
        """Return the project's checkpoints, the newest last. `hidden` shows those that are being
        deleted as well."""
        for identity in self.ids():
            try:
                checkpoint = self.show(identity)
            except ObjectMissing:
                continue        # removed between the listing and the look
            if hidden or checkpoint.state is not CheckpointState.DELETING:
                yield checkpoint

    def has(self, checkpoint_id: str) -> bool:
        """Return whether there is anything of it, in whatever state."""
        return self._section.stat(f"{checkpoint_id}/begin.json") is not None

    def sizes(self, checkpoint_id: str) -> dict[str, tuple[int, int]]:
        """Return for each section of a resource how many objects and bytes are in it."""
        found: dict[str, tuple[int, int]] = {}
        for stored in self._bytes.section(checkpoint_id).all():
            name = stored.key.split("/", 1)[0]
            objects, size = found.get(name, (0, 0))
            found[name] = objects + 1, size + stored.size
        return found

    def find(self, name_or_id: str, *, whatever_state: bool = False) -> Checkpoint:
        """Find a checkpoint by its id, by the beginning of an id, or by name. Of several of one
        name the only available one is meant, unless that is asked for which may be in
        `whatever_state`. Raises NotFound, AmbiguousName."""
        ids = [one for one in self.ids() if one.startswith(name_or_id)]
        if len(ids) == 1:
            return self.show(ids[0])
        if name_or_id in ids:
            return self.show(name_or_id)
        named, unreadable = self._named(name_or_id)
        available = [
            checkpoint for checkpoint in named if checkpoint.state is CheckpointState.AVAILABLE
        ]
        if len(named) > 1 and len(available) == 1 and not ids and not whatever_state:
            named = available
        if len(named) == 1:
            return named[0]
        if named or ids:
            told = [*ids, *(f"{checkpoint.id} ({checkpoint.state})" for checkpoint in named)]
            raise AmbiguousName(
                f"{name_or_id} is the name or the beginning of several checkpoints",
                remedy="give one id: " + ", ".join(told[:8]))
        but = f", as far as can be read ({', '.join(unreadable)} cannot)" if unreadable else ""
        raise NotFound(f"this project has no checkpoint {name_or_id}{but}",
                       remedy="see them with: karbor checkpoint list")

    def _named(self, name: str) -> tuple[Sequence[Checkpoint], Sequence[str]]:
        """Return the checkpoints of this name, and the ids of those whose name cannot be told: a
        damaged checkpoint must not stand in the way of the others."""
        named, unreadable = [], []
        for identity in self.ids():
            try:
                checkpoint = self.show(identity)
            except ObjectMissing:
                continue
            except (ObjectDamaged, NewerFormat):
                unreadable.append(identity)
                continue
            if checkpoint.name == name and checkpoint.state is not CheckpointState.DELETING:
                named.append(checkpoint)
        return named, unreadable

    def show(self, checkpoint_id: str) -> Checkpoint:
        """Read a checkpoint from the bank. Raises ObjectMissing, ObjectDamaged, NewerFormat."""
        section = self._section.section(checkpoint_id)
        begin = self._read(section, "begin.json")
        try:
            head: Mapping[str, Any] | None = self._read(section, "head.json")
        except ObjectMissing:
            head = None
        state = CheckpointState(head["state"]) if head else CheckpointState.PROTECTING
        if section.stat(DELETING):
            state = CheckpointState.DELETING
        told = head or begin
        return Checkpoint(
            id=begin["id"], project_id=begin["project_id"], name=begin["name"],
            created_at=begin["created_at"], state=state,
            graph=ResourceGraph.from_dict(told["graph"]),
            kept={one["key"]: Kept.from_dict(one) for one in told.get("kept", ())},
            parameters=begin["parameters"], operation_id=begin["operation_id"],
            provider_id=begin["provider_id"], finished_at=told.get("finished_at"),
            skew=told.get("skew"), reason=told.get("reason", ""),
            left=told.get("left", ()), origin=begin.get("origin", {}),
            verified=self.verified(checkpoint_id))

    def verified(self, checkpoint_id: str) -> Verification | None:
        """Return what the last verify found. One that cannot be read counts as none: the next
        one writes it anew. Raises NewerFormat."""
        section = self._section.section(checkpoint_id)
        if section.stat(VERIFIED) is None:
            return None
        try:
            found = self._read(section, VERIFIED)
            return Verification.from_dict(found)
        except (ObjectMissing, ObjectDamaged):
            return None
        except (KeyError, TypeError, ValueError) as error:
            LOG.warning("%s of checkpoint %s cannot be understood: %s", VERIFIED, checkpoint_id,
                        error)
            return None

    def _read(self, section: Section, key: str) -> Mapping[str, Any]:
        raw = b"".join(section.get(key))
        try:
            found = json.loads(raw)
            version = found["format"]
        except (ValueError, TypeError, KeyError) as error:
            raise ObjectDamaged(f"{key} of a checkpoint cannot be understood: {error}",
                                remedy="restore this object of the bank from a copy") from error
        if version > FORMAT:
            raise NewerFormat(f"this checkpoint has format {version}; this Karbor knows {FORMAT}",
                              remedy="use the Karbor that wrote it, or a later one")
        if not isinstance(found, dict):
            raise ObjectDamaged(f"{key} of a checkpoint is no object of JSON")
        return found

    def section(self, checkpoint_id: str, resource: Resource) -> Section:
        """Return the section in which the plugin of a resource keeps its bytes."""
        return self._bytes.section(f"{checkpoint_id}/{section_name(resource)}")

    # ------------------------------------------------------------------ writing
    def begin(self, checkpoint: Checkpoint) -> None:
        """Write it down as begun. Idempotent for the same operation."""
        self._write(checkpoint.id, "begin.json", {
            "format": FORMAT, "id": checkpoint.id, "project_id": self._project_id,
            "name": checkpoint.name, "created_at": checkpoint.created_at,
            "operation_id": checkpoint.operation_id, "provider_id": checkpoint.provider_id,
            "parameters": dict(checkpoint.parameters), "graph": checkpoint.graph.to_dict(),
            **({"origin": dict(checkpoint.origin)} if checkpoint.origin else {})})

    def conclude(self, checkpoint: Checkpoint) -> None:
        """Write the head, and read it back: from now on the checkpoint is what it says.

        Idempotent: a head that is there already (an earlier try was cut off) stays. Raises Conflict
        where the checkpoint may not become that: another process has concluded it otherwise, or is
        deleting it, so that nobody may say that it is there.
        """
        self._require_move(checkpoint)
        self._write(checkpoint.id, "head.json", {
            "format": FORMAT, "id": checkpoint.id, "state": checkpoint.state,
            "graph": checkpoint.graph.to_dict(), "skew": checkpoint.skew,
            "kept": [one.to_dict() for one in checkpoint.kept.values()],
            "finished_at": checkpoint.finished_at, "reason": checkpoint.reason,
            **({"left": [dict(one) for one in checkpoint.left]} if checkpoint.left else {})})
        self._require_move(checkpoint)

    def _require_move(self, checkpoint: Checkpoint) -> None:
        state = self.show(checkpoint.id).state
        if state is not checkpoint.state and not state.may_become(checkpoint.state):
            raise Conflict(f"checkpoint {checkpoint.id} is {state} in its bank and cannot become "
                           f"{checkpoint.state}: another process works on it",
                           remedy="let only one Karbor work on a checkpoint, and begin anew")

    def fail(self, checkpoint: Checkpoint, now: float) -> None:
        """Conclude a checkpoint that came to nothing: its bytes go, and the head says why. One that
        is concluded already goes altogether: whoever concluded it died before that was in the
        journal, and then it was cancelled. Idempotent."""
        there = self.has(checkpoint.id)
        if there and self.show(checkpoint.id).state in (CheckpointState.PROTECTING,
                                                        CheckpointState.ERROR):
            self.clear(checkpoint.id, keep_record=True)
            self.conclude(checkpoint)
            return
        if there:
            self.hide(checkpoint.id, now)
        self.clear(checkpoint.id)

    def hide(self, checkpoint_id: str, now: float, operation_id: str = "") -> None:
        """Hide the checkpoint: from now on it is being deleted, by that operation. Idempotent.
        Where another one has hidden it, neither may say alone that nothing was removed."""
        if self._write(checkpoint_id, DELETING, {"format": FORMAT, "since": now,
                                                 "operation_id": operation_id}):
            return
        marker = self._read(self._section.section(checkpoint_id), DELETING)
        if marker.get("operation_id", "") not in ("", operation_id):
            self._mark(checkpoint_id, {**marker, "operation_id": ""})

    def removing(self, checkpoint_id: str) -> None:
        """Note that from now on objects of it are being removed: it cannot be shown again.
        Idempotent."""
        try:
            marker = self._read(self._section.section(checkpoint_id), DELETING)
        except ObjectMissing:
            return      # an earlier try has removed everything
        self._mark(checkpoint_id, {"format": FORMAT, "since": marker["since"], "removing": True})

    def unhide(self, checkpoint_id: str, *, hidden_by: str = "") -> CheckpointState | None:
        """Show it again after a deletion that has removed nothing, which the caller knows; with
        `hidden_by`, only if that operation alone has hidden it. Returns what it is then; None when
        it stays hidden, or is gone. Idempotent."""
        section = self._section.section(checkpoint_id)
        try:
            marker = self._read(section, DELETING)
        except ObjectMissing:
            marker = {"operation_id": hidden_by}    # an earlier try has removed it
        owner = marker.get("operation_id")
        if owner is None or marker.get("removing") or (hidden_by and owner != hidden_by):
            return None
        section.delete([DELETING])
        try:
            return self.show(checkpoint_id).state
        except ObjectMissing:
            return None

    def _mark(self, checkpoint_id: str, marker: Mapping[str, Any]) -> None:
        self._section.put(f"{checkpoint_id}/{DELETING}",
                          [json.dumps(marker, sort_keys=True).encode()])

    def note_verified(self, checkpoint_id: str, verification: Verification) -> Verification:
        """Keep what a verify found in place of what an earlier one did, complete or not at all;
        what a later one has found stays. Returns what is kept now."""
        earlier = self.verified(checkpoint_id)
        if earlier is not None and earlier.at > verification.at:
            return earlier
        verification = verification.after(earlier)
        if self.has(checkpoint_id):
            body = {"format": FORMAT, "id": checkpoint_id, **verification.to_dict()}
            self._section.put(f"{checkpoint_id}/{VERIFIED}",
                              [json.dumps(body, sort_keys=True).encode()])
        return verification

    def forget(self, checkpoint_id: str) -> None:
        """Remove the record of one that was written down as begun and never came to anything."""
        if self.has(checkpoint_id):
            self.clear(checkpoint_id)

    def clear(self, checkpoint_id: str, *, keep_record: bool = False) -> None:
        """Remove the bytes of its resources; then (unless `keep_record`) all the rest, the marker
        last, so that a removal that was cut off is still known as one."""
        section = self._section.section(checkpoint_id)
        self._clear(self._bytes, f"{checkpoint_id}/")
        if not keep_record:
            section.delete(["head.json", VERIFIED])
            section.delete(["begin.json"])
            section.delete([DELETING])

    @staticmethod
    def _clear(section: Section, prefix: str) -> None:
        while page := section.list(prefix, limit=PAGE):
            section.delete([stored.key for stored in page])

    def _write(self, checkpoint_id: str, key: str, body: Mapping[str, Any]) -> bool:
        """Write an object if it is absent. Return whether it was absent."""
        raw = json.dumps(body, sort_keys=True).encode()
        try:
            self._section.put(f"{checkpoint_id}/{key}", [raw], absent=True)
        except ObjectExists:
            return False
        return True
