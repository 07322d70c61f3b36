"""One body for SQLite and PostgreSQL: what several processes at once write and read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from karbor_testing.journal import MemoryJournal

from karbor.domain.errors import Conflict, NewerDatabase, NotFound
from karbor.domain.operation import Operation, OperationState, Verb
from karbor.domain.service import WORKER, Service, ServiceProcess, ServiceStatus
from karbor.store.connect import connect, writing
from karbor.store.operations import Entrusted, Operations
from karbor.store.services import FORGOTTEN_SECONDS, Services
from karbor.store.tables import METADATA, OPERATIONS
from karbor.store.upgrade import REVISIONS, alembic_config, upgrade, version

S = OperationState


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def empty(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    """A database without any tables."""
    if kind == "postgresql":
        url = request.getfixturevalue("empty_url")
    else:
        url = f"sqlite:///{tmp_path / 'karbor.sqlite'}"
    engine = connect(url)
    yield engine
    engine.dispose()


@pytest.fixture
def engine(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    url = (request.getfixturevalue("postgresql_url") if kind == "postgresql"
           else f"sqlite:///{tmp_path / 'karbor.sqlite'}")
    engine = connect(url)
    upgrade(engine)
    yield engine
    engine.dispose()


def operation(id: str, verb: Verb = Verb.RESTORE, **more: Any) -> Operation:
    return replace(Operation(id, verb, "p", {}, {}, {"source_id": "cp-0"}, "cp-1", created_at=1.0),
                   **more)


# ---------------------------------------------------------------- conflicts
@pytest.mark.parametrize("live", list(Verb))
@pytest.mark.parametrize("asked", list(Verb))
def test_whoever_would_disturb_another_is_refused(engine: sa.Engine, live: Verb, asked: Verb
                                                  ) -> None:
    for records in (Operations(engine), MemoryJournal()):
        records.add(operation("first", live))       # type: ignore[attr-defined]
        if {live, asked} <= {Verb.RESTORE, Verb.VERIFY}:
            records.add(operation("second", asked))     # type: ignore[attr-defined]
            continue
        with pytest.raises(Conflict, match=f"operation first .{live}, queued. works on this"):
            records.add(operation("second", asked))     # type: ignore[attr-defined]
        records.add(operation("elsewhere", asked, checkpoint_id="cp-2"))    # type: ignore[attr-defined]
        records.add(operation("other", asked, project_id="other"))  # type: ignore[attr-defined]
        records.add(operation("none", asked, checkpoint_id=""))     # type: ignore[attr-defined]


@pytest.mark.parametrize(("verb", "disturbs"), [
    (Verb.RESTORE, False), (Verb.VERIFY, False), (Verb.DELETE, True)])
def test_a_copy_reads_one_checkpoint_and_makes_another(engine: sa.Engine, verb: Verb,
                                                       *, disturbs: bool) -> None:
    for records in (Operations(engine), MemoryJournal()):
        records.add(operation("copy", Verb.COPY))       # type: ignore[attr-defined]
        assert [one.id for one in records.live("p", "cp-0")] == ["copy"]    # type: ignore[attr-defined]
        of_the_original = operation("asked", verb, checkpoint_id="cp-0")
        if disturbs:
            with pytest.raises(Conflict, match=r"operation copy .copy, queued."):
                records.add(of_the_original)        # type: ignore[attr-defined]
        else:
            records.add(of_the_original)            # type: ignore[attr-defined]
        records.add(operation("another", Verb.COPY, checkpoint_id="cp-2"))  # type: ignore[attr-defined]


def test_what_is_over_disturbs_nobody(engine: sa.Engine) -> None:
    records = Operations(engine)
    records.add(operation("first", Verb.DELETE, state=S.FAILED))
    records.add(operation("second", Verb.DELETE))
    records.add(operation("third", Verb.DELETE, state=S.DONE))
    assert [one.id for one in records.live("p")] == ["second"]


def test_of_many_that_come_at_once_one_is_accepted(engine: sa.Engine) -> None:
    records, together = Operations(engine), threading.Barrier(6)

    def add(number: int) -> bool:
        together.wait()
        try:
            records.add(operation(f"op-{number}", Verb.DELETE))
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(add, range(6))) == [False] * 5 + [True]
    assert len(records.live("p", "cp-1")) == 1


def test_live_ones_are_those_of_the_project_and_checkpoint(engine: sa.Engine) -> None:
    records = Operations(engine)
    records.add(operation("a", created_at=2.0))
    records.add(operation("b", state=S.RUNNING))
    records.add(operation("c", checkpoint_id="cp-2", created_at=3.0))
    records.add(operation("d", state=S.DONE))
    records.add(operation("e", project_id="other"))
    assert [one.id for one in records.live("p", "cp-1")] == ["b", "a"]
    assert [one.id for one in records.live("p")] == ["b", "a", "c"]
    assert records.live("p", "cp-3") == []


# ---------------------------------------------------------------- handing over to workers
def test_workers_see_what_was_entrusted_to_them_until_it_is_over(engine: sa.Engine) -> None:
    records = Operations(engine)
    records.add(operation("later", created_at=5.0), offered=True)
    records.add(replace(operation("sooner", created_at=4.0, project_id="other"),
                        request={"provider_id": "prov-1"}), offered=True)
    records.add(operation("a command's"))
    records.add(operation("over", state=S.FAILED), offered=True)
    assert records.entrusted(0.0) == [Entrusted("sooner", "other", "prov-1", True),
                                      Entrusted("later", "p", "", True)]
    records.refuse("sooner", {"message": "m"}, 9.0)
    assert [one.id for one in records.entrusted(0.0)] == ["later"]


def test_what_an_older_worker_had_put_into_its_queue_is_entrusted_as_well(engine: sa.Engine
                                                                          ) -> None:
    records = Operations(engine)
    records.add(operation("op-1"), offered=True)
    with engine.begin() as connection:
        connection.execute(sa.update(OPERATIONS).values(handed="queued"))
    assert [one.id for one in records.entrusted(0.0)] == ["op-1"]


def test_nobody_begins_while_its_trust_is_being_made(engine: sa.Engine) -> None:
    records = Operations(engine)
    records.add(operation("op-1", created_at=100.0), trust="wanted", offered=True)
    assert [one.ready for one in records.entrusted(100.0)] == [False]
    assert [one.ready for one in records.entrusted(100.5)] == [True]    # its maker died over it
    records.represent("op-1", {"rung": "trust"}, "trust-1")
    assert [one.ready for one in records.entrusted(0.0)] == [True]


def test_projects_in_which_a_trust_outlived_its_operation_are_known(engine: sa.Engine) -> None:
    records = Operations(engine)
    records.add(operation("a", state=S.DONE, project_id="left"), trust="trust-1")
    records.add(operation("b", state=S.DONE, project_id="left"), trust="trust-2")
    records.add(operation("c", state=S.RUNNING, project_id="lives"), trust="trust-3")
    records.add(operation("d", state=S.DONE, project_id="clean"))
    assert records.projects_with_standing_trusts() == ["left"]


# ---------------------------------------------------------------- services
def test_each_process_of_a_service_has_its_own_heartbeat(engine: sa.Engine) -> None:
    services = Services(engine)
    first = ServiceProcess(WORKER, "one", "machine-1", 7, 100.0)
    second = replace(first, pid=8, updated_at=101.0)
    for one in (first, second, replace(first, updated_at=105.0)):
        services.beat_process(one)
    assert services.processes() == [replace(first, updated_at=105.0), second]
    services.end_process(second)
    assert [one.pid for one in services.processes()] == [7]
    later = replace(first, machine="machine-2", updated_at=106.0 + FORGOTTEN_SECONDS)
    services.beat_process(later)        # the other one died long ago, without a word
    assert services.processes() == [later]


def test_a_service_is_there_from_its_first_heartbeat(engine: sa.Engine) -> None:
    services = Services(engine)
    first = services.beat(WORKER, "host-1", 100.0)
    assert first == Service(first.id, WORKER, "host-1", ServiceStatus.ENABLED, None, 100.0)
    assert services.beat(WORKER, "host-1", 110.0) == replace(first, updated_at=110.0)
    assert services.beat(WORKER, "host-1", 105.0).updated_at == 110.0
    other = services.beat(WORKER, "host-2", 100.0)
    third = services.beat("karbor-other", "host-2", 100.0)
    assert services.list() == [replace(first, updated_at=110.0), other, third]
    assert services.list(host="host-2") == [other, third]
    assert services.list(host="host-2", binary=WORKER) == [other]
    assert services.show(other.id) == other
    assert first.up(160.0, 60.0)
    assert not first.up(160.5, 60.0)


def test_a_service_that_was_disabled_hears_of_it(engine: sa.Engine) -> None:
    services = Services(engine)
    id = services.beat(WORKER, "host-1", 100.0).id
    disabled = services.set_status(id, ServiceStatus.DISABLED, "new disks")
    assert (disabled.status, disabled.disabled_reason) == (ServiceStatus.DISABLED, "new disks")
    assert services.beat(WORKER, "host-1", 110.0) == replace(disabled, updated_at=110.0)
    enabled = services.set_status(id, ServiceStatus.ENABLED, "a reason that does not count")
    assert (enabled.status, enabled.disabled_reason) == (ServiceStatus.ENABLED, None)
    for ask in (services.show, lambda one: services.set_status(one, ServiceStatus.ENABLED)):
        with pytest.raises(NotFound):
            ask(id + 7)


def test_processes_of_one_host_that_come_at_once_share_a_row(engine: sa.Engine) -> None:
    services, together = Services(engine), threading.Barrier(4)

    def beat(number: int) -> int:
        together.wait()
        return services.beat(WORKER, "host-1", 100.0 + number).id

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(beat, range(4)))) == 1
    assert len(services.list()) == 1


# ---------------------------------------------------------------- migrations
def test_migrations_make_the_tables_of_the_code(engine: sa.Engine) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []


def test_many_that_start_at_once_upgrade_once(empty: sa.Engine) -> None:
    together = threading.Barrier(4)

    def start(_number: int) -> None:
        engine = connect(empty.url.render_as_string(hide_password=False))
        together.wait()
        upgrade(engine)
        Operations(engine).list("p")
        engine.dispose()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(start, range(4)))
    assert version(empty).pending == []


def test_what_an_upgrade_would_do_is_told_and_not_done(empty: sa.Engine) -> None:
    before = version(empty)
    assert before.revision == ""
    assert [one for one, _ in before.pending] == list(REVISIONS)
    assert all(what for _, what in before.pending)
    assert sa.inspect(empty).get_table_names() == []
    upgrade(empty)
    assert (version(empty).revision, version(empty).pending) == (REVISIONS[-1], [])
    with writing(empty) as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    for ask in (version, upgrade):
        with pytest.raises(NewerDatabase, match="revision 9999"):
            ask(empty)


def test_a_process_of_before_goes_on_while_the_database_is_upgraded(empty: sa.Engine) -> None:
    """Every revision only adds: what the oldest Karbor writes is still a whole row."""
    from alembic import command

    with writing(empty) as connection:
        command.upgrade(alembic_config(connection), REVISIONS[0])
        columns = [one["name"] for one in sa.inspect(connection).get_columns("operations")]
    upgrade(empty)
    old = sa.Table("operations", sa.MetaData(), *(sa.Column(name) for name in columns))
    values = {name: 1 if name == "fence" else 1.0 if name.endswith("_at") else
              sa.text("'{}'") if name in ("caller", "credential", "request", "plan", "result",
                                          "error") else name for name in columns}
    values |= {"state": "queued", "verb": "protect", "wanted": "run"}
    with writing(empty) as connection:
        connection.execute(sa.insert(old).values(values))
    assert [one.id for one in Operations(empty).list("project_id")] == ["id"]
    assert Operations(empty).entrusted(0.0) == []   # nobody has handed it over
