"""What every command knows: the global options, and how to get to work with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from karbor.cmd.embedded import EmbeddedKarbor

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass
class Invocation:
    """One call of the program. `opener` stands between it and the real world (tests replace it)."""

    opener: Callable[[Invocation], EmbeddedKarbor] | None = None
    cloud: str | None = None
    provider: str | None = None
    config_files: list[Path] = field(default_factory=list)
    format: str = "table"
    verbose: bool = False
    debug: bool = False

    @property
    def json(self) -> bool:
        return self.format == "json"

    @contextmanager
    def local(self) -> Iterator[EmbeddedKarbor]:
        """Give Karbor in this process, closed at the end."""
        with (self.opener or _open)(self) as opened:
            yield opened


def _open(invocation: Invocation) -> EmbeddedKarbor:
    from karbor import config  # noqa: PLC0415 - slow imports, only when there is work
    from karbor.cmd.embedded import EmbeddedKarbor  # noqa: PLC0415

    return EmbeddedKarbor(config.load(invocation.config_files or None), cloud=invocation.cloud,
                          provider=invocation.provider)


def this() -> Invocation:
    """Return the invocation of the command that runs."""
    found = click.get_current_context().find_root().obj
    assert isinstance(found, Invocation)  # noqa: S101 - made by the group
    return found


def _remember(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def callback(context: click.Context, _parameter: click.Parameter, value: Any) -> Any:
        if value is not None and value != () and value is not False:
            root = context.find_root()
            invocation = root.ensure_object(Invocation)
            setattr(invocation, name, list(value) if isinstance(value, tuple) else value)
            if name in ("verbose", "debug"):
                from karbor.cli.console_log import set_up_logging  # noqa: PLC0415
                set_up_logging(verbose=True, debug=invocation.debug)
        return value
    return callback


OPTIONS = ("cloud", "provider", "config_files", "format", "verbose", "debug")
"""The global ones, by their names in `Invocation`."""


def common(command: Command) -> Command:
    """Add the global options, which people may write before or after the command's name."""
    return common_without()(command)


def common_without(*idle: str) -> Callable[[Command], Command]:
    """Add the global options but those that have no effect on the command: they are refused where
    somebody writes them, before the command's name too. In the environment they may stand: that is
    for all commands."""
    def decorated(command: Command) -> Command:
        @wraps(command)
        def heeding(*args: Any, **options: Any) -> Any:
            _refuse(idle)
            return command(*args, **options)

        found: Any = heeding
        for name, option in reversed(_options().items()):
            if name not in idle:
                found = option(found)
        found.idle_options = idle
        return found     # type: ignore[no-any-return]

    return decorated


def _refuse(idle: Sequence[str]) -> None:
    context = click.get_current_context()
    root = context.find_root()
    for parameter in root.command.params:
        name = {"os_cloud": "cloud", "config_file": "config_files"}.get(parameter.name or "",
                                                                       parameter.name)
        given = root.get_parameter_source(parameter.name or "")
        if name in idle and given is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{parameter.opts[-1]} has no effect on {context.command_path}",
                                   context)


def given_provider() -> str | None:
    """Return the provider that was written on the command line, wherever in it."""
    context = click.get_current_context()
    root = context.find_root()
    written = ParameterSource.COMMANDLINE
    if context.get_parameter_source("provider_") is written:
        return str(context.params.get("provider_") or this().provider)
    return this().provider if root.get_parameter_source("provider") is written else None


def _options() -> dict[str, Callable[[Any], Any]]:
    return {
        "cloud": click.option("--os-cloud", metavar="NAME", expose_value=False,
                              callback=_remember("cloud"),
                              help="Entry of clouds.yaml. Default: OS_CLOUD, or OS_* variables."),
        "provider": click.option(
            "--provider", "provider_", metavar="NAME", expose_value=False,
            callback=_remember("provider"),
            help="Provider, by name or id. Default: the only one, or default_provider."),
        "config_files": click.option(
            "--config-file", metavar="PATH", multiple=True, expose_value=False,
            type=click.Path(path_type=Path), callback=_remember("config_files"),
            help="Configuration. Default: KARBOR_CONFIG, or /etc/karbor/karbor.conf and "
                 "~/.config/karbor/karbor.conf."),
        "format": click.option("-f", "--format", type=click.Choice(["table", "json"]),
                               expose_value=False, callback=_remember("format"),
                               help="How results are written to stdout. Default: table."),
        "verbose": click.option("-v", "--verbose", is_flag=True, expose_value=False,
                                callback=_remember("verbose"), help="Log to stderr what is done."),
        "debug": click.option("--debug", is_flag=True, expose_value=False,
                              callback=_remember("debug"),
                              help="Log everything to stderr, and show tracebacks.")}
