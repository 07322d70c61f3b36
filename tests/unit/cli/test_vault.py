"""karbor vault, on banks in directories."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from karbor.banks.directory import DirectoryBank
from karbor.cli.group import karbor
from karbor.plugin.bank import Section
from karbor.plugin.vault_location import VaultLocation
from karbor.vault import DiskVault
from karbor.vault.collection import GRACE_SECONDS
from karbor.vault.lease import condemnations
from tests.unit.vault.disks import Source, noise

DAYS = 24 * 3600.0


class Place:
    def __init__(self, root: Path) -> None:
        (root / "karbor.conf").write_text(
            f"[DEFAULT]\nstate_path = {root}\n[fs_bank]\npath = {root / 'bank'}\n")
        self.bank = DirectoryBank({"path": str(root / "bank")})

    def vault(self, project: str) -> VaultLocation:
        return VaultLocation(Section(self.bank, f"projects/{project}"))

    def keep(self, project: str, checkpoint: str, seed: str) -> None:
        """A disk that was kept three days ago."""
        section = Section(self.bank, f"projects/{project}/resources/{checkpoint}/image-1")
        DiskVault(self.vault(project), section, clock=lambda: time.time() - 3 * DAYS).store(
            "bytes", Source(noise(seed, 20)))

    def drop(self, project: str, checkpoint: str) -> None:
        Section(self.bank, f"projects/{project}/resources/{checkpoint}/image-1").delete(
            ["bytes/disk.json"])

    def packs(self, project: str) -> int:
        return len(self.bank.list(f"projects/{project}/vault/packs/"))

    def let_grace_pass(self, project: str) -> None:
        """As if everything had been condemned, and clear, two days ago."""
        section = self.vault(project).section
        for condemnation in condemnations(section):
            then = time.time() - 2 * GRACE_SECONDS
            older = replace(condemnation, condemned_at=then, clear_since=then)
            section.put(older.key, [older.body()])


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("KARBOR_CONFIG", str(tmp_path / "karbor.conf"))
    return Place(tmp_path)


def run(*words: str, code: int = 0) -> Result:
    ended = CliRunner().invoke(karbor, list(words))
    assert ended.exit_code == code, (ended.output, ended.exception)
    return ended


def told(*words: str, code: int = 0) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(run(*words, "--format", "json", code=code).stdout)
    return found


def test_without_a_vault_there_is_nothing_to_collect(place: Place) -> None:
    assert "the bank has no vault" in run("vault", "gc").output
    assert told("vault", "gc") == []


def test_what_a_deleted_checkpoint_needed_goes_in_three_acts(place: Place) -> None:
    place.keep("p1", "c1", "one")
    place.keep("p1", "c2", "two")
    place.drop("p1", "c1")
    before = place.packs("p1")

    [dry] = told("vault", "gc", "--dry-run")
    assert (dry["condemned_packs"], dry["disks"], dry["dry_run"]) == (1, 1, True)
    assert condemnations(place.vault("p1").section) == []
    [first] = told("vault", "gc")
    assert (first["condemned_packs"], first["removed_packs"], first["project_id"]) == (1, 0, "p1")
    [second] = told("vault", "gc")
    assert (second["condemned_packs"], second["waiting_packs"]) == (0, 1)
    assert place.packs("p1") == before

    place.let_grace_pass("p1")
    [would] = told("vault", "gc", "--dry-run")
    assert would["removed_packs"] == 1
    assert place.packs("p1") == before
    [third] = told("vault", "gc")
    assert third["removed_packs"] == 1
    assert int(str(third["freed_bytes"])) > 20 * 65536
    assert place.packs("p1") == before - 1
    section = Section(place.bank, "projects/p1/resources/c2/image-1")
    assert DiskVault(place.vault("p1"), section).open("bytes").check() == 20 * 65536


def test_only_the_projects_that_are_named_are_collected(place: Place) -> None:
    for project in ("p1", "p1-b", "p2"):
        place.keep(project, "c1", project)
    assert [one["project_id"] for one in told("vault", "gc")] == ["p1-b", "p1", "p2"]
    assert [one["project_id"] for one in told("vault", "gc", "--project", "p2")] == ["p2"]
    assert "p2" in run("vault", "gc", "--project", "p2").stdout


def test_a_map_that_cannot_be_read_stops_the_collection_of_its_project(place: Place) -> None:
    place.keep("p1", "c1", "one")
    place.keep("p2", "c1", "two")
    place.drop("p2", "c1")
    [pack] = place.bank.list("projects/p1/vault/packs/")
    place.bank.delete([pack.key])
    failed, collected = told("vault", "gc", code=5)
    assert "the map of the disk resources/c1/image-1/bytes/disk.json cannot be read" in str(
        failed["error"])
    assert collected["condemned_packs"] == 1
    assert "project p1: " in run("vault", "gc", code=5).stderr
