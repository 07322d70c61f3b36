"""A service's log: into a file, in JSON, with the request's id, and never with a secret."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from oslo_context.context import RequestContext

from karbor import config
from karbor.cmd import logs
from karbor.domain.errors import BadInput


@pytest.fixture(autouse=True)
def handlers_as_they_were(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    before = list(logging.root.handlers)
    yield
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
