"""karbor vault: what banks hold of disks, and what may leave them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from karbor.cli import exit_codes
from karbor.cli.confirmation import confirmed, confirming
from karbor.cli.error_handling import answering, line
from karbor.cli.formatting import size
from karbor.cli.invocation import common_without, this
from karbor.cli.output import as_json, as_table
from karbor.domain.errors import KarborError, NotFound
from karbor.plugin.vault_location import Encryption, VaultKeySource, VaultLocation

if TYPE_CHECKING:
    from karbor.vault.collection import CollectionReport
    from karbor.vault.statistics import VaultStatistics
    from karbor.vault.verification import VaultVerification


@click.group(short_help="Collect garbage of disks in a bank, verify them, change keys.")
def vault() -> None:
    """A vault is a project's store of disks in a bank: equal parts of disks are stored once,
    whatever checkpoint has them. What no checkpoint needs any more is removed by garbage
    collection, which workers do by themselves.
    """


project_option = click.option(
    "--project", "project_ids", metavar="ID", multiple=True,
    help="Only the vault of this project; may be given several times. Default: all in the bank.")


@vault.command("gc", short_help="Collect garbage now.")
@project_option
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
        results = list(collect_vaults(provider, project_ids=project_ids, dry_run=dry_run))
    if invocation.json:
        as_json([_json(project_id, result) for project_id, result in results])
    else:
        as_table(("PROJECT", "DISKS", "STORED", "CONDEMNED", "WAITING", "REMOVED", "REWRITTEN",
                  "FREED", "WRITERS"),
                 [_row(project_id, result) for project_id, result in results
                  if not isinstance(result, KarborError)],
                 "the bank has no vault", spare=("REWRITTEN", "WRITERS"))
    _leave_if_failed(results)


def _row(project_id: str, report: CollectionReport) -> tuple[str, ...]:
    return (project_id, str(report.disks), size(report.stored_bytes), str(report.condemned_packs),
            str(report.waiting_packs), str(report.removed_packs), str(report.rewritten_packs),
            size(report.freed_bytes), str(report.writers))


def _json(project_id: str,
          result: CollectionReport | VaultVerification | VaultStatistics | KarborError
          ) -> dict[str, Any]:
    if isinstance(result, KarborError):
        return {"project_id": project_id, "error": result.facts()}
    return {"project_id": project_id, **result.facts(), "error": None}


@vault.command("stats", short_help="Show what checkpoints' disks take in the bank.")
@project_option
@common_without("cloud")
@answering
def stats(project_ids: tuple[str, ...]) -> None:
    """Show for each checkpoint how large its disks are, and what the bank holds for them.

    OWN is needed by that checkpoint alone: deleting it would free so much, in time. SHARED is
    needed by others too. Exit code 5: a vault could not be read.
    """
    from karbor.application.vault_collection import vault_statistics  # noqa: PLC0415 - when there is work

    invocation = this()
    with invocation.local() as local:
        provider = local.providers.choose(invocation.provider)
        results = list(vault_statistics(provider, project_ids=project_ids))
    if invocation.json:
        as_json([_json(project_id, result) for project_id, result in results])
    else:
        as_table(("PROJECT", "CHECKPOINT", "DISKS", "SIZE", "DATA", "OWN", "SHARED"), [
            (project_id, one.checkpoint_id, str(one.disks), size(one.size_bytes),
             size(one.data_bytes), size(one.own_bytes), size(one.shared_bytes))
            for project_id, result in results if not isinstance(result, KarborError)
            for one in result.checkpoints], "the bank has no disks in vaults")
        for project_id, result in results:
            if not isinstance(result, KarborError):
                click.echo(f"project {project_id}: {size(result.stored_bytes)} in {result.packs} "
                           f"packs, of which no checkpoint needs {size(result.unneeded_bytes)}")
    _leave_if_failed(results)


def _leave_if_failed(results: Sequence[tuple[str, object]]) -> None:
    """Tell which vaults failed, and why; then end with the code of the worst."""
    failed = [(project_id, result) for project_id, result in results
              if isinstance(result, KarborError)]
    for project_id, error in failed:
        click.echo(f"project {project_id}: {line(error)}", err=True)
    if failed:
        sys.exit(max(exit_codes.code_of(error) for _, error in failed))


def _percentage(_context: click.Context, parameter: click.Parameter, value: str) -> float:
    """Return 1% to 100% as a part of 1."""
    try:
        part = float(value.removesuffix("%")) / 100
    except ValueError:
        part = 0.0
    if not 0.0 < part <= 1.0:
        raise click.BadParameter(f"{value} is no percentage between 0 and 100", param=parameter)
    return part


@vault.command("verify", short_help="Read vaults back, whatever needs what is in them.")
@click.option("--sample", metavar="PERCENT", default="100%", callback=_percentage,
              help="Read only so many packs, chosen by chance, such as 5%. Default: all.")
@project_option
@common_without("cloud")
@answering
def verify(project_ids: tuple[str, ...], sample: float) -> None:
    """Read the vaults in the provider's bank back, and prove every chunk.

    What is damaged is listed with the disks that need it, and stored anew by the next protect of
    what they were made of. Exit code 5: something is damaged, or could not be read.
    """
    from karbor.application.vault_collection import verify_vaults  # noqa: PLC0415 - when there is work

    invocation = this()
    with invocation.local() as local:
        provider = local.providers.choose(invocation.provider)
        results = list(verify_vaults(provider, project_ids=project_ids, sample=sample))
    if invocation.json:
        as_json([_json(project_id, result) for project_id, result in results])
    else:
        as_table(("PROJECT", "PACKS", "OF", "READ", "DAMAGED"), [
            (project_id, str(result.packs), str(result.of_packs), size(result.bytes),
             str(len(result.damaged))) for project_id, result in results
            if not isinstance(result, KarborError)], "the bank has no vault")
    bad = False
    for project_id, result in results:
        if isinstance(result, KarborError):
            bad = True
            click.echo(f"project {project_id}: {line(result)}", err=True)
            continue
        for pack in result.damaged:
            bad = True
            click.echo(f"project {project_id}: {pack.why}", err=True)
            for key in pack.needed_by:
                click.echo(f"    needed by {key}", err=True)
    if bad:
        sys.exit(exit_codes.BANK)


@vault.group("key", short_help="Change or destroy the keys of vaults.")
def key() -> None:
    """A vault's secret lies in the bank, wrapped with the key that the provider's file names.

    To change that key: `rotate` to the new one, name it in the provider's file of every worker, and
    `prune` what the old one opens. No data is rewritten.
    """


@key.command("rotate", short_help="Wrap the vaults' secrets with a new key as well.")
@click.argument("key_file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--passphrase", is_flag=True, help="The file has a passphrase instead of a key.")
@project_option
@common_without("cloud")
@answering
def rotate(key_file: Path, passphrase: bool, project_ids: tuple[str, ...]) -> None:
    """Wrap the secrets of the vaults in the provider's bank with the key in KEY_FILE as well.

    The present key goes on opening them, until `karbor vault key prune`.
    """
    from karbor.vault.key_rotation import rotate as wrapping  # noqa: PLC0415 - when there is work

    to = VaultKeySource(Encryption.PASSPHRASE if passphrase else Encryption.KEY_FILE,
                        key_file.absolute())
    rotated = [project_id for project_id, location in _vaults(project_ids)
               if wrapping(location, to)]
    _tell("rotated", rotated, "no vault needed it")


@key.command("prune", short_help="Take keys away that the provider does not name.")
@project_option
@confirming
@common_without("cloud")
@answering
def prune(project_ids: tuple[str, ...], yes: bool) -> None:
    """Remove the vaults' secrets as other keys have wrapped them than the provider's own.

    Whoever has only one of those keys reads nothing from then on. Every vault is opened with the
    provider's key first.
    """
    from karbor.vault.key_rotation import other_keys, remove_keys  # noqa: PLC0415 - when there is work

    others = [(project_id, location, keys) for project_id, location in _vaults(project_ids)
              if (keys := other_keys(location))]
    told = [f"project {project_id}: {one.encryption} {one.wrapped_by}"
            for project_id, _, keys in others for one in keys]
    if not told or confirmed(yes, "Take these keys away?", told):
        for _, location, keys in others:
            remove_keys(location, keys)
        _tell("pruned", [project_id for project_id, _, _ in others], "no vault has another key")


@key.command("shred", short_help="Make a project's disks unreadable for ever.")
@click.argument("project_id")
@confirming
@common_without("cloud")
@answering
def shred(project_id: str, yes: bool) -> None:
    """Remove the secret of the vault of PROJECT_ID from the bank, however it is wrapped.

    No disk in it can be read ever again, by nobody, with whatever key. Its checkpoints stay listed;
    delete them and let garbage collection remove the bytes. Copies in other banks have secrets of
    their own.
    """
    from karbor.vault.key_rotation import shred as shredding  # noqa: PLC0415 - when there is work

    invocation = this()
    if confirmed(yes, f"Make all disks of project {project_id} unreadable for ever?", []):
        with invocation.local() as local:
            removed = shredding(local.providers.choose(invocation.provider).vault(project_id))
        if not removed:
            raise NotFound(f"the bank has no vault of project {project_id}, or its secret is gone "
                           "already", remedy="see the vaults with: karbor vault gc --dry-run")
        _tell("shredded", [project_id], "")


def _vaults(project_ids: tuple[str, ...]) -> list[tuple[str, VaultLocation]]:
    from karbor.application.vault_collection import projects_of  # noqa: PLC0415 - when there is work

    invocation = this()
    with invocation.local() as local:
        provider = local.providers.choose(invocation.provider)
        return [(project_id, provider.vault(project_id))
                for project_id in project_ids or projects_of(provider.bank)]


def _tell(what: str, project_ids: list[str], otherwise: str) -> None:
    if this().json:
        as_json({what: project_ids})
        return
    for project_id in project_ids:
        click.echo(f"{what}: the vault of project {project_id}")
    if not project_ids:
        click.echo(otherwise)
