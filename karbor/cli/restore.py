"""karbor restore: a checkpoint into new resources."""

from __future__ import annotations

from collections.abc import Sequence

import click

from karbor.application.admission import Draft
from karbor.application.requests import RestoreOptions
from karbor.cli.credential_view import credential_facts, credential_json, expecting, seconds
from karbor.cli.error_handling import answering
from karbor.cli.formatting import titles
from karbor.cli.invocation import common, this
from karbor.cli.output import as_facts, as_json, as_table, say
from karbor.cli.protect import read_parameters
from karbor.cli.run_operation import run_to_exit, start
from karbor.domain.errors import BadInput


def read_pairs(given: Sequence[str], option: str, *, none: bool = False) -> dict[str, str]:
    """Read `OLD=NEW` into {OLD: NEW}; with `none` also `OLD=`, which says: nothing instead of
    it."""
    found: dict[str, str] = {}
    for one in given:
        old, equals, new = one.partition("=")
        if not equals or not old or not (new or none):
            raise BadInput(f"{option} {one}: it has the form OLD=NEW")
        if found.setdefault(old, new) != new:
            raise BadInput(f"{option} says two different things of {old}")
    return found


@click.command(short_help="Restore the resources of a checkpoint.")
@click.argument("checkpoint")
@click.option("--dry-run", is_flag=True,
              help="Show what would be made or re-used, or why it would fail; make nothing.")
@click.option("--map", "mapping", metavar="OLD=NEW", multiple=True,
              help="Use NEW where the checkpoint says OLD: flavor, key pair, volume type, zone, "
                   "network (names or ids); KEYPAIR= builds without a key pair. May be given "
                   "several times.")
@click.option("--new-networks", is_flag=True,
              help="Create new networks even if the original ones still exist.")
@click.option("--keep", is_flag=True, help="Keep what was created if the restore fails.")
@click.option("--name", "names", metavar="RESOURCE=NAME", multiple=True,
              help="Call the new resource NAME; RESOURCE is an old name or id.")
@click.option("--param", metavar="TYPE:OPTION=VALUE", multiple=True,
              help="Option of the restore of a resource type; may be given several times.")
@expecting
@common
@answering
def restore(*, checkpoint: str, dry_run: bool, mapping: tuple[str, ...], new_networks: bool,
            keep: bool, names: tuple[str, ...], param: tuple[str, ...],
            hours: float | None) -> None:
    """Restore the resources of CHECKPOINT (name, id, or its beginning).

    New resources are made beside the old ones, whether these still exist or not; networks that
    still exist are used again. What is missing in the cloud is found before anything is made.
    """
    invocation = this()
    options = RestoreOptions(read_pairs(mapping, "--map", none=True), new_networks, keep,
                             read_parameters(param), read_pairs(names, "--name"))
    with invocation.local() as local:
        draft = local.draft_restore(checkpoint, options, expected=seconds(hours))
        if dry_run:
            if invocation.json:
                as_json(
                    {
                        "dry_run": True,
                        "checkpoint_id": draft.operation.checkpoint_id,
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
                        "warnings": list(draft.warnings),
                        "credential": credential_json(draft.operation.credential),
                    }
                )
            else:
                paint(draft)
            return
        for text in draft.warnings:
            say(f"karbor: {text}")
        run_to_exit(invocation, local, start(local, draft))


def paint(draft: Draft) -> None:
    names = titles(draft.graph)
    as_table(
        ("RESOURCE", "WHAT WOULD BE DONE"),
        [(names[resource.key], line) for resource, line in draft.preview],
        "nothing would be made",
    )
    for text in draft.warnings:
        say(f"karbor: {text}")
    say("nothing stands in the way of this restore" + (
        ", but what is damaged cannot be made again as it was" if draft.warnings else ""))
    as_facts(credential_facts(draft.operation.credential))
