"""Performs a Stage: adopt or create, wait, and remove again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from karbor.domain.errors import (
    CloudNotFound,
    PluginFault,
    RemoteFailed,
    RequestRefused,
    WorkInterrupted,
)
from karbor.domain.step import Again, Done, Failed, Outcome, Wait
from karbor.engine.runner import REMOVAL
from karbor.plugin.protection import Stage, Work

DELETION_FAILED = frozenset({"error_deleting", "error-deleting"})
LOOKS = 10                  # at a thing that is worked on, before its deletion is asked for again
ENTERED_AGAIN = "entered_again"      # in a handle: another process may have sent the request too
DELETIONS = 3               # requests that may fail before we believe that it cannot be deleted


def perform(stage: Stage, work: Work) -> Outcome:
    """One entry: at most one request that creates, or one look."""
    made = work.handle.get("id")
    if made is None:
        present = _find(stage, work) if work.entered_before else ()
        made = present[0] if present else stage.create(work)
        asked = dict(work.cloud.asked(made))
        return Again(work.cloud.first_poll_delay(stage.kind),
                     handle={**work.handle, "id": made, **({"asked": asked} if asked else {}),
                             **({ENTERED_AGAIN: True} if work.entered_before else {})})
    seen = work.cloud.look(stage.kind, made)
    if seen is None:
        if stage.absent_is_error:
            # Nova removes an image by itself when it could not make it.
            return Failed(WorkInterrupted(
                f"{_what(stage)} {made} has vanished while it was waited for",
                remedy="somebody may have deleted it; start again", **_asked(work)))
        return Done({"id": made}, handle=dict(work.handle))
    state = stage.status(seen)
    if state in stage.ready:
        left = _remove_superfluous(stage, work, made)
        if isinstance(left, Again):
            return left
        return Done({**stage.finished(work, made, seen), **({"note": left} if left else {})},
                    handle=dict(work.handle))
    if state in stage.failed:
        why = stage.failure(seen)
        kind = WorkInterrupted if stage.may_succeed_anew(seen) else RemoteFailed
        return Failed(kind(
            f"{_what(stage)} {made} went to state {state}" + (f": {why}" if why else ""),
            remedy="the log of the service says more", **_asked(work)))
    if why := stage.given_up(work, made, seen):
        # The first time it is only noted: the service may have begun, or ended, in this moment.
        if not work.handle.get("given_up"):
            return Again(work.cloud.interval(stage.kind), handle={**work.handle, "given_up": why})
        return Failed(WorkInterrupted(f"{_what(stage)} {made} was given up: {why}",
                                      remedy="the log of the service says more", **_asked(work)))
    return Again(work.cloud.interval(stage.kind), handle=_without_doubt(work.handle),
                 progress=stage.progress(seen),
                 wait=Wait(f"{_what(stage)} {made}, which is {state}", stage.waits))


def _find(stage: Stage, work: Work) -> Sequence[str]:
    """Return what the stage finds. Raises PluginFault for what is no list of ids."""
    present: object = stage.find(work)
    if (isinstance(present, str) or not isinstance(present, Sequence)
            or not all(isinstance(id, str) for id in present)):
        raise PluginFault(f"the stage {stage.name} found {present!r:.80}, which is no list of ids")
    return present


def _remove_superfluous(stage: Stage, work: Work, made: str) -> Again | str:
    """Return what to wait for, or what could not be removed; "" when nothing but `made` bears the
    mark.

    The process that entered the stage before may have been killed, or may have lost its lock, while
    its request was under way: the service carries it out after the next process has looked for what
    it made and has found nothing. Then there are two.
    """
    if not work.handle.get(ENTERED_AGAIN):
        return ""
    leaving, failed = [], []
    deletions = dict(work.handle.get("superfluous", {}))
    for id in _find(stage, work):
        seen = work.cloud.look(stage.kind, id) if id != made else None
        if seen is None or stage.status(seen) == "deleted":
            continue
        if stage.status(seen) in DELETION_FAILED and deletions.get(id, 0) >= DELETIONS:
            failed.append(id)
            continue
        leaving.append(id)
        if stage.status(seen) != "deleting":
            with suppress(RequestRefused, CloudNotFound):   # looked at again until it is gone
                stage.delete(work, id)
                deletions[id] = deletions.get(id, 0) + 1
    if leaving:
        return Again(work.cloud.interval(stage.kind),
                     handle={**work.handle, "superfluous": deletions}, wait=Wait(
                         f"a second {_what(stage)} {', '.join(leaving)} to be gone", REMOVAL))
    return (f"a second {_what(stage)} {', '.join(failed)}, made by a process that was interrupted, "
            "could not be deleted: an administrator can reset its state and delete it"
            if failed else "")


def _without_doubt(handle: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in handle.items() if name != "given_up"}


def undo(stage: Stage, work: Work) -> Outcome:
    """One entry of the removal: one request to delete, or one look whether it is gone."""
    made = work.handle.get("id")
    if made is not None and not work.handle.get(ENTERED_AGAIN):
        return _undo(stage, work, made)
    present = _find(stage, work)
    if made is None and not present:
        return Done()
    # What it was entered again for may have been made twice: one after the other is removed.
    outcome = _undo(stage, work, made or present[0])
    left = [id for id in present if id != (made or present[0])]
    if isinstance(outcome, Again) and left:
        return replace(outcome, handle={**(outcome.handle or {}), ENTERED_AGAIN: True})
    if isinstance(outcome, Done) and left:
        return Again(handle={"id": left[0], ENTERED_AGAIN: True})
    return outcome


def _undo(stage: Stage, work: Work, made: str) -> Outcome:
    handle = {**work.handle, "id": made}
    refused = str(handle.get("refused") or "")
    if refused and int(handle.get("looks", 0)) < LOOKS:
        # It was refused because somebody works on it: asked again when that is over.
        seen = work.cloud.look(stage.kind, made)
        if seen is not None and stage.status(seen) == refused:
            return _still_there(stage, work, made, seen, handle)
    if not work.handle.get("deleting"):
        try:
            stage.delete(work, made)
        except RequestRefused:
            seen = work.cloud.look(stage.kind, made)
            state = stage.status(seen) if seen is not None else ""
            if state and state not in stage.ready | stage.failed | DELETION_FAILED:
                return _still_there(stage, work, made, seen or {}, {
                    **handle, "refused": state, "looks": 0})
        except CloudNotFound:
            return Done()
        else:
            return Again(
                work.cloud.first_poll_delay(stage.kind), handle={**handle, "deleting": True}
            )
    seen = work.cloud.look(stage.kind, made)
    if seen is None or stage.status(seen) == "deleted":
        return Done()
    state = stage.status(seen)
    if state in DELETION_FAILED or (state in stage.failed and handle.get("deleting")):
        asked = int(handle.get("deletions", 1))
        if asked < DELETIONS:       # its service may have been restarted meanwhile
            return Again(work.cloud.interval(stage.kind), handle={
                "id": made, "deletions": asked + 1,
                **({ENTERED_AGAIN: True} if ENTERED_AGAIN in handle else {})})
        return Failed(RemoteFailed(f"{_what(stage)} {made} cannot be deleted: "
                                   f"{stage.failure(seen) or stage.status(seen)}",
                                   remedy="an administrator can reset its state and delete it",
                                   **work.cloud.asked(made)))
    return Again(work.cloud.interval(stage.kind), handle=handle,
                 wait=Wait(f"{_what(stage)} {made} to be gone; it is {state}", REMOVAL))


def _still_there(stage: Stage, work: Work, made: str, seen: Mapping[str, Any],
                 handle: Mapping[str, Any]) -> Outcome:
    """Somebody else works on it, so that its service does not delete it yet."""
    state = stage.status(seen)
    why = stage.never_deleted(work, made, seen)
    if why and handle.get("never"):     # the second time: it is no passing moment
        return Failed(RemoteFailed(
            f"{_what(stage)} {made} cannot be deleted while it is {state}: {why}",
            remedy="an administrator can reset its state and delete it", **work.cloud.asked(made)))
    return Again(work.cloud.interval(stage.kind),
                 handle={**handle, "looks": int(handle["looks"]) + 1, "never": bool(why)},
                 wait=Wait(f"{_what(stage)} {made} to be deletable; it is {state}", REMOVAL))


def _asked(work: Work) -> Mapping[str, Any]:
    """The request that made it: kept, since it may fail in another process, hours later."""
    found: Mapping[str, Any] = work.handle.get("asked", {})
    return found


def _what(stage: Stage) -> str:
    return stage.kind.split(".", 1)[-1]
