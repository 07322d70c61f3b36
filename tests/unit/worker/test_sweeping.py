"""Resuming an operation sweeps as its acceptance does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from karbor_testing.bank import MemoryBank

from karbor import config
from karbor.application.clouds import Clouds
from karbor.checkpoints.deferred_deletions import DeferredDeletions
from karbor.cmd.embedded import EmbeddedKarbor
from karbor.domain.errors import TokenRejected
from karbor.domain.operation import Operation, Verb
from karbor.operations.execution_context import Provider
from karbor.plugin.protection import Protection
from karbor.providers.catalog import ProviderCatalog

BOX = "Toy::Box"


class Boxes(Protection):
    types = frozenset({BOX})

    def delete_deferred(self, facts: Mapping[str, Any], cloud: Any) -> bool:
        return bool(cloud == "the cloud")


class Resumed:
    def __init__(self) -> None:
        self.ids: list[str] = []

    def begin(self, operation_id: str, prepared: Callable[[], bool]) -> None:
        if prepared():
            self.ids.append(operation_id)

    def stop(self) -> None: ...


@pytest.mark.parametrize("rejected", [False, True])
def test_a_resumed_operation_sweeps_where_its_login_is_good(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rejected: bool) -> None:
    def connect(_clouds: Clouds, _operation: Operation) -> str:
        if rejected:
            raise TokenRejected("the token is over")
        return "the cloud"

    monkeypatch.setattr(EmbeddedKarbor, "project_id", "p")
    monkeypatch.setattr(Clouds, "of", connect)
    file = tmp_path / "karbor.conf"
    file.write_text(f"[DEFAULT]\nstate_path = {tmp_path}\n")
    bank, resumed = MemoryBank(), Resumed()
    DeferredDeletions(bank, "p").add(BOX, "b0", {})
    with EmbeddedKarbor(config.load([file])) as local:
        monkeypatch.setattr(ProviderCatalog, "of", lambda _self, _operation: Provider(
            "prov", "toys", bank, {BOX: Boxes()}))
        monkeypatch.setattr(local, "_engine", resumed)
        local._records.add(Operation("op", Verb.RESTORE, "p", {}, {}, {}, "checkpoint"))
        local.resume("op")
        notes = [text for _, text in local.events("op")]
    assert resumed.ids == ["op"]
    assert len(DeferredDeletions(bank, "p").all()) == rejected
    assert notes == ([] if rejected else ["removed what earlier deletions had to leave: b0"])
