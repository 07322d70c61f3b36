"""What goes to stdout: a table for people or JSON for programs. Everything else goes to stderr."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from karbor.cli.columns import laid_out

if TYPE_CHECKING:
    from rich.console import Console


def as_json(body: Any) -> None:
    click.echo(json.dumps(body, indent=2, default=str))


def console() -> Console:
    """Return the terminal that progress is drawn on."""
    from rich.console import Console  # noqa: PLC0415 - 50 ms that --help does not need

    return Console(file=sys.stderr, highlight=False, emoji=False, markup=False, soft_wrap=False)


def as_table(columns: Sequence[str], rows: Sequence[Sequence[str]], nothing: str,
             spare: Sequence[str] = ()) -> None:
    """Write rows in plain columns; `nothing` is said where there are no rows. Of `spare` as many
    are left out, in that order, as a narrow terminal has no room for."""
    if not rows:
        say(nothing)
        return
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else None
    head, *lines = laid_out(columns, rows, width=width, spare=spare)
    click.echo(click.style(head, bold=True) if terminal else head)
    for line in lines:
        click.echo(line)


def as_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Write `name value`, a line each; facts without a value are left out."""
    wide = max((len(name) for name, value in facts if value), default=0)
    for name, value in facts:
        if value:
            click.echo(f"{name:<{wide}}  {value}")


def say(text: str) -> None:
    """Say a word to the person, never mixed with the data."""
    click.echo(text, err=True)
