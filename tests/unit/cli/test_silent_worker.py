"""An operation whose worker was stopped or hangs: nobody else goes on with it, and one is told."""

from __future__ import annotations

import re

import pytest

from karbor.cli import watch
from karbor.cmd.embedded import Driver
from karbor.domain.operation import OperationState
from tests.unit.cli.fakes import FakeLocal, planned, run, steps

LIVELY = Driver(4711, "worker-1")
SILENT = Driver(4711, "worker-1", 1_000_000.0)


def test_show_names_the_process_that_drives_an_operation() -> None:
    local = FakeLocal([(planned(), steps())], driven_by=LIVELY)
    shown = run(local, "operation", "show", "0d3c")
    assert re.search(r"driven by +process 4711 on worker-1\n", shown.stdout)
    local.driven_by = SILENT
    shown = run(local, "operation", "show", "0d3c")
    told = " ".join(shown.stdout.split())
    assert "process 4711 on worker-1, silent since " in told
    assert "end it there with: kill -9 4711" in told


def test_who_follows_an_operation_is_told_once_of_a_silent_worker(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SILENCE_LOOK_SECONDS", 0.0)
    local = FakeLocal([(planned(), steps())] * 4 + [(planned(state=OperationState.CANCELLED),
                                                    steps())], driven_by=SILENT)
    told = run(local, "operation", "cancel", "0d3c").stderr
    assert told.count("the operation is driven by process 4711 on worker-1, silent since") == 1


def test_a_lively_worker_is_not_spoken_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SILENCE_LOOK_SECONDS", 0.0)
    local = FakeLocal([(planned(), steps())] * 4 + [(planned(state=OperationState.CANCELLED),
                                                    steps())], driven_by=LIVELY)
    assert "driven by" not in run(local, "operation", "cancel", "0d3c").stderr
