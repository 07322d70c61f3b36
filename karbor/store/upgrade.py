"""upgrade: bring a database to the tables of this Karbor, making them if there are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from karbor.domain.errors import NewerDatabase
from karbor.store.connect import reading, writing

if TYPE_CHECKING:
    from alembic.config import Config

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0013", "0010", "0008")
"""Every revision in `migrations/versions`, oldest first. Written here too, so that a database
that is up to date costs one SELECT and not the import of Alembic (a quarter of a second)."""


def upgrade(engine: sa.Engine) -> None:
    """Bring the tables up to date. Safe to call at every start, from any number of processes at
    once.

    Raises NewerDatabase when it bears a revision that this Karbor does not know; then nothing is
    changed.
    """
    with reading(engine) as connection:
        if _revision(connection) == REVISIONS[-1]:
            return
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(5129306418)"))
        if _revision(connection) != REVISIONS[-1]:      # another process may have been quicker
            _migrate(connection)


@dataclass(frozen=True)
class Version:
    """Which revision a database has ("" before it has any tables), and what `upgrade` would do:
    (revision, what it is about), oldest first. `database` names it, without a password."""

    database: str
    revision: str
    pending: Sequence[tuple[str, str]]


def version(engine: sa.Engine) -> Version:
    """Return the revision that the database has; change nothing. Raises NewerDatabase."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - see REVISIONS

    with reading(engine) as connection:
        revision = _revision(connection) or ""
    known = REVISIONS.index(revision) + 1 if revision else 0
    script = ScriptDirectory.from_config(alembic_config())
    name = engine.url.set(password=None, query={}, drivername=engine.url.get_backend_name())
    return Version(str(name), revision,
                   [(one, script.get_revision(one).doc) for one in REVISIONS[known:]])


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    revision = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    if revision is not None and revision not in REVISIONS:
        raise NewerDatabase(
            f"the database has revision {revision}; this Karbor knows them up to {REVISIONS[-1]}",
            remedy="use the Karbor that made it, or a later one")
    return None if revision is None else str(revision)


def _migrate(connection: sa.Connection) -> None:
    from alembic import command  # noqa: PLC0415 - see REVISIONS

    command.upgrade(alembic_config(connection), "head")


def alembic_config(connection: sa.Connection | None = None) -> Config:
    """Return Alembic's configuration: where the migrations are, and (for running them) the open
    transaction to use."""
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location",
                           str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
