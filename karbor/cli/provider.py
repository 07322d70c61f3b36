"""karbor provider: where checkpoints can be kept, and how."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from karbor.cli import exit_codes
from karbor.cli.error_handling import answering, line
from karbor.cli.invocation import common_without, given_provider, this
from karbor.cli.output import as_facts, as_json, as_table
from karbor.domain.errors import BadInput

if TYPE_CHECKING:
    from karbor.providers.catalog import ProviderCatalog, ProviderInfo
    from karbor.providers.check import Finding


@click.group(short_help="List, show and check where checkpoints are kept.")
def provider() -> None:
    """A provider is a bank, where checkpoints are kept, with the protections that fill it.

    Each is described by a file in providers.d; without any there is a built-in one.
    """


@provider.command("list", short_help="All of them.")
@click.option("--all", "disabled", is_flag=True, help="Those that are disabled as well.")
@common_without("cloud", "provider")
@answering
def list_(disabled: bool) -> None:
    """All providers. A file that is of no use is warned of, and the exit code is 2."""
    invocation = this()
    with invocation.local() as local:
        providers = local.providers
        found = [one for one in providers.list() if disabled or one.enabled]
        broken, default = providers.broken, _default(providers)
    if invocation.json:
        as_json([{**_json(one), "default": one.id == default} for one in found])
    else:
        as_table(("ID", "NAME", "BANK", "DEFAULT", "ENABLED", "DESCRIPTION"), [
            (one.id, one.name, one.bank, "yes" if one.id == default else "",
             "yes" if one.enabled else "no", one.description) for one in found],
            "no provider is enabled (see --all)", spare=("DESCRIPTION", "ENABLED", "BANK"))
    if broken:
        sys.exit(exit_codes.USAGE)


def _default(providers: ProviderCatalog) -> str:
    """Its id; empty where there is none."""
    try:
        return providers.default().id
    except BadInput:
        return ""


@provider.command("show", short_help="What one consists of.")
@click.argument("provider", required=False)
@common_without("cloud")
@answering
def show(provider: str | None) -> None:
    """What PROVIDER (name or id) consists of. Default: the one that would be used."""
    invocation = this()
    with invocation.local() as local:
        found = _named(local.providers, _one(provider))
    if invocation.json:
        as_json(_json(found))
        return
    as_facts((("id", found.id), ("name", found.name), ("description", found.description),
              ("enabled", "yes" if found.enabled else "no"), ("bank", found.bank),
              *(("plugin", one) for one in found.plugins), ("file", found.file or "built in")))


@provider.command("check", short_help="Try whether one really works.")
@click.argument("provider", required=False)
@common_without("cloud")
@answering
def check(provider: str | None) -> None:
    """Load the plugins of PROVIDER (name or id); write to its bank, read, list and delete there.

    Works on one that is disabled too. Exit code 2: the file or a plugin is of no use; 5: the bank.
    """
    from karbor.providers.check import check as checking  # noqa: PLC0415 - when there is work

    invocation = this()
    with invocation.local() as local:
        found = _named(local.providers, _one(provider))
        findings = []
        for one in checking(local.providers, found):
            findings.append(one)
            if not invocation.json:
                click.echo(f"{'ok' if one.error is None else 'FAILED':<6}  {one.what}: "
                           f"{one.said if one.error is None else line(one.error)}")
    failed = [one.error for one in findings if one.error is not None]
    if invocation.json:
        as_json({"provider": _json(found), "good": not failed,
                 "findings": [_finding(one) for one in findings]})
    if failed:
        sys.exit(max(exit_codes.code_of(one) for one in failed))


def _one(argument: str | None) -> str | None:
    """Return the provider that is meant: the argument, or what the global option says."""
    option = given_provider()
    if argument and option and argument != option:
        raise BadInput(f"both {argument} and --provider {option} are named: only one can be meant")
    return argument or this().provider


def _named(providers: ProviderCatalog, name_or_id: str | None) -> ProviderInfo:
    return providers.find(name_or_id) if name_or_id else providers.default()


def _json(one: ProviderInfo) -> dict[str, Any]:
    return {"id": one.id, "name": one.name, "description": one.description, "bank": one.bank,
            "plugins": list(one.plugins), "enabled": one.enabled, "file": one.file or None}


def _finding(one: Finding) -> dict[str, Any]:
    return {"what": one.what, "good": one.error is None, "said": one.said,
            "error": one.error.facts() if one.error else None}
