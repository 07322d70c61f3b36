"""karbor operation: what was asked for, how it stands, and how to go on with it."""

from __future__ import annotations

import sys
import time

import click

from karbor.cli import exit_codes
from karbor.cli.credential_view import credential_facts
from karbor.cli.error_handling import answering
from karbor.cli.formatting import clock, driven_by, lapse, moment, titles
from karbor.cli.invocation import common_without, this
from karbor.cli.outcome import journalled, left_over, operation_json
from karbor.cli.output import as_facts, as_json, as_table, say
from karbor.cli.run_operation import run, run_removal, run_to_exit, say_unfinished
from karbor.cli.steps_view import graph_of, message, stage_name, told
from karbor.domain.operation import Operation, OperationState
from karbor.domain.step import Step
from karbor.operations.restore import not_restored


@click.group(short_help="List, show, resume and cancel operations.")
def operation() -> None:
    """List and show operations; resume and cancel them."""


@operation.command("list", short_help="List operations, newest first.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True,
              help="List at most this many.")
@common_without("provider")
@answering
def list_(limit: int) -> None:
    """List the project's operations, newest first."""
    invocation = this()
    with invocation.local() as local:
        operations = local.operations(limit=limit)
        interrupted = {one.id for one in local.interrupted()}
        waiting = {one.id for one in local.waiting()}
    if invocation.json:
        as_json([{**operation_json(one), "interrupted": one.id in interrupted,
                  "waits_for_worker": one.id in waiting} for one in operations])
        return

    def stands(one: Operation) -> str:
        if one.id in waiting:
            return _waits(one)
        return "interrupted" if one.id in interrupted else str(one.state)

    as_table(("ID", "VERB", "WHAT", "CREATED", "TOOK", "STATE"), [
        (one.id, one.verb, one.request.get("name", ""), moment(one.created_at),
         lapse(one.created_at, one.finished_at) if one.finished_at else "",
         stands(one))
        for one in operations], "nothing has been done in this project yet",
        spare=("TOOK", "CREATED"))
    for one in operations:
        if one.id in interrupted:
            say_unfinished(f"{one.verb} of {one.request.get('name') or one.id}", one.id)


@operation.command("show", short_help="Show an operation, step by step.")
@click.argument("operation")
@click.option("--steps/--no-steps", default=True, help="Show its steps, or leave them out.")
@common_without("provider")
@answering
def show(operation: str, steps: bool) -> None:
    """Show the state of OPERATION (id, or its beginning), step by step."""
    invocation = this()
    with invocation.local() as local:
        found = local.operation(operation)
        listed = local.steps(found.id)
        events = local.events(found.id)
        driver = None if found.state.over else local.driver(found)
        interrupted = found.id in {one.id for one in local.interrupted()}
        waits = found.id in {one.id for one in local.waiting()}
    if invocation.json:
        as_json({**operation_json(found), "interrupted": interrupted, "waits_for_worker": waits,
                 "driven_by": driver._asdict() if driver else None,
                 **({"steps": [_step_json(step) for step in listed]} if steps else {}),
                 "events": [{"at": at, "text": text} for at, text in events]})
        return
    paint(found, interrupted, waits)
    if driver:
        as_facts((("driven by", driven_by(driver)),))
    for at, text in events:
        as_facts((("event", f"{clock(at)}  {text}"),))
    if steps:
        paint_steps(found, listed)


def _waits(found: Operation) -> str:
    return f"waits for a worker ({lapse(found.created_at, time.time())})"


def paint(found: Operation, interrupted: bool, waits: bool = False) -> None:
    state = _waits(found) if waits else str(found.state)
    if interrupted:
        state = f"interrupted while {state} (resume with: karbor operation resume {found.id})"
    as_facts((
        ("operation", found.id), ("verb", found.verb),
        ("what", str(found.request.get("name", ""))), ("checkpoint", found.checkpoint_id),
        ("state", state),
        ("error", journalled(found.error) if found.error else ""),
        ("created", moment(found.created_at)),
        ("finished", moment(found.finished_at) if found.finished_at else ""),
        *credential_facts(found.credential, over=found.state.over)))
    for line in not_restored(found.result):
        as_facts((("not restored", line),))
    for text in left_over(found):
        as_facts((("left over", text),))


def paint_steps(found: Operation, steps: list[Step]) -> None:
    graph = graph_of(found)
    names = titles(graph) if graph else {}

    def took(step: Step) -> str:
        if not step.finished_at or not step.entered_at:
            return ""
        return lapse(step.entered_at, step.finished_at)

    as_table(("STEP", "RESOURCE", "STAGE", "STATE", "TOOK", "SAID"), [
        (str(step.number), names.get(step.resource, step.resource), stage_name(step), step.state,
         took(step), message(step) or ("" if step.finished_at else told(step.progress)))
        for step in steps], "it has no steps yet")


def _step_json(step: Step) -> dict[str, object]:
    return {
        "number": step.number,
        "resource": step.resource,
        "hook": step.hook,
        "stage": step.stage,
        "state": step.state,
        "entries": step.entries,
        "failures": step.failures,
        "handle": dict(step.handle),
        "saved": dict(step.saved),
        "progress": step.progress.to_dict() if step.progress else None,
        "error": dict(step.error) if step.error else None,
        "entered_at": step.entered_at,
        "finished_at": step.finished_at,
    }


@operation.command("resume", short_help="Resume an interrupted operation.")
@click.argument("operation")
@common_without("provider")
@answering
def resume(operation: str) -> None:
    """Go on with OPERATION (id, or its beginning), whose process has ended.

    Of one that is over, what it could not remove is removed with the login at hand.
    """
    invocation = this()
    with invocation.local() as local:
        was_over = local.operation(operation).state.over
        resumed = local.resume(operation)
        if was_over:
            sys.exit(run_removal(invocation, local, resumed))
        run_to_exit(invocation, local, resumed)


@operation.command("cancel", short_help="Cancel an operation and undo what it began.")
@click.argument("operation")
@common_without("provider")
@answering
def cancel(operation: str) -> None:
    """End OPERATION (id, or its beginning) and undo what it began.

    Where another process drives it, that one does it; where its process has ended, this one does.
    Of one that is over, what it could not remove is removed with the login at hand.
    """
    invocation = this()
    with invocation.local() as local:
        was_over = local.operation(operation).state.over
        asked = local.cancel(operation)
        if was_over:
            sys.exit(run_removal(invocation, local, asked))
        code = run(invocation, local, asked)
        end = local.operation(asked).state
    if end is OperationState.CANCELLED:
        code = exit_codes.DONE
    elif end is OperationState.DONE:
        say("karbor: it was done before it could be cancelled")
        code = exit_codes.CONFLICT
    if code:
        sys.exit(code)
