"""A service's log: into a file, in JSON, with the request's id, and never with a secret."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from oslo_context.context import RequestContext

from karbor import config
from karbor.cli.program import karbor
from karbor.cmd import logs
from karbor.domain.errors import BadInput
from karbor.store.connect import connect, writing


@pytest.fixture(autouse=True)
def handlers_as_they_were(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    before, mask = list(logging.root.handlers), os.umask(0o022)
    levels = {one: logging.getLogger(one).level for one in (None, "sqlalchemy")}
    yield
    os.umask(mask)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    for one in logging.root.handlers:
        if one not in before:
            one.close()
    logging.root.handlers[:] = before


def started(root: Path, *lines: str) -> config.ConfigOpts:
    file = root / "karbor.conf"
    file.write_text("\n".join(["[DEFAULT]", f"log_file = {root / 'karbor.log'}", *lines, ""]))
    conf = config.load([file])
    logs.set_up(conf)
    return conf


def test_lines_bear_the_id_of_the_request(tmp_path: Path) -> None:
    started(tmp_path)
    RequestContext(request_id="req-1", overwrite=True)
    logging.getLogger("karbor.api").info("a plan was made")
    logging.getLogger("karbor.api").debug("not this")
    (line,) = (tmp_path / "karbor.log").read_text().splitlines()
    assert "req-1" in line
    assert "a plan was made" in line


def test_json_for_machines(tmp_path: Path) -> None:
    started(tmp_path, "use_json = True")
    RequestContext(request_id="req-2", overwrite=True)
    logging.getLogger("karbor.api").warning("late")
    written = json.loads((tmp_path / "karbor.log").read_text())
    assert (written["message"], written["context"]["request_id"]) == ("late", "req-2")


def test_bodies_are_never_written(tmp_path: Path) -> None:
    started(tmp_path, "debug = True",
            "default_log_levels = keystoneauth=DEBUG,urllib3=DEBUG,keystoneauth.session=DEBUG")
    for name in ("keystoneauth.session", "keystoneauth", "urllib3.connectionpool"):
        logging.getLogger(name).debug("password: hunter2")
    logging.getLogger("keystoneauth").warning("heard")
    logging.getLogger("karbor").debug("heard too")
    text = (tmp_path / "karbor.log").read_text()
    assert "hunter2" not in text
    assert text.count("heard") == 2


def test_debug_counts_when_the_file_is_read_again(tmp_path: Path) -> None:
    conf = started(tmp_path)
    file = tmp_path / "karbor.conf"
    file.write_text(file.read_text() + "debug = True\n")
    conf.mutate_config_files()
    logging.getLogger("karbor").debug("now it is")
    assert "now it is" in (tmp_path / "karbor.log").read_text()


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="logging cannot be set up"):
        started(tmp_path, f"log_file = {tmp_path / 'absent' / 'x.log'}")


SEALED = "gAAAAAsealed-credential"


def read_a_sealed_credential(root: Path) -> None:
    """As every login from the database does; sqlalchemy tells rows at DEBUG."""
    engine = connect(f"sqlite:///{root / 'some.sqlite'}")
    with writing(engine) as connection:
        connection.execute(sa.text("CREATE TABLE one (sealed TEXT)"))
        connection.execute(sa.text("INSERT INTO one VALUES (:sealed)"), {"sealed": SEALED})
        assert connection.execute(sa.text("SELECT sealed FROM one")).scalar() == SEALED
    engine.dispose()


@pytest.mark.parametrize("levels", ["sqlalchemy=DEBUG,sqlalchemy.engine=DEBUG,some=DEBUG",
                                    "sqlalchemy=INFO"])
def test_neither_statements_nor_rows_are_written(tmp_path: Path, levels: str) -> None:
    started(tmp_path, "debug = True", f"default_log_levels = {levels}")
    read_a_sealed_credential(tmp_path)
    logging.getLogger("some.library").debug("inputs: %s", SEALED)
    logging.getLogger("karbor").debug("ours")
    text = (tmp_path / "karbor.log").read_text()
    assert (SEALED in text, "INSERT" in text, "SELECT" in text) == (False, False, False)
    assert "ours" in text


def test_the_command_shows_no_secret_whatever_it_is_asked(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "karbor.conf"
    file.write_text(f"[DEFAULT]\nstate_path = {tmp_path}\n")
    CliRunner().invoke(karbor, ["--debug", "--config-file", str(file), "config", "show"])
    read_a_sealed_credential(tmp_path)
    for library in ("keystoneauth.session", "urllib3.connectionpool", "some.library"):
        logging.getLogger(library).debug("body: %s", SEALED)
    logging.getLogger("karbor").debug("ours")
    told = capsys.readouterr().err
    assert "ours" in told
    assert SEALED not in told
    assert "INSERT" not in told


def test_the_log_is_nobody_elses(tmp_path: Path) -> None:
    """Also one that was there before, and the one that follows when it is rotated."""
    log = tmp_path / "karbor.log"
    log.touch(mode=0o644)
    log.chmod(0o644)
    started(tmp_path)
    assert log.stat().st_mode & 0o777 == 0o600
    log.rename(tmp_path / "karbor.log.1")
    logging.getLogger("karbor").warning("after the rotation")
    assert log.stat().st_mode & 0o777 == 0o600
