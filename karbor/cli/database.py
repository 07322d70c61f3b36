"""karbor database: which tables the database has, bringing them up to date, and rebuilding it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from karbor.cli import exit_codes
from karbor.cli.error_handling import answering
from karbor.cli.formatting import count
from karbor.cli.invocation import common_without, this
from karbor.cli.output import as_facts, as_json, as_table, say
from karbor.domain.errors import BadInput, KarborError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from karbor.application.database_rebuild import Rebuilt, UnknownTrust
    from karbor.store.upgrade import Version


@click.group(short_help="Upgrade and rebuild the database.")
def database() -> None:
    """The database is brought up to date by whatever opens it first.

    `version` and `upgrade` are for doing it beforehand, while nothing of the new version runs;
    `rebuild` is for when it was lost.
    """


@database.command("version", short_help="Show the revision, and what an upgrade would do.")
@common_without("cloud", "provider")
@answering
def version_() -> None:
    """Show the revision of the database, and what an upgrade would do. Nothing is changed."""
    _show(_version())


@database.command(short_help="Upgrade the tables.")
@click.option("--dry-run", is_flag=True, help="Show what would be done; change nothing.")
@common_without("cloud", "provider")
@answering
def upgrade(dry_run: bool) -> None:
    """Bring the tables up to those of this Karbor; make them where there are none.

    Running processes of the version before go on meanwhile. Several upgrades at once do it once.
    """
    before = _version()
    if dry_run:
        _show(before)
        return
    from karbor import config  # noqa: PLC0415 - slow imports, only when there is work
    from karbor.cmd.database import open_database  # noqa: PLC0415

    open_database(config.load(this().config_files or None)).dispose()
    after = _version()
    if this().json:
        as_json({**_json(after), "done": [one for one, _ in before.pending]})
        return
    as_facts((("database", after.database), ("revision", after.revision),
              ("done", count(len(before.pending), "revision") if before.pending
               else "nothing was to be done")))


@database.command(short_help="Rebuild a lost database from the banks.")
@click.option("--dry-run", is_flag=True, help="Show what would be put back; change nothing.")
@click.option("--from", "from_", metavar="ID", default="",
              help="Id of the lost database, if the banks hold copies of several.")
@click.option("--end-trusts", is_flag=True,
              help="Remove the trusts in Keystone of which the database knows nothing. Not where "
                   "another installation of Karbor uses the same account.")
@common_without("cloud", "provider")
@answering
def rebuild(dry_run: bool, from_: str, end_trusts: bool) -> None:
    """Rebuild this database from what the banks of all providers keep of a lost one.

    Plans, triggers, schedules with the rights that they run on, registered application credentials
    and quotas, of all projects. What the database has stays as it is. It needs the sealing keys
    that the lost database was used with, and should be done before the service is started again.
    """
    from karbor import config  # noqa: PLC0415 - slow imports, only when there is work
    from karbor.application.database_rebuild import Rebuilding, unknown_trusts  # noqa: PLC0415
    from karbor.application.service_context import ServiceContext  # noqa: PLC0415
    from karbor.cmd.database import open_database  # noqa: PLC0415

    if dry_run and end_trusts:
        raise BadInput("--dry-run changes nothing, and --end-trusts does")
    conf = config.load(this().config_files or None)
    if end_trusts and not config.service_user_configured(conf):
        raise BadInput("--end-trusts asks Keystone, and no [service_user] is configured",
                       remedy="give the configuration of the service: --config-file")
    service = ServiceContext(conf, open_database(conf))
    trusts: Sequence[UnknownTrust] = ()
    try:
        rebuilding = Rebuilding(conf, service.providers, service.database)
        told = rebuilding.look(from_)[0] if dry_run else rebuilding.rebuild(from_)
        if config.service_user_configured(conf) and not dry_run:
            try:
                trusts = unknown_trusts(service.authority, service.database, end=end_trusts)
            except KarborError as error:
                told.unreadable.append(f"trusts in Keystone: {error}")
    finally:
        service.close()
    if this().json:
        as_json({"dry_run": dry_run, "projects": told.rows, "databases": told.databases,
                 "problems": told.unreadable, "projects_with_checkpoints": told.checkpoints,
                 "unknown_trusts": [{**vars(trust), "ended": end_trusts} for trust in trusts]})
    else:
        _paint_rebuilt(told, dry_run=dry_run)
        _paint_trusts(trusts, ended=end_trusts)
    if told.unreadable:
        sys.exit(exit_codes.BANK)


def _paint_rebuilt(told: Rebuilt, *, dry_run: bool) -> None:
    as_table(("PROJECT", "PLANS", "TRIGGERS", "SCHEDULES", "CREDENTIALS", "QUOTAS"), [
        (project_id or "(all)", *(str(counted.get(kind, 0)) for kind in (
            "plans", "triggers", "scheduled_operations", "registrations")),
         str(counted.get("quotas", 0) + counted.get("quota_classes", 0)))
        for project_id, counted in sorted(told.rows.items()) if counted],
        "the database has everything that the banks know")
    for text in told.unreadable:
        say(f"karbor: {text}")
    if dry_run:
        say("nothing was changed")
    else:
        say(f"checkpoints were looked for in {count(told.checkpoints, 'project')}")


def _paint_trusts(trusts: Sequence[UnknownTrust], *, ended: bool) -> None:
    if not trusts:
        return
    as_table(("TRUST", "USER", "PROJECT", "ENDS"), [
        (trust.id, trust.user_id, trust.project_id, "removed" if ended else trust.expires_at)
        for trust in trusts], "")
    if not ended:
        say("these trusts stand in Keystone, and nothing in this database runs on them: they end "
            "by themselves, or are removed with --end-trusts")


def _version() -> Version:
    from karbor import config  # noqa: PLC0415
    from karbor.cmd.database import database_version  # noqa: PLC0415

    return database_version(config.load(this().config_files or None))


def _json(version: Version) -> dict[str, object]:
    return {"database": version.database, "revision": version.revision or None,
            "pending": [{"revision": one, "what": what} for one, what in version.pending]}


def _show(version: Version) -> None:
    if this().json:
        as_json(_json(version))
        return
    as_facts((("database", version.database), ("revision", version.revision or "none yet"),
              ("pending", count(len(version.pending), "revision") if version.pending else "none")))
    if version.pending:
        as_table(("REVISION", "WHAT"), version.pending, "")
