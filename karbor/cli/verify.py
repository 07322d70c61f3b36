"""karbor verify: read back what a checkpoint claims to hold."""

from __future__ import annotations

import click

from karbor.cli.credential_view import expecting, seconds
from karbor.cli.error_handling import answering
from karbor.cli.invocation import common, this
from karbor.cli.run_operation import run_to_exit, start


@click.command(short_help="Verify a checkpoint by reading it back.")
@click.argument("checkpoint")
@expecting
@common
@answering
def verify(checkpoint: str, hours: float | None) -> None:
    """Read back what CHECKPOINT (name, id, or its beginning) holds, as far as that can be done.

    The evidence tells how far: `checksums` (every byte was read and compared), `objects` (every
    object that holds the data is there, with its size), `metadata` (the service's description of
    the data was read), `status` (the service says that it is good).
    """
    invocation = this()
    with invocation.local() as local:
        draft = local.draft_verify(checkpoint, expected=seconds(hours))
        run_to_exit(invocation, local, start(local, draft))
