"""What only a database can get wrong: files, modes, migrations, the text of errors."""

from __future__ import annotations

import multiprocessing
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from karbor.domain.errors import BadInput, NewerDatabase, NotFound, StoreUnavailable
from karbor.domain.operation import Operation, OperationState, Verb
from karbor.domain.probe_token import ProbeToken, WindowBounds, bounds
from karbor.store.connect import connect, reading, writing
from karbor.store.journal import SqlJournal
from karbor.store.operations import Operations
from karbor.store.probe_tokens import REMEMBERED, ProbeTokens
from karbor.store.tables import METADATA, OPERATIONS
from karbor.store.upgrade import REVISIONS, alembic_config, upgrade


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "karbor.sqlite"


@pytest.fixture
def engine(path: Path) -> Iterator[sa.Engine]:
    engine = connect(f"sqlite:///{path}")
    upgrade(engine)
    yield engine
    engine.dispose()


OPERATION = Operation("op-1", Verb.PROTECT, "p", caller={"user_id": "u"},
                      credential={"sealed": "gAAAA"}, request={}, created_at=1.0)


def test_only_its_owner_can_read_the_database(engine: sa.Engine, path: Path) -> None:
    Operations(engine).add(OPERATION)
    for file in path.parent.iterdir():      # with the write-ahead log beside it
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_database_open_to_others_is_closed_to_them(path: Path) -> None:
    path.parent.mkdir()
    path.touch(0o644)
    connect(f"sqlite:///{path}").dispose()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_sqlite_has_the_manners_we_rely_on(engine: sa.Engine) -> None:
    with reading(engine) as connection:
        def pragma(name: str) -> object:
            return connection.exec_driver_sql(f"PRAGMA {name}").scalar()

        assert pragma("journal_mode") == "wal"
        assert pragma("synchronous") == 2       # FULL
        assert pragma("foreign_keys") == 1
        assert pragma("busy_timeout") == 30000


def test_a_reader_does_not_wait_for_a_writer_and_sees_nothing_half_written(
        engine: sa.Engine) -> None:
    Operations(engine).add(OPERATION)
    with writing(engine) as connection:
        connection.execute(sa.update(OPERATIONS).values(state="running"))
        assert SqlJournal(engine).operation("op-1").state is OperationState.QUEUED
    assert SqlJournal(engine).operation("op-1").state is OperationState.RUNNING


def test_everything_is_there_after_reopening(engine: sa.Engine, path: Path) -> None:
    Operations(engine).add(OPERATION)
    SqlJournal(engine).claim("op-1")
    engine.dispose()
    again = connect(f"sqlite:///{path}")
    upgrade(again)
    assert SqlJournal(again).operation("op-1") == OPERATION
    assert SqlJournal(again).claim("op-1") == 2
    again.dispose()


def test_steps_and_events_are_for_their_project(engine: sa.Engine) -> None:
    records, journal = Operations(engine), SqlJournal(engine)
    records.add(OPERATION)
    fence = journal.claim("op-1")
    journal.move("op-1", fence, OperationState.PLANNING, now=2.0)
    journal.move("op-1", fence, OperationState.PLANNING, now=2.5)   # a restart: nothing to tell
    records.note("op-1", 3.0, "taken over by another process")
    assert [(one.at, one.text) for one in records.events("p", "op-1")] == [
        (2.0, "queued → planning"), (3.0, "taken over by another process")]
    assert records.steps("p", "op-1") == []
    for ask in (records.events, records.steps):
        with pytest.raises(NotFound):
            ask("other", "op-1")


def test_migrations_make_the_tables_of_the_code(engine: sa.Engine) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []


def test_every_revision_is_listed_in_order() -> None:
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(alembic_config())
    assert tuple(one.revision for one in script.walk_revisions())[::-1] == REVISIONS


def test_a_migration_can_be_taken_back(engine: sa.Engine) -> None:
    from alembic import command

    with engine.begin() as connection:
        command.downgrade(alembic_config(connection), "base")
    with engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]
    upgrade(engine)
    Operations(engine).add(OPERATION)


def test_a_database_of_a_later_karbor_is_refused_and_left_alone(
        engine: sa.Engine, path: Path) -> None:
    engine.dispose()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()
    before = path.read_bytes()
    with pytest.raises(NewerDatabase, match="revision 9999"):
        upgrade(engine)
    engine.dispose()
    assert path.read_bytes() == before


def _open(url: str) -> None:
    engine = connect(url)
    upgrade(engine)
    Operations(engine).list("p")
    engine.dispose()


def test_many_first_commands_at_once_make_one_database(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_open, args=(f"sqlite:///{path}",)) for _ in range(4)]
    for one in processes:
        one.start()
    for one in processes:
        one.join(60)
    assert [one.exitcode for one in processes] == [0] * 4


def test_a_database_that_is_up_to_date_needs_no_alembic(engine: sa.Engine, path: Path) -> None:
    code = (f"import sys; from karbor.store.connect import connect\n"
            f"from karbor.store.upgrade import upgrade\n"
            f"e = connect('sqlite:///{path}'); upgrade(e); e.dispose()\n"
            "assert 'alembic' not in sys.modules")
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


@pytest.mark.parametrize("url", ["mysql://u:hunter2@h/d", "sqlite://", "sqlite:///:memory:",
                                 "no url", "postgresql://u:pw@h:hunter2/d"])
def test_other_databases_are_refused_without_telling_the_password(url: str) -> None:
    with pytest.raises(BadInput) as told:
        connect(url)
    assert "hunter2" not in str(told.value)


def test_what_cannot_be_opened_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable):
        connect(f"sqlite:///{tmp_path / 'file' / 'karbor.sqlite'}")
    (tmp_path / "garbage").write_bytes(b"this is no database" * 100)
    engine = connect(f"sqlite:///{tmp_path / 'garbage'}")
    with pytest.raises(StoreUnavailable, match="not a database"):
        upgrade(engine)
    engine.dispose()


def test_a_writer_waits_for_another_and_then_says_that_it_is_locked(
        engine: sa.Engine, path: Path) -> None:
    with reading(engine) as connection:     # the pool gives the same connection to the next one
        connection.exec_driver_sql("PRAGMA busy_timeout = 1")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        Operations(engine).add(OPERATION)
    other.execute("COMMIT")
    other.close()
    Operations(engine).add(OPERATION)


def test_what_is_written_is_not_part_of_an_error(engine: sa.Engine) -> None:
    """SQLAlchemy shows the parameters of a failing statement unless it is told not to."""
    with pytest.raises(sa.exc.IntegrityError) as told, writing(engine) as connection:
        connection.execute(sa.text("INSERT INTO operations (id, verb) VALUES (:id, :verb)"),
                           {"id": "hunter2", "verb": None})
    assert "hunter2" not in str(told.value)


def test_postgresql_is_reached_with_psycopg() -> None:
    engine = connect("postgresql://karbor:hunter2@db/karbor")
    assert engine.url.drivername == "postgresql+psycopg"
    assert "hunter2" not in repr(engine.url)
    engine.dispose()


def test_what_probe_tokens_told_is_known_by_keystone(engine: sa.Engine) -> None:
    assert bounds(ProbeTokens(engine).of("http://a.test:5000/v3")) == WindowBounds(0.0, None)
    probe_tokens = ProbeTokens(engine)
    probe_tokens.keep(ProbeToken("1", "http://a.test:5000/v3/", 100.0, "sealed"))
    probe_tokens.keep(ProbeToken("2", "http://b.test:5000", 100.0, good_at=105.0, bad_at=110.0))
    probe_tokens.keep(ProbeToken("1", "http://a.test:5000", 100.0, "sealed", good_at=150.0))
    assert bounds(ProbeTokens(engine).of("http://a.test:5000")) == WindowBounds(50.0, None)
    assert bounds(ProbeTokens(engine).of("http://a.test:5000/v3")) == WindowBounds(50.0, None)
    assert bounds(ProbeTokens(engine).of("http://b.test:5000/v3")) == WindowBounds(5.0, 10.0)
    assert [one.sealed for one in probe_tokens.of("http://a.test:5000")] == ["sealed"]


def test_what_a_probe_token_told_long_ago_is_forgotten(engine: sa.Engine) -> None:
    probe_tokens = ProbeTokens(engine)
    probe_tokens.keep(ProbeToken("old", "http://a.test", 100.0, good_at=150.0, bad_at=160.0))
    probe_tokens.keep(ProbeToken("new", "http://a.test", 101.0 + REMEMBERED))
    assert [one.id for one in probe_tokens.of("http://a.test")] == ["new"]
