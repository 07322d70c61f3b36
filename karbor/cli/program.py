"""The program `karbor`: its global options and its commands."""

from __future__ import annotations

import inspect
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from karbor.cli import exit_codes
from karbor.cli.checkpoint import checkpoint
from karbor.cli.config import config as config_group
from karbor.cli.console_log import set_up_logging
from karbor.cli.credential import credential
from karbor.cli.database import database
from karbor.cli.doctor import doctor
from karbor.cli.invocation import Invocation
from karbor.cli.operation import operation
from karbor.cli.plan import plan
from karbor.cli.protect import protect
from karbor.cli.provider import provider as provider_group
from karbor.cli.resources import resources
from karbor.cli.restore import restore
from karbor.cli.schedule import schedule
from karbor.cli.serve import api, serve, worker
from karbor.cli.vault import vault
from karbor.cli.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from karbor.cmd.embedded import EmbeddedKarbor

# From Python 3.13 on, docstrings come without the indentation that all their lines share.
_CODES = "\b\nExit codes:\n" + textwrap.indent(
    inspect.cleandoc(exit_codes.__doc__ or "").split("\n\n", 1)[1], "    ")


def _version() -> str:
    from importlib.metadata import version  # noqa: PLC0415 - only for --version

    return version("karbor")


def _print_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        click.echo(f"karbor {_version()}")
        context.exit()


@click.group(epilog=_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--os-cloud", metavar="NAME", envvar="OS_CLOUD",
              help="Entry of clouds.yaml. Default: OS_CLOUD, or the OS_* variables.")
@click.option("--provider", metavar="NAME", envvar="KARBOR_PROVIDER",
              help="Provider, by name or id. Default: KARBOR_PROVIDER, or the only one, or "
                   "[DEFAULT] default_provider.")
@click.option("--config-file", metavar="PATH", multiple=True, type=click.Path(path_type=Path),
              help="Configuration; may be given several times. Default: KARBOR_CONFIG, or "
                   "/etc/karbor/karbor.conf and ~/.config/karbor/karbor.conf.")
@click.option("-f", "--format", type=click.Choice(["table", "json"]), default="table",
              help="How results are written to stdout.")
@click.option("-v", "--verbose", is_flag=True, help="Log to stderr what is done.")
@click.option("--debug", is_flag=True, help="Log whatever Karbor does, and show tracebacks.")
@click.option("--version", is_flag=True, expose_value=False, is_eager=True,
              callback=_print_version, help="Show the version and exit.")
@click.pass_context
def karbor(context: click.Context, *, os_cloud: str | None, provider: str | None,
           config_file: tuple[Path, ...], format: str, verbose: bool, debug: bool) -> None:
    """Protect applications in an OpenStack cloud, and bring them back.

    The options below may also stand after a command's name. Results go to stdout, everything else
    to stderr.
    """
    opener: Callable[[Invocation], EmbeddedKarbor] | None = context.obj
    context.obj = Invocation(opener, os_cloud or None, provider or None, list(config_file), format,
                             verbose, debug)
    set_up_logging(verbose=verbose, debug=debug)


for command in (resources, protect, checkpoint, restore, verify, operation, provider_group,
                credential, database, doctor, config_group, plan, schedule, serve, worker,
                api, vault):
    karbor.add_command(command)
