"""Errors as people read them: one line on stderr, and what to do next."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn, TypeVar

import click

from karbor.cli import exit_codes
from karbor.cli.invocation import this
from karbor.domain.errors import KarborError

Function = TypeVar("Function", bound=Callable[..., Any])


def line(error: BaseException) -> str:
    """Return what happened, to which resource, at which request, and what can be done."""
    if isinstance(error, KarborError):
        resource = getattr(error, "resource", "")
        return f"{resource}: {error}" if resource and resource not in str(error) else str(error)
    return f"unexpected {type(error).__name__}: {error} (this is a fault of Karbor: see --debug)"


def leave(error: BaseException) -> NoReturn:
    """Say it and end with the code of exits.py."""
    if this().debug:
        traceback.print_exception(error, file=sys.stderr)
    click.echo(f"karbor: {line(error)}", err=True)
    sys.exit(exit_codes.code_of(error))


def answering(function: Function) -> Function:
    """Run a command so that no traceback reaches a person who did not ask for it."""

    @wraps(function)
    def guarded(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            click.echo("karbor: interrupted; nothing has been begun", err=True)
            sys.exit(exit_codes.INTERRUPTED)
        except BrokenPipeError:
            raise       # click knows how to be quiet about it
        except Exception as error:  # noqa: BLE001 - the last one to hear of it
            leave(error)

    return guarded  # type: ignore[return-value]
