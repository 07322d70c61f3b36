"""karbor protect: an application into a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from karbor.application.admission import Draft
from karbor.cli.credential_view import credential_facts, credential_json, expecting, seconds
from karbor.cli.error_handling import answering
from karbor.cli.formatting import count, thing, titles
from karbor.cli.invocation import common, this
from karbor.cli.output import as_facts, as_json, as_table, say
from karbor.cli.run_operation import run_to_exit, start
from karbor.cli.steps_view import tree
from karbor.domain.errors import BadInput
from karbor.domain.resource import DATABASE, IMAGE, NETWORK, POD, PROJECT, SERVER, SHARE, VOLUME
from karbor.operations.selection import short

_TYPES = {short(one): one for one in (PROJECT, SERVER, VOLUME, IMAGE, NETWORK, SHARE,
                                         DATABASE, POD)}


def kind(word: str) -> str:
    """Return the resource type that a word like `server` means; another word is left as it is."""
    return _TYPES.get(word, word)


def read_parameters(given: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read parameters like `volume:backup_mode=full`, or with a resource's key before the last `:`.
    A value that is JSON is taken as such, everything else as text."""
    found: dict[str, dict[str, Any]] = {}
    for one in given:
        left, equals, text = one.partition("=")
        target, colon, name = left.rpartition(":")
        if not equals or not colon or not target or not name:
            raise BadInput(f"--param {one}: it has the form TYPE:OPTION=VALUE",
                           remedy="for example: --param volume:backup_mode=auto")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        found.setdefault(_TYPES.get(target, target), {})[name] = value
    return found


@click.command(short_help="Protect resources and all that belongs to them.")
@click.argument("resource", nargs=-1, required=True)
@click.option("--name", default="",
              help="Name of the checkpoint. Default: the names of the resources.")
@click.option("--dry-run", is_flag=True,
              help="Show what would be protected, or why it would fail; make nothing.")
@click.option("--incremental", "mode", flag_value="auto",
              help="Volumes: back up changes only, where there is an earlier backup.")
@click.option("--full", "mode", flag_value="full", help="Volumes: make full backups (the default).")
@click.option("--param", metavar="TYPE:OPTION=VALUE", multiple=True,
              help="Option of the protection of a resource type; may be given several times.")
@expecting
@common
@answering
def protect(*, resource: tuple[str, ...], name: str, dry_run: bool, mode: str | None,
            param: tuple[str, ...], hours: float | None) -> None:
    """Keep RESOURCEs and all that belongs to them in one checkpoint.

    RESOURCE is a name or an id, or TYPE:NAME where a name alone is not enough; TYPE is project,
    server, volume, image, network, share, database or pod. All snapshots are taken before the
    first backup begins. What was made by a protect that fails is removed again.
    """
    invocation = this()
    parameters = read_parameters(param)
    if mode:
        parameters.setdefault(VOLUME, {}).setdefault("backup_mode", mode)
    with invocation.local() as local:
        draft = local.draft_protect(resource, name=name, parameters=parameters,
                                    expected=seconds(hours))
        if dry_run:
            if invocation.json:
                as_json({"dry_run": True, "name": draft.operation.request["name"],
                         "warnings": list(draft.warnings),
                         "parameters": parameters, "graph": draft.graph.to_dict(),
                         "preview": [{"resource": one.key, "told": text}
                                     for one, text in draft.preview],
                         "credential": credential_json(draft.operation.credential)})
            else:
                paint(draft)
                tell_beforehand(draft)
                as_facts(credential_facts(draft.operation.credential))
            return
        tell_beforehand(draft)
        run_to_exit(invocation, local, start(local, draft))


def tell_beforehand(draft: Draft) -> None:
    """Tell what the protections have to say: once, for all that it is true of."""
    told: dict[str, list[str]] = {}
    names = titles(draft.graph)
    for resource, text in draft.preview:
        told.setdefault(text, []).append(names[resource.key])
    for text, things in told.items():
        say(f"note: {', '.join(things)}: {text}")
    for text in draft.warnings:
        say(f"warning: {text}")


def paint(draft: Draft) -> None:
    as_table(("RESOURCE", "ID"),
             [("  " * depth + thing(resource) + ("" if first else " (see above)"), resource.id)
              for resource, depth, first in tree(draft.graph)], "nothing would be protected")
    say(f"{count(len(draft.graph), 'resource')} would be protected; " + (
        "nothing stands in the way" if not draft.warnings else "what may is told below"))
