"""What an operator allows at once reaches the driver, under the names that plugins use."""

from __future__ import annotations

import importlib
import pkgutil
import re
import threading
from pathlib import Path
from typing import Any

import pytest

import karbor.protections
from karbor import config
from karbor.cmd.embedded import EmbeddedKarbor
from karbor.domain.operation import Operation, Verb
from karbor.engine.concurrency_limits import Limit
from karbor.engine.runner import REMOVAL, UNAVAILABLE
from karbor.plugin.protection import Stage, Task
from karbor.worker import executor


def shipped_limits() -> set[str]:
    found = set()
    for module in pkgutil.walk_packages(karbor.protections.__path__, "karbor.protections."):
        for one in vars(importlib.import_module(module.name)).values():
            if isinstance(one, type) and issubclass(one, Stage | Task) and one.limit:
                found.add(one.limit)
    return found


def test_every_limit_of_a_plugin_we_ship_has_an_option(tmp_path: Path) -> None:
    file = tmp_path / "karbor.conf"
    file.write_text(f"[DEFAULT]\nstate_path = {tmp_path}\n[limits]\nproject_cinder_backups = 7\n"
                    "provider_glance_transfers = 5\nproject_glance_transfers = 5\n"
                    "project_server_images = 3\n")
    with EmbeddedKarbor(config.load([file])) as local:
        limits = local._setting(local.provider).limits
    assert limits == {"cinder-backups": Limit(16, 7), "glance-transfers": Limit(5, 5),
                      "server-images": Limit(8, 3)}
    assert shipped_limits() == set(limits)


def test_the_driver_keeps_to_the_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    class Recorder:
        def __init__(self, *_arguments: Any, **options: Any) -> None:
            given.update(options)

        def drive(self, _operation_id: str, _stopping: threading.Event) -> None: ...

    monkeypatch.setattr(executor, "Driver", Recorder)
    monkeypatch.setattr(executor, "run_notifying",
                        lambda _operation_id, drive, *_told: drive())
    file = tmp_path / "karbor.conf"
    file.write_text(f"[DEFAULT]\nstate_path = {tmp_path}\n[limits]\nworkers = 11\ncarriers = 4\n"
                    "project_cinder_backups = 1\n")
    with EmbeddedKarbor(config.load([file])) as local:
        local._records.add(Operation("op", Verb.VERIFY, "p", {}, {}, {}, "checkpoint"))
        local._executor.drive("op", threading.Event())
        places = given.pop("places")
        assert places.living(["op"]) == {}      # nobody has its lock
    assert given == {"threads": 11, "carriers": 4}
    assert places.limits == {"cinder-backups": Limit(16, 1), "glance-transfers": Limit(4, 2),
                             "server-images": Limit(8, 2)}


def test_every_kind_of_waiting_of_a_plugin_we_ship_has_an_option(tmp_path: Path) -> None:
    file = tmp_path / "karbor.conf"
    file.write_text(f"[DEFAULT]\nstate_path = {tmp_path}\n[waits]\nmade_anew = 5\n"
                    "made_anew_pause = 0.5\n"
                    + "".join(f"{kind} = {number}\n"
                              for number, kind in enumerate(config.WAITS, start=1)))
    with EmbeddedKarbor(config.load([file])) as local:
        setting = local._setting(local.provider)
    assert setting.waits == {kind: 60.0 * number
                             for number, kind in enumerate(config.WAITS, start=1)}
    assert (setting.made_anew, setting.made_anew_pause) == (5, 0.5)
    kinds = {UNAVAILABLE, REMOVAL}
    for module in pkgutil.iter_modules(karbor.protections.__path__):
        shipped = importlib.import_module(f"karbor.protections.{module.name}")
        text = Path(str(shipped.__file__)).read_text()
        kinds |= set(re.findall(r'waits(?:: ClassVar\[str\])? = "(\w+)"', text))
    assert kinds <= set(config.WAITS)
