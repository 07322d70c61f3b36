"""Consent to what cannot be taken back: asked for on a terminal, given with --yes elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from karbor.cli.error_handling import leave
from karbor.cli.output import say
from karbor.domain.errors import BadInput

Command = TypeVar("Command", bound=Callable[..., Any])


def confirming(command: Command) -> Command:
    """Add the option of a command that deletes. It is refused at once where nobody can be asked."""
    return click.option("-y", "--yes", is_flag=True, callback=_require_somebody,
                        help="Do not ask for confirmation. Required without a terminal.")(command)


def _require_somebody(context: click.Context, _parameter: click.Parameter, yes: bool) -> bool:
    if not yes and not sys.stdin.isatty() and not context.resilient_parsing:
        leave(BadInput(f"{context.command_path} cannot be taken back, and there is no terminal to "
                       "ask on: nothing was done", remedy="give --yes"))
    return yes


def confirmed(yes: bool, question: str, things: Sequence[str]) -> bool:
    """Return whether a person agrees that `things` go; say so if not."""
    if yes:
        return True
    for thing in things:
        say(thing)
    if click.confirm(question, err=True):
        return True
    say("nothing was done")
    return False
