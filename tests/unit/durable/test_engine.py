"""What only the engine on SQLite can get wrong, and what any must not do beside its work."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from karbor.domain.errors import StoreUnavailable
from karbor.domain.operation import OperationState
from karbor.durable.engine import Engine

DONE = OperationState.DONE


def driver(operation_id: str, stopping: threading.Event) -> OperationState:
    return DONE


def test_nothing_is_pickled_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    with Engine(tmp_path, driver) as engine:
        engine.submit("op-1", "provider", "project")
        engine.wait("op-1")
        for file in tmp_path.glob("engine.sqlite*"):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    connection = sqlite3.connect(tmp_path / "engine.sqlite")
    assert connection.execute("SELECT DISTINCT serialization FROM workflow_status").fetchall() == [
        ("portable_json",)]
    connection.close()


@pytest.mark.parametrize("listening", [False, True], ids=["no-logging", "logging"])
def test_it_is_quiet_on_the_terminal_and_opens_no_port(tmp_path: Path, listening: bool) -> None:
    code = f"""
import logging, sys, threading
from pathlib import Path
from karbor.domain.operation import OperationState
from karbor.durable.engine import Engine
if {listening}:
    logging.basicConfig(level=logging.INFO)
def audit(event, arguments):
    if event in ("socket.bind", "socket.connect", "socket.getaddrinfo"):
        print(event, arguments)
sys.addaudithook(audit)
with Engine(Path({str(tmp_path)!r}), lambda id, stopping: OperationState.DONE) as engine:
    engine.submit("op-1", "provider", "project")
    assert engine.wait("op-1")
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True,
                          text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_a_command_that_only_reads_does_not_import_the_library() -> None:
    code = ("import sys; import karbor.durable.locks, karbor.store.operations, "
            "karbor.store.upgrade; assert 'dbos' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("broken", [b"this is no database" * 100, None],
                         ids=["garbage", "not-its-tables"])
def test_a_database_that_cannot_be_used_is_an_error_of_ours(
        tmp_path: Path, broken: bytes | None) -> None:
    if broken is not None:
        (tmp_path / "engine.sqlite").write_bytes(broken)
    else:
        connection = sqlite3.connect(tmp_path / "engine.sqlite")
        connection.execute("CREATE TABLE workflow_status (x)")
        connection.close()
    with pytest.raises(StoreUnavailable), Engine(tmp_path, driver):
        pass
    with Engine(tmp_path / "other", driver) as engine:
        engine.submit("op-1", "provider", "project")
        assert engine.wait("op-1") is True
