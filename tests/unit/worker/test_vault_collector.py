"""A worker collects the garbage of vaults by its own rhythm."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from karbor_testing.bank import Fault, FaultyBank, MemoryBank

from karbor import config
from karbor.cmd.serve import Server
from karbor.operations.execution_context import Provider
from karbor.plugin.bank import Section
from karbor.plugin.vault_location import VaultLocation
from karbor.providers.catalog import ProviderCatalog
from karbor.vault import DiskVault
from karbor.vault.collection import last_collected
from karbor.vault.lease import condemnations
from karbor.worker.vault_collector import VaultCollector
from tests.unit.options.conftest import Place, cloud, place, until
from tests.unit.vault.disks import Source, noise

__all__ = ["cloud", "place"]


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def keep(bank: MemoryBank | FaultyBank, project: str, clock: Clock) -> None:
    DiskVault(VaultLocation(Section(bank, f"projects/{project}")),
              Section(bank, f"projects/{project}/resources/c1/image-1"), clock=clock).store(
        "bytes", Source(noise(project, 5)))


def collector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bank: MemoryBank | FaultyBank,
              clock: Clock) -> VaultCollector:
    file = tmp_path / "karbor.conf"
    file.write_text(f"[DEFAULT]\nstate_path = {tmp_path}\nvault_collection_interval = 3600\n")
    conf = config.load([file])
    monkeypatch.setattr(ProviderCatalog, "open", lambda _self, _info: Provider(
        "prov", "toys", bank, {}))

    def nobody() -> None:
        raise AssertionError("no login is needed")

    return VaultCollector(conf, ProviderCatalog(conf, nobody), clock=clock)   # type: ignore[arg-type]


def go_round(worker: VaultCollector) -> None:
    """A look, and the round that it begins, if it does."""
    worker.look()
    if worker._thread is not None:
        worker._thread.join()


def collected(bank: MemoryBank | FaultyBank, project: str) -> float | None:
    return last_collected(Section(bank, f"projects/{project}/vault"))


def test_workers_share_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bank, clock = MemoryBank(), Clock()
    keep(bank, "p1", clock)
    keep(bank, "p2", clock)
    one = collector(tmp_path, monkeypatch, bank, clock)
    other = collector(tmp_path, monkeypatch, bank, clock)
    go_round(one)
    assert (collected(bank, "p1"), collected(bank, "p2")) == (clock.now, clock.now)
    clock.now += 60
    go_round(other)
    assert collected(bank, "p1") == clock.now - 60


def test_it_collects_again_after_its_interval(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bank, clock = MemoryBank(), Clock()
    keep(bank, "p1", clock)
    Section(bank, "projects/p1/resources/c1/image-1").delete(["bytes/disk.json"])
    vault = Section(bank, "projects/p1/vault")
    worker = collector(tmp_path, monkeypatch, bank, clock)
    began = []
    for hours in (0.5, 0.6, 25.0, 25.0, 2.0):
        clock.now += hours * 3600
        go_round(worker)
        began.append(collected(bank, "p1") == clock.now)
    worker.stop()
    assert began == [True, False, True, True, True]
    assert [one.swept_at for one in condemnations(vault)] == [clock.now]
    assert bank.list("projects/p1/vault/packs/") == []


def test_a_vault_that_cannot_be_collected_keeps_no_other_one_from_it(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    bank, clock = MemoryBank(), Clock()
    keep(bank, "p1", clock)
    keep(bank, "p2", clock)
    faulty = FaultyBank(bank, Fault("get", key="projects/p1/vault/vault.json"))
    worker = collector(tmp_path, monkeypatch, faulty, clock)
    with caplog.at_level(logging.WARNING):
        go_round(worker)
    assert "the vault of project p1 (provider karbor) was not collected: " in caplog.text
    assert collected(bank, "p2") == clock.now


@pytest.mark.filterwarnings("ignore:send_bytes:DeprecationWarning")
def test_it_collects_as_often_as_it_is_told(
        place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole worker, seen through its bank."""
    bank = MemoryBank()
    keep(bank, "p1", Clock())
    monkeypatch.setattr(ProviderCatalog, "open", lambda _self, _info: Provider(
        "prov", "toys", bank, {}))
    rounds = "pickup_interval = 0.05\nsweep_interval = 0.05\nvault_collection_interval = "
    with Server(place.configure(rounds + "0.05"), api=False):
        until(lambda: collected(bank, "p1"), "the first collection")
        first = collected(bank, "p1")
        until(lambda: collected(bank, "p1") != first, "another one")
    bank.delete(["projects/p1/vault/collected.json"])
    looks: list[str] = []
    monkeypatch.setattr(VaultCollector, "_round", lambda _self, _interval: looks.append("round"))
    with Server(place.configure(rounds + "3600"), api=False):
        until(lambda: looks, "the first round")
    assert looks == ["round"]


def test_without_an_interval_it_collects_nothing(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bank, clock = MemoryBank(), Clock()
    keep(bank, "p1", clock)
    worker = collector(tmp_path, monkeypatch, bank, clock)
    worker._conf.set_override("vault_collection_interval", 0.0)
    go_round(worker)
    assert collected(bank, "p1") is None
