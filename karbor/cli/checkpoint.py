"""karbor checkpoint: what there is to restore from."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from karbor.cli import exit_codes
from karbor.cli.checkpoint_view import checkpoint_json, paint_checkpoint, verified
from karbor.cli.confirmation import confirmed, confirming
from karbor.cli.credential_view import credential_facts, credential_json, expecting, seconds
from karbor.cli.error_handling import answering, leave
from karbor.cli.formatting import count, cut, duration, moment, titles
from karbor.cli.invocation import common, common_without, this
from karbor.cli.output import as_facts, as_json, as_table, say
from karbor.cli.run_operation import run, run_to_exit, say_unfinished, start
from karbor.cli.sparse_output import write_blocks
from karbor.domain.checkpoint import Checkpoint
from karbor.domain.errors import BadInput, KarborError
from karbor.domain.operation import Verb

if TYPE_CHECKING:
    from karbor.application.admission import Draft
    from karbor.cmd.embedded import EmbeddedKarbor

LONGEST_REASON = 60     # characters of it in a list; `show` has all


@click.group(short_help="List, show, copy and delete checkpoints.")
def checkpoint() -> None:
    """List, show, copy and delete checkpoints."""


def _interrupted(local: EmbeddedKarbor) -> dict[str, str]:
    """Return for each checkpoint the protect, copy or delete that has to be finished."""
    return {operation.checkpoint_id: operation.id for operation in local.interrupted()
            if operation.verb in (Verb.PROTECT, Verb.COPY, Verb.DELETE)}


@checkpoint.command("list", short_help="List checkpoints, newest first.")
@click.option("--all", "hidden", is_flag=True, help="Also list checkpoints that are being deleted.")
@common
@answering
def list_(hidden: bool) -> None:
    """List the project's checkpoints, newest first."""
    invocation = this()
    with invocation.local() as local:
        listing = local.checkpoints(hidden=hidden)
        interrupted = _interrupted(local)
    for error in listing.unreadable:
        say(f"karbor: {error}")
    if listing.others:
        say(f"karbor: not shown: {count(listing.others, 'checkpoint')} of other providers in the "
            "same bank")
    if invocation.json:
        as_json([checkpoint_json(one, brief=True) for one in listing.found])
    else:
        as_table(
            ("ID", "NAME", "CREATED", "STATE", "RESOURCES", "EVIDENCE", "SKEW", "VERIFIED", "WHY"),
            [(one.id, one.name, moment(one.created_at), _state(one, interrupted),
              str(len(one.graph)), str(one.evidence or "none"),
              "" if one.skew is None else duration(one.skew), verified(one),
              cut(one.reason, LONGEST_REASON)) for one in listing.found],
            "this project has no checkpoints", spare=("SKEW", "RESOURCES", "EVIDENCE"))
        for one in listing.found:
            if one.id in interrupted:
                say_unfinished(one.name, interrupted[one.id])
    if listing.unreadable:
        sys.exit(exit_codes.BANK)


def _state(one: Checkpoint, interrupted: Mapping[str, str]) -> str:
    if one.id in interrupted:
        return "interrupted"
    if one.damage:
        return f"{one.state}, DAMAGED"      # what is damaged: `karbor checkpoint show`
    return str(one.state)


@checkpoint.command("show", short_help="Show what a checkpoint holds, and what was verified.")
@click.argument("checkpoint")
@common
@answering
def show(checkpoint: str) -> None:
    """Show what CHECKPOINT (name, id, or its beginning) holds, and what was verified."""
    invocation = this()
    with invocation.local() as local:
        found = local.checkpoint(checkpoint)
        interrupted = _interrupted(local)
    if invocation.json:
        as_json(checkpoint_json(found))
        return
    paint_checkpoint(found)
    if found.id in interrupted:
        say_unfinished(found.name, interrupted[found.id])


@checkpoint.command("export", short_help="Write a disk, or a part of it, to a file.")
@click.argument("checkpoint")
@click.argument("disk")
@click.option("-o", "--output", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
              help="A new file, written sparsely. Default: stdout.")
@click.option("--offset", metavar="BYTES", type=click.IntRange(0), default=0,
              help="Begin at this byte of the disk.")
@click.option("--length", metavar="BYTES", type=click.IntRange(0),
              help="Write so many bytes. Default: to the end.")
@common_without("format")
@answering
def export(checkpoint: str, disk: str, output: Path | None, offset: int, length: int | None
           ) -> None:
    """Write a raw disk of CHECKPOINT (name, id, or its beginning) to a file or stdout.

    DISK is an image's, or its server's, name or id. Only what the bank holds can be exported, and
    only what is asked for is read; every byte is verified before it is written. A part that fails
    leaves the file with what came before.
    """
    invocation = this()
    if output is None and sys.stdout.isatty():
        raise BadInput("a disk is not written to a terminal", remedy="name a file with --output, "
                       "or redirect stdout")
    if output is not None and output.exists():
        raise BadInput(f"{output} exists already", remedy="name a new file")
    with invocation.local() as local:
        found = local.disk(checkpoint, disk, offset=offset, length=length)
        if output is None:
            written = write_blocks(found.blocks, sys.stdout.buffer)
        else:
            with output.open("xb") as file:
                written = write_blocks(found.blocks, file)
    say(f"{found.resource.name or found.resource.id}: {written} bytes from {found.offset} on of "
        f"{found.size}")


@checkpoint.command("copy", short_help="Copy a checkpoint into another provider's bank.")
@click.argument("checkpoint")
@click.option("--to", "to", metavar="PROVIDER", required=True,
              help="Provider (name or id) whose bank receives the copy.")
@click.option("--dry-run", is_flag=True,
              help="Show what would be copied, or why it cannot be; copy nothing.")
@expecting
@common
@answering
def copy(checkpoint: str, to: str, dry_run: bool, hours: float | None) -> None:
    """Copy CHECKPOINT (name, id, or its beginning) into the bank of another provider.

    The copy is a checkpoint of that provider, with an id of its own, and does not need the original
    any more. What services of the cloud hold, such as Cinder's backups, cannot be copied.
    """
    invocation = this()
    with invocation.local() as local:
        draft = local.draft_copy(checkpoint, to, expected=seconds(hours))
        if dry_run:
            _show_copy(draft, as_data=invocation.json)
            return
        run_to_exit(invocation, local, start(local, draft))


def _show_copy(draft: Draft, *, as_data: bool) -> None:
    operation = draft.operation
    if as_data:
        as_json(
            {
                "dry_run": True,
                "source_id": operation.request["source_id"],
                "provider_id": operation.request["provider_id"],
                "bytes": operation.request["size"],
                "preview": [
                    {
                        "type": resource.type,
                        "id": resource.id,
                        "name": resource.name,
                        "within": resource.within,
                        "what": line,
                    }
                    for resource, line in draft.preview
                ],
                "credential": credential_json(operation.credential),
            }
        )
        return
    names = titles(draft.graph)
    as_table(
        ("RESOURCE", "WHAT WOULD BE DONE"),
        [(names[resource.key], line) for resource, line in draft.preview],
        "nothing would be copied",
    )
    say("nothing stands in the way of this copy")
    as_facts(credential_facts(operation.credential))


@checkpoint.command("delete", short_help="Delete checkpoints and all that only they hold.")
@click.argument("checkpoint", nargs=-1, required=True)
@confirming
@common
@answering
def delete(checkpoint: tuple[str, ...], yes: bool) -> None:
    """Remove CHECKPOINTs (names, ids, or their beginnings) and all that only they hold.

    A checkpoint vanishes at once. A Cinder backup on which later ones are built goes together with
    the last of them.
    """
    invocation = this()
    with invocation.local() as local:
        drafts = [local.draft_delete(fromkey) for fromkey in dict.fromkeys(checkpoint)]
        drafts = list({one.operation.checkpoint_id: one for one in drafts}.values())
        if not confirmed(yes, "delete for ever?", [
                f"{one.operation.checkpoint_id}  {one.operation.request['name']}"
                for one in drafts]):
            return
        worst = 0
        for draft in drafts:
            try:
                code = run(invocation, local, start(local, draft))
            except KarborError as error:
                if len(drafts) == 1:
                    leave(error)
                say(f"karbor: {error}")
                code = exit_codes.code_of(error)
            worst = max(worst, code)
            if code == exit_codes.INTERRUPTED:
                break
    if worst:
        sys.exit(worst)
