"""karbor database: which tables the database of operations has, and bringing them up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from karbor.cli.complaint import answering
from karbor.cli.invocation import common, this
from karbor.cli.output import as_facts, as_json, as_table
from karbor.cli.wording import count

if TYPE_CHECKING:
    from karbor.store.upgrade import Version


@click.group(short_help="The database of operations: its version, and upgrading it.")
def database() -> None:
    """The database of operations is brought up to date by whatever opens it first.

    These commands are for doing it beforehand, while nothing of the new version runs.
    """


@database.command("version", short_help="Which revision it has, and what is to be upgraded.")
@common
@answering
def version_() -> None:
    """Which revision the database has, and what an upgrade would do. Changes nothing."""
    _show(_version())


@database.command(short_help="Bring its tables up to date.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@common
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
