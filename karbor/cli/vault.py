"""karbor vault: what banks hold of disks, and what may leave them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from karbor.cli import exit_codes
from karbor.cli.error_handling import answering, line
from karbor.cli.formatting import size
from karbor.cli.invocation import common_without, this
from karbor.cli.output import as_json, as_table
from karbor.domain.errors import KarborError

if TYPE_CHECKING:
    from karbor.vault.collection import CollectionReport


@click.group(short_help="Collect the garbage of the stores of disks in a bank.")
def vault() -> None:
    """A vault is a project's store of disks in a bank: equal parts of disks are stored once,
    whatever checkpoint has them. What no checkpoint needs any more is removed by garbage
    collection, which workers do by themselves.
    """


@vault.command("gc", short_help="Collect garbage now.")
@click.option("--project", "project_ids", metavar="ID", multiple=True,
              help="Only the vault of this project; may be given several times. Default: all in "
                   "the bank.")
@click.option("--dry-run", is_flag=True, help="Tell what would be done, and write nothing.")
@common_without("cloud")
@answering
def gc(project_ids: tuple[str, ...], dry_run: bool) -> None:
    """Collect the garbage of the vaults in the provider's bank, while backups go on.

    What nothing needs is condemned first, and removed by a collection that begins a day later at
    the earliest, when no backup that was under way relies upon it. So one run after a checkpoint
    was deleted frees nothing yet. Exit code 5: a vault could not be collected.
    """
    from karbor.application.vault_collection import collect_vaults  # noqa: PLC0415 - when there is work

    invocation = this()
    with invocation.local() as local:
        provider = local.providers.choose(invocation.provider)
        results = list(collect_vaults(provider, project_ids, dry_run=dry_run))
    if invocation.json:
        as_json([_json(project_id, result) for project_id, result in results])
    else:
        as_table(("PROJECT", "DISKS", "STORED", "CONDEMNED", "WAITING", "REMOVED", "REWRITTEN",
                  "FREED", "WRITERS"),
                 [_row(project_id, result) for project_id, result in results
                  if not isinstance(result, KarborError)],
                 "the bank has no vault", spare=("REWRITTEN", "WRITERS"))
    failed = [(project_id, result) for project_id, result in results
              if isinstance(result, KarborError)]
    for project_id, error in failed:
        click.echo(f"project {project_id}: {line(error)}", err=True)
    if failed:
        sys.exit(max(exit_codes.code_of(error) for _, error in failed))


def _row(project_id: str, report: CollectionReport) -> tuple[str, ...]:
    return (project_id, str(report.disks), size(report.stored_bytes), str(report.condemned_packs),
            str(report.waiting_packs), str(report.removed_packs), str(report.rewritten_packs),
            size(report.freed_bytes), str(report.writers))


def _json(project_id: str, result: CollectionReport | KarborError) -> dict[str, Any]:
    if isinstance(result, KarborError):
        return {"project_id": project_id, "error": result.facts()}
    return {"project_id": project_id, **result.facts(), "error": None}
