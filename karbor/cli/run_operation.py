"""From an accepted operation to its exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from karbor.cli import exit_codes
from karbor.cli.error_handling import line
from karbor.cli.invocation import Invocation
from karbor.cli.outcome import tell, tell_removal
from karbor.cli.output import say
from karbor.cli.watch import Interrupted, follow, introduce
from karbor.domain.errors import KarborError, NotFound
from karbor.domain.operation import Operation

if TYPE_CHECKING:
    from karbor.application.admission import Draft
    from karbor.cmd.embedded import EmbeddedKarbor


def start(local: EmbeddedKarbor, draft: Draft) -> Operation:
    """Begin the operation of a draft. Who interrupts just then hears whether it was written down
    already."""
    try:
        return local.start(draft)
    except KeyboardInterrupt:
        try:
            begun = local.operation(draft.operation.id)
        except NotFound:
            raise KeyboardInterrupt from None   # nothing has been begun
        say_interrupted(begun, resumable=True)
        sys.exit(exit_codes.INTERRUPTED)


def run(invocation: Invocation, local: EmbeddedKarbor, operation: Operation) -> int:
    """Follow an operation that is being driven; its exit code."""
    introduce(operation)
    try:
        over = follow(local, operation)
    except Interrupted as left:
        say_interrupted(left.operation, resumable=local.is_interrupted(left.operation))
        return exit_codes.INTERRUPTED
    except KarborError as error:
        if not local.is_interrupted(local.operation(operation.id)):
            raise
        say(f"karbor: {line(error)}")
        say(f"        the {operation.verb} stands where it was; when that is repaired, go on with: "
            f"karbor operation resume {operation.id}")
        say(f"        or undo it with: karbor operation cancel {operation.id}")
        return exit_codes.code_of(error)
    return tell(invocation, local, over)


def run_removal(invocation: Invocation, local: EmbeddedKarbor, operation: Operation) -> int:
    """Follow an operation that was over and removes what it had to leave; the exit code."""
    introduce(operation)
    try:
        over = follow(local, operation)
    except Interrupted as left:
        say_interrupted(left.operation, resumable=local.is_interrupted(left.operation))
        return exit_codes.INTERRUPTED
    return tell_removal(invocation, over)


def run_to_exit(invocation: Invocation, local: EmbeddedKarbor, operation: Operation) -> None:
    """Run an operation as `run` does, as the last thing of a command, and exit."""
    code = run(invocation, local, operation)
    if code:
        sys.exit(code)


def say_interrupted(operation: Operation, *, resumable: bool) -> None:
    if not resumable:
        how = operation.state if operation.state.over else "still driven by another process"
        say(f"karbor: interrupted; the operation is {how}")
        return
    say(f"karbor: interrupted; the {operation.verb} can be resumed with: "
        f"karbor operation resume {operation.id}")
    say(f"        or undone with: karbor operation cancel {operation.id}")


def say_unfinished(what: str, operation_id: str) -> None:
    """Say, below a list, how to go on with something in it whose process is gone."""
    say(f"{what} was interrupted; go on with: karbor operation resume {operation_id}")
