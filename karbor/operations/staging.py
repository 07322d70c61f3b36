"""Performs a Stage: adopt or create, wait, and remove again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from karbor.domain.errors import CloudConflict, CloudNotFound, RemoteFailed
from karbor.domain.step import Again, Done, Failed, Outcome
from karbor.plugin.protection import Stage, Work

ANEW = 3                    # times that a thing which its service gave up is made anew
DELETION_FAILED = frozenset({"error_deleting", "error-deleting"})


def perform(stage: Stage, work: Work) -> Outcome:
    """One entry: at most one request that creates, or one look."""
    made = work.handle.get("id")
    if made is None:
        made = (stage.find(work) if work.entered_before else None) or stage.create(work)
        asked = dict(work.cloud.asked(made))
        return Again(work.cloud.soon(stage.kind),
                     handle={**work.handle, "id": made, **({"asked": asked} if asked else {})})
    seen = work.cloud.look(stage.kind, made)
    if seen is None and work.handle.get("given_up"):
        return Again(0.0, handle={"anew": int(work.handle.get("anew", 0)) + 1})
    if seen is None:
        if stage.absent_is_error:
            return Failed(RemoteFailed(
                f"{_what(stage)} {made} has vanished while it was waited for",
                remedy="somebody may have deleted it; start again", **_asked(work)))
        return Done({"id": made}, handle=dict(work.handle))
    state = stage.status(seen)
    if state in stage.ready:
        return Done(stage.finished(work, made, seen), handle=dict(work.handle))
    if state in stage.failed:
        why = stage.failure(seen)
        return Failed(RemoteFailed(
            f"{_what(stage)} {made} went to state {state}" + (f": {why}" if why else ""),
            remedy="the log of the service says more", **_asked(work)))
    if why := stage.given_up(work, made, seen):
        return _give_up(stage, work, made, why)
    return Again(work.cloud.interval(stage.kind), handle=_without_doubt(work.handle),
                 progress=stage.progress(seen))


def _give_up(stage: Stage, work: Work, made: str, why: str) -> Outcome:
    """The first time it is only noted: the service may have begun, or ended, in this moment. The
    second time it is deleted, and once it is seen to be gone, made anew."""
    if not work.handle.get("given_up"):
        return Again(work.cloud.interval(stage.kind), handle={**work.handle, "given_up": why})
    if int(work.handle.get("anew", 0)) >= ANEW:
        return Failed(RemoteFailed(f"{_what(stage)} {made} was given up {ANEW + 1} times: {why}",
                                   remedy="the log of the service says more", **_asked(work)))
    stage.delete(work, made)
    return Again(work.cloud.soon(stage.kind), handle=dict(work.handle))


def _without_doubt(handle: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in handle.items() if name != "given_up"}


def undo(stage: Stage, work: Work) -> Outcome:
    """One entry of the removal: one request to delete, or one look whether it is gone."""
    made = work.handle.get("id") or stage.find(work)
    if made is None:
        return Done()
    handle = {**work.handle, "id": made}
    if not work.handle.get("deleting"):
        try:
            stage.delete(work, made)
        except CloudConflict:
            pass        # e.g. a backup still being made: cannot be deleted yet, or never
        except CloudNotFound:
            return Done()
        else:
            return Again(work.cloud.soon(stage.kind), handle={**handle, "deleting": True})
    seen = work.cloud.look(stage.kind, made)
    if seen is None or stage.status(seen) == "deleted":
        return Done()
    if stage.status(seen) in DELETION_FAILED:
        return Failed(RemoteFailed(f"{_what(stage)} {made} cannot be deleted: "
                                   f"{stage.failure(seen) or stage.status(seen)}",
                                   remedy="an administrator can reset its state and delete it",
                                   **work.cloud.asked(made)))
    return Again(work.cloud.interval(stage.kind), handle=handle)


def _asked(work: Work) -> Mapping[str, Any]:
    """The request that made it: kept, since it may fail in another process, hours later."""
    found: Mapping[str, Any] = work.handle.get("asked", {})
    return found


def _what(stage: Stage) -> str:
    return stage.kind.split(".", 1)[-1]
