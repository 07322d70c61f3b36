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


@provider.command("list", short_help="List providers.")
@click.option("--all", "disabled", is_flag=True, help="Also list disabled providers.")
@common_without("cloud", "provider")
@answering
def list_(disabled: bool) -> None:
    """List all providers. Unusable files cause a warning and exit code 2."""
    invocation = this()
    with invocation.local() as local:
        providers = local.providers
        infos = [info for info in providers.list() if disabled or info.enabled]
        broken, default = providers.broken, _default(providers)
    if invocation.json:
        as_json([{**_json(info), "default": info.id == default} for info in infos])
    else:
        as_table(("ID", "NAME", "BANK", "DEFAULT", "ENABLED", "DESCRIPTION"), [
            (info.id, info.name, info.bank, "yes" if info.id == default else "",
             "yes" if info.enabled else "no", info.description) for info in infos],
            "no provider is enabled (see --all)", spare=("DESCRIPTION", "ENABLED", "BANK"))
    if broken:
        sys.exit(exit_codes.USAGE)


def _default(providers: ProviderCatalog) -> str:
    """Return the id of the default provider; empty where there is none."""
    try:
        return providers.default().id
    except BadInput:
        return ""


@provider.command("show", short_help="Show what a provider consists of.")
@click.argument("provider", required=False)
@common_without("cloud")
@answering
def show(provider: str | None) -> None:
    """Show what PROVIDER (name or id) consists of. Default: the one that would be used."""
    invocation = this()
    with invocation.local() as local:
        info = _named(local.providers, _one(provider))
    if invocation.json:
        as_json(_json(info))
        return
    as_facts((("id", info.id), ("name", info.name), ("description", info.description),
              ("enabled", "yes" if info.enabled else "no"), ("bank", info.bank),
              *(("plugin", plugin) for plugin in info.plugins), ("file", info.file or "built in")))


@provider.command("check", short_help="Check that a provider works.")
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
        info = _named(local.providers, _one(provider))
        findings = []
        for finding in checking(local.providers, info):
            findings.append(finding)
            if not invocation.json:
                click.echo(f"{'ok' if finding.error is None else 'FAILED':<6}  {finding.what}: "
                           f"{finding.said if finding.error is None else line(finding.error)}")
    failed = [finding.error for finding in findings if finding.error is not None]
    if invocation.json:
        as_json({"provider": _json(info), "good": not failed,
                 "findings": [_finding(finding) for finding in findings]})
    if failed:
        sys.exit(max(exit_codes.code_of(karbor_error) for karbor_error in failed))


def _one(argument: str | None) -> str | None:
    """Return the provider that is meant: the argument, or what the global option says."""
    option = given_provider()
    if argument and option and argument != option:
        raise BadInput(f"both {argument} and --provider {option} are named: only one can be meant")
    return argument or this().provider


def _named(providers: ProviderCatalog, name_or_id: str | None) -> ProviderInfo:
    return providers.find(name_or_id) if name_or_id else providers.default()


def _json(info: ProviderInfo) -> dict[str, Any]:
    return {"id": info.id, "name": info.name, "description": info.description, "bank": info.bank,
            "plugins": list(info.plugins), "enabled": info.enabled, "file": info.file or None}


def _finding(finding: Finding) -> dict[str, Any]:
    return {"what": finding.what, "good": finding.error is None, "said": finding.said,
            "error": finding.error.facts() if finding.error else None}
