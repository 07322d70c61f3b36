"""karbor resources: what of the project can be protected."""

from __future__ import annotations

import click

from karbor.cli.error_handling import answering
from karbor.cli.formatting import thing
from karbor.cli.invocation import common_without, this
from karbor.cli.output import as_json, as_table
from karbor.cli.steps_view import tree
from karbor.domain.resource import Resource


@click.command(short_help="List what can be protected, as a tree.")
@common_without("provider")
@answering
def resources() -> None:
    """List everything in the project that can be protected, each with what belongs to it.

    Any NAME or ID shown here can be given to `karbor protect`, with its type before it where the
    name alone is not enough: server:web-1.
    """
    invocation = this()
    with invocation.local() as local:
        graph = local.resources()
    if invocation.json:
        as_json(graph.to_dict())
        return
    rows = [
        (
            "  " * depth + thing(resource) + ("" if first else " (see above)"),
            resource.id,
            state(resource),
        )
        for resource, depth, first in tree(graph)
    ]
    as_table(("RESOURCE", "ID", "STATE"), rows, "this project has nothing that can be protected",
             spare=("STATE",))


def state(resource: Resource) -> str:
    return str(resource.facts.get("status") or "").lower()
