"""How an operation ended, in the words of people or as JSON, and with which exit code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from karbor.cli import exit_codes
from karbor.cli.checkpoint_view import checkpoint_json, paint_checkpoint, paint_unproved
from karbor.cli.credential_view import credential_json
from karbor.cli.formatting import count, ids, lapse, titles
from karbor.cli.invocation import Invocation
from karbor.cli.output import as_json, as_table, say
from karbor.cli.steps_view import graph_of
from karbor.domain.checkpoint_record import UNHIDDEN
from karbor.domain.operation import Operation, OperationState, Verb
from karbor.operations.restore import not_restored
from karbor.operations.selection import short

if TYPE_CHECKING:
    from karbor.cmd.embedded import EmbeddedKarbor


_OF_THE_STEP = {"type", "old_id", "name", "within", "stage", "state"}
"""Of what a result says of a thing that was made: all but what the step held on to."""


def operation_json(operation: Operation) -> dict[str, Any]:
    return {"id": operation.id, "verb": operation.verb, "state": operation.state,
            "wanted": operation.wanted, "project_id": operation.project_id,
            "checkpoint_id": operation.checkpoint_id,
            "credential": credential_json(operation.credential),
            "request": dict(operation.request), "result": dict(operation.result),
            "error": dict(operation.error) if operation.error else None,
            "created_at": operation.created_at, "finished_at": operation.finished_at}


def tell(invocation: Invocation, local: EmbeddedKarbor, operation: Operation) -> int:
    """Say how it ended; the exit code."""
    done = operation.state is OperationState.DONE
    if invocation.json:
        body = operation_json(operation)
        if done and operation.verb in (Verb.PROTECT, Verb.COPY):
            body["checkpoint"] = checkpoint_json(local.checkpoint_of(operation))
        as_json(body)
    elif done:
        _tell_success(local, operation)
    if not done:
        _tell_failure(operation)
    return (
        exit_codes.DONE if done else exit_codes.of_failed((operation.error or {}).get("error", ""))
    )


def tell_removal(invocation: Invocation, operation: Operation) -> int:
    """Say what is still left of an operation that was over; the exit code."""
    left = operation.result.get("left", ())
    if invocation.json:
        as_json(operation_json(operation))
    say("")
    for text in left_over(operation):
        say(f"left over: {text}")
    if left:
        say(f"karbor: {count(len(left), 'thing')} of operation {operation.id} could not be removed "
            f"(see why above, and repeat: karbor operation cancel {operation.id})")
        return exit_codes.FAILED
    say(f"what was left of operation {operation.id} is removed")
    return exit_codes.DONE


def _tell_success(local: EmbeddedKarbor, operation: Operation) -> None:
    took = lapse(operation.created_at, operation.finished_at or operation.created_at)
    name = operation.request.get("name") or operation.checkpoint_id
    say("")
    match operation.verb:
        case Verb.PROTECT:
            say(f"{name}: protected in {took}")
            paint_checkpoint(local.checkpoint_of(operation))
        case Verb.COPY:
            say(f"{name}: copied in {took}: {operation.result['objects']} objects, "
                f"{operation.result['bytes']} bytes")
            paint_checkpoint(local.checkpoint_of(operation))
        case Verb.RESTORE:
            say(f"{name}: restored in {took}")
            paint_restored(operation.result)
        case Verb.VERIFY:
            say(f"{name}: verified in {took}")
            paint_verified(operation.result)
        case Verb.DELETE:
            say(f"{name}: deleted in {took}")
            paint_deleted(operation.result)


def paint_restored(result: Mapping[str, Any]) -> None:
    restored = result.get("restored", ())
    as_table(("TYPE", "NAME", "OLD ID", "NEW ID"), [*made_beside(restored), *final(restored)],
             "nothing was restored", spare=("OLD ID",))
    for line in not_restored(result):
        say(f"not restored: {line}")


def final(restored: Any) -> list[tuple[str, str, str, str]]:
    """Return a row for each resource with the id that its last stage ended with."""
    last: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    for one in restored:
        if one.get("id"):
            last[one["type"], one["old_id"], one.get("within", "")] = one
    return [("disk" if within else short(type), str(one["name"]), old, str(one["id"]))
            for (type, old, within), one in last.items()]


def made_beside(restored: Any) -> list[tuple[str, str, str, str]]:
    """Return a row for each network, router and so on that had to be made: one resource stands
    for all of them, and says in `created` and `maps` what became of each."""
    rows = []
    for one in restored:
        maps: Mapping[str, Mapping[str, str]] = one.get("maps") or {}
        old = {new: before for kind in maps.values() for before, new in kind.items()}
        rows += [(each["kind"].removesuffix("s").replace("-", " "), str(each.get("name", "")),
                  old.get(each["id"], ""), str(each["id"])) for each in one.get("created") or ()]
    return rows


def paint_verified(result: Mapping[str, Any]) -> None:
    verified = result.get("verified", ())
    as_table(("TYPE", "NAME", "ID", "EVIDENCE"),
             [(short(one["type"]), one["name"], str(one.get("id", "")),
               one.get("error") or str(one.get("evidence", "")))
              for one in verified], "there was nothing to verify", spare=("ID",))
    names = [(one["type"], one["name"]) for one in verified]
    paint_unproved((f"{short(one['type'])} {one['name']}"
                    + (f" ({one['id']})" if names.count((one["type"], one["name"])) > 1 else ""),
                    one.get("unproved", "")) for one in verified)


def paint_deleted(result: Mapping[str, Any]) -> None:
    swept = result.get("swept") or ()
    for one in result.get("deferred", ()):
        if one["id"] in swept:
            continue        # the last that needed it had just gone
        say(f"left for later: {short(one['type'])} {one['name']}: backup {one['id']}, on which "
            "later ones were built; it goes with the last of them")
    if swept:
        say(f"removed as well: {count(len(swept), 'backup')} that earlier deletions had to leave")
    if why := result.get("not_swept"):
        say(f"what earlier deletions had to leave is still there: {why}")


def _tell_failure(operation: Operation) -> None:
    """Tell what happened, to which resource, at which request; what is left over; what to do
    next."""
    error = operation.error or {}
    name = operation.request.get("name") or operation.checkpoint_id
    say("")
    if operation.verb is Verb.VERIFY and operation.result.get("verified"):
        paint_verified(operation.result)
    if operation.state is OperationState.CANCELLED:
        say(f"karbor: {operation.verb} of {name} was cancelled; what it had begun is undone")
    else:
        say(f"karbor: {operation.verb} of {name} failed: {journalled(error)}")
    for obstacle in error.get("obstacles", ()):
        say(
            f"  - {obstacle['what']}"
            + (f" ({obstacle['remedy']})" if obstacle.get("remedy") else "")
        )
    for text in left_over(operation):
        say(f"left over: {text}")
    if operation.verb is Verb.DELETE:
        unhidden = operation.result.get(UNHIDDEN)
        say(f"nothing was removed: the checkpoint is {unhidden} as before" if unhidden else
            "the checkpoint stays hidden, since something of it may be gone: when the cause is "
            f"removed, delete it again: karbor checkpoint delete {operation.checkpoint_id}")
    for obstacle in operation.result.get("kept", ()):
        say(f"kept: {short(obstacle['type'])} {obstacle['name']} {obstacle['stage']}: "
            f"{ids({name: value for name, value in obstacle.items() if name not in _OF_THE_STEP})}")
    if operation.result.get("left"):
        click.echo("        remove what is left, once nothing stands in the way, with: karbor "
                   f"operation cancel {operation.id}", err=True)
    click.echo(f"        see: karbor operation show {operation.id}", err=True)


def left_over(operation: Operation) -> list[str]:
    """Return a line for each thing that could not be removed: of what, its id, and why."""
    graph = graph_of(operation)
    names = titles(graph) if graph else {}
    return [f"{names.get(one['resource'], one['resource'])}: "
            f"{str(one['stage']).replace('_', ' ')}: {ids(one['handle'])}"
            + (f": {one['why']}" if one.get("why") else "")
            for one in operation.result.get("left", ())]


def journalled(error: Mapping[str, Any]) -> str:
    """Return an error of the journal in one line."""
    text = str(error.get("message", "nothing is known of the cause"))
    if error.get("resource"):
        text = f"{error['resource']}: {text}"
    if error.get("remedy"):
        text += f" ({error['remedy']})"
    where = " ".join(str(error[part]) for part in ("service", "request") if error.get(part))
    if where or error.get("request_id"):
        text += f" [{', '.join(filter(None, (where, error.get('request_id'))))}]"
    return text
