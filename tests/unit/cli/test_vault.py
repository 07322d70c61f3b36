"""karbor vault, on banks in directories."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from karbor.banks.directory import DirectoryBank
from karbor.cli.program import karbor
from karbor.domain.errors import VaultSealed
from karbor.plugin.bank import Section
from karbor.plugin.vault_location import Encryption, VaultKeySource, VaultLocation
from karbor.vault import DiskVault
from karbor.vault.blocks import CHUNK_BYTES
from karbor.vault.collection import GRACE_SECONDS
from karbor.vault.key_wrapping import new_key_file
from karbor.vault.lease import condemnations
from karbor.vault.pack import pack_key
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


def told(*words: str, code: int = 0) -> Any:
    return json.loads(run(*words, "--format", "json", code=code).stdout)


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


# ---------------------------------------------------------------- stats
def test_what_each_checkpoint_takes_is_told(place: Place) -> None:
    """Of ten chunks of its own and ten that both have; zeros count for nothing."""
    both = noise("both", 10)
    for checkpoint, seed in (("c1", "one"), ("c2", "two")):
        section = Section(place.bank, f"projects/p1/resources/{checkpoint}/image-1")
        DiskVault(place.vault("p1"), section).store(
            "bytes", Source(both + noise(seed, 10) + bytes(30 * CHUNK_BYTES)))
    place.keep("p2", "c1", "three")
    [one, two] = told("vault", "stats")
    for checkpoint in one["checkpoints"]:
        assert (checkpoint["disks"], checkpoint["size_bytes"], checkpoint["data_bytes"]) == (
            1, 50 * CHUNK_BYTES, 20 * CHUNK_BYTES)
        assert 10 * CHUNK_BYTES < checkpoint["own_bytes"] < 10 * CHUNK_BYTES + 4000
        assert 10 * CHUNK_BYTES < checkpoint["shared_bytes"] < 10 * CHUNK_BYTES + 4000
    assert [checkpoint["checkpoint_id"] for checkpoint in one["checkpoints"]] == ["c1", "c2"]
    assert 0 <= one["unneeded_bytes"] < 1000
    assert 30 * CHUNK_BYTES < one["stored_bytes"] < 30 * CHUNK_BYTES + 8000
    assert two["checkpoints"][0]["shared_bytes"] == 0

    freed = one["checkpoints"][0]["own_bytes"]
    place.drop("p1", "c1")
    [one] = told("vault", "stats", "--project", "p1")
    assert freed <= one["unneeded_bytes"] < freed + 1000
    assert one["checkpoints"][0]["shared_bytes"] == 0
    text = run("vault", "stats").stdout
    assert "project p2: " in text
    assert "of which no checkpoint needs" in text


def test_a_vault_of_which_a_map_is_gone_is_told(place: Place) -> None:
    place.keep("p1", "c1", "one")
    place.keep("p2", "c1", "two")
    [pack] = place.bank.list("projects/p1/vault/packs/")
    place.bank.delete([pack.key])
    assert "project p1: " in run("vault", "stats", code=5).stderr
    failed, good = told("vault", "stats", code=5)
    assert failed["error"]["error"] == "ObjectMissing"
    assert good["checkpoints"][0]["disks"] == 1


# ---------------------------------------------------------------- verify
def harm(place: Place, project: str, number: int) -> str:
    """Flip a bit in the middle of a pack's file, behind the bank's back."""
    key = place.bank.list(f"projects/{project}/vault/packs/")[number].key
    path = place.bank._objects / f"{key}+b3"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    return key.rsplit("/", 1)[1]


def test_a_flipped_bit_is_found_with_the_disks_that_need_it(place: Place) -> None:
    place.keep("p1", "c1", "one")
    place.keep("p1", "c2", "one")
    place.keep("p1", "c3", "two")
    place.keep("p2", "c1", "three")
    one, two = told("vault", "verify")
    assert (one["packs"], one["of_packs"], one["damaged"]) == (2, 2, [])
    assert two["bytes"] > 20 * CHUNK_BYTES
    [pack] = {stored.key for stored in place.bank.list("projects/p1/vault/packs/")} - {
        f"projects/p1/vault/{key}" for key in needed(place, "c3")}
    name = harm(place, "p1", [one.key for one in place.bank.list("projects/p1/vault/packs/")]
                .index(pack))

    ended = run("vault", "verify", code=5)
    assert name in ended.stderr
    for checkpoint in ("c1", "c2"):
        assert f"needed by resources/{checkpoint}/image-1/bytes/disk.json" in ended.stderr
    assert "resources/c3" not in ended.stderr
    assert "project p2" not in ended.stderr
    [found] = [one for one in told("vault", "verify", code=5) if one["damaged"]]
    assert (found["project_id"], len(found["damaged"])) == ("p1", 1)
    place.keep("p1", "c4", "one")       # stored anew: the damaged pack is not relied upon
    section = Section(place.bank, "projects/p1/resources/c4/image-1")
    assert DiskVault(place.vault("p1"), section).open("bytes").check() == 20 * CHUNK_BYTES


def needed(place: Place, checkpoint: str) -> set[str]:
    """The packs of a checkpoint's disk."""
    section = Section(place.bank, f"projects/p1/resources/{checkpoint}/image-1")
    pages = DiskVault(place.vault("p1"), section).open("bytes").manifest.pages
    return {pack_key(page.address.pack) for page in pages if page is not None}


def test_a_sample_reads_so_much(place: Place) -> None:
    for number in range(4):
        place.keep("p1", f"c{number}", str(number))
    for sample, packs in (("50%", 2), ("51", 3), ("1%", 1), ("100%", 4)):
        [found] = told("vault", "verify", "--sample", sample)
        assert (found["packs"], found["of_packs"]) == (packs, 4)
    for sample in ("0%", "101%", "half", "-3"):
        assert "percentage" in run("vault", "verify", f"--sample={sample}", code=2).output


# ---------------------------------------------------------------- keys
def encrypted(place: Place, root: Path, key: Path, encryption: str = "key-file") -> None:
    """From now on there is one provider, with this key."""
    (root / "providers.d").mkdir(exist_ok=True)
    (root / "providers.d" / "own.conf").write_text(
        "[provider]\nname = own\nid = 11111111-1111-4111-8111-111111111111\n"
        "bank = karbor-fs-bank-plugin\nplugin = karbor-image-protection-plugin\nenabled = True\n"
        f"[file_system_bank_plugin]\nfile_system_bank_path = {root / 'bank'}\n"
        f"[vault_plugin]\nencryption = {encryption}\nkey_file = {key}\n")


def disk_of(place: Place, key: Path, encryption: Encryption = Encryption.KEY_FILE) -> DiskVault:
    location = VaultLocation(Section(place.bank, "projects/p1"), VaultKeySource(encryption, key))
    return DiskVault(location, Section(place.bank, "projects/p1/resources/c1/image-1"))


@pytest.fixture
def key(place: Place, tmp_path: Path) -> Path:
    """That of a provider with one encrypted vault."""
    path = tmp_path / "key"
    new_key_file(path)
    encrypted(place, tmp_path, path)
    disk_of(place, path).store("bytes", Source(noise("one", 20)))
    return path


@pytest.mark.parametrize("kind", [Encryption.KEY_FILE, Encryption.PASSPHRASE])
def test_a_key_is_changed_without_rewriting_anything(
        place: Place, key: Path, tmp_path: Path, kind: Encryption) -> None:
    new = tmp_path / "new"
    if kind is Encryption.KEY_FILE:
        new_key_file(new)
        words = ["vault", "key", "rotate", str(new)]
    else:
        new.write_text("correct horse battery staple")
        new.chmod(0o600)
        words = ["vault", "key", "rotate", str(new), "--passphrase"]
    before = place.bank.list("projects/p1/vault/packs/")
    assert "rotated: the vault of project p1" in run(*words).stdout
    assert "no vault needed it" in run(*words).stdout
    for path, encryption in ((key, Encryption.KEY_FILE), (new, kind)):
        assert disk_of(place, path, encryption).open("bytes").check() == 20 * CHUNK_BYTES

    encrypted(place, tmp_path, new, kind)
    assert "pruned: the vault of project p1" in run("vault", "key", "prune", "--yes").stdout
    assert "no vault has another key" in run("vault", "key", "prune", "--yes").stdout
    assert disk_of(place, new, kind).open("bytes").check() == 20 * CHUNK_BYTES
    with pytest.raises(VaultSealed):
        disk_of(place, key).open("bytes")
    assert place.bank.list("projects/p1/vault/packs/") == before


def test_keys_are_not_taken_away_by_whoever_cannot_open_the_vault(
        place: Place, key: Path, tmp_path: Path) -> None:
    new_key_file(tmp_path / "wrong")
    encrypted(place, tmp_path, tmp_path / "wrong")
    for words in (("prune", "--yes"), ("rotate", str(key))):
        assert "does not open the project's vault" in run("vault", "key", *words, code=5).stderr
    assert disk_of(place, key).open("bytes").check() == 20 * CHUNK_BYTES


def test_a_new_key_that_will_not_do_changes_nothing(place: Place, key: Path, tmp_path: Path
                                                    ) -> None:
    keys = place.bank.list("projects/p1/vault/keys/")
    assert "cannot be read" in run("vault", "key", "rotate", str(tmp_path / "none"), code=5).stderr
    assert place.bank.list("projects/p1/vault/keys/") == keys


def test_a_vault_without_encryption_has_no_key_to_change(place: Place, tmp_path: Path) -> None:
    place.keep("p1", "c1", "one")
    new_key_file(tmp_path / "new")
    told = run("vault", "key", "rotate", str(tmp_path / "new"), code=5).stderr
    assert "was made without encryption" in told
    assert "could still be read" in run("vault", "key", "shred", "p1", "--yes", code=5).stderr


def test_a_shredded_project_is_unreadable_with_whatever_key(
        place: Place, key: Path, tmp_path: Path) -> None:
    assert run("vault", "key", "shred", "p1", code=2).exit_code == 2      # nobody to ask
    assert disk_of(place, key).open("bytes")
    assert told("vault", "key", "shred", "p1", "--yes") == {"shredded": ["p1"]}
    with pytest.raises(VaultSealed, match="it was destroyed"):
        disk_of(place, key).open("bytes")
    assert "secret is gone" in run("vault", "key", "shred", "p1", "--yes", code=2).stderr
