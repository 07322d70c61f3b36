"""What goes to stdout: a table for people or JSON for programs. Everything else goes to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 200      # columns where there is no terminal: nobody wants ids cut in a file


def as_json(body: Any) -> None:
    click.echo(json.dumps(body, indent=2, default=str))


def console(*, stderr: bool = False) -> Console:
    from rich.console import Console  # noqa: PLC0415 - 50 ms that --help does not need

    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, highlight=False, emoji=False, markup=False, soft_wrap=False,
                   width=None if stream.isatty() else WIDE)


def as_table(columns: Sequence[str], rows: Sequence[Sequence[str]], nothing: str) -> None:
    """Plain columns; `nothing` is said where there are no rows."""
    if not rows:
        say(nothing)
        return
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column == "ID", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console().print(table)


def as_facts(facts: Sequence[tuple[str, str]]) -> None:
    """`name  value`, a line each; those without a value are left out."""
    wide = max((len(name) for name, value in facts if value), default=0)
    for name, value in facts:
        if value:
            click.echo(f"{name:<{wide}}  {value}")


def say(text: str) -> None:
    """A word to the person, never mixed with the data."""
    click.echo(text, err=True)
