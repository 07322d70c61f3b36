"""karbor checkpoint export, of a bank in a directory and without any cloud."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from karbor_testing.stream_writer import write_stream

from karbor.banks.directory import DirectoryBank
from karbor.checkpoints.repository import CheckpointRepository
from karbor.cli.program import karbor
from karbor.cmd.embedded import EmbeddedKarbor
from karbor.domain.checkpoint import Checkpoint, CheckpointState, Kept
from karbor.domain.resource import IMAGE, Resource, ResourceGraph
from karbor.plugin.bank import Section
from karbor.plugin.vault_location import VaultLocation
from karbor.providers import builtin
from karbor.vault import DiskVault, KeptDisk
from karbor.vault.blocks import CHUNK_BYTES
from tests.unit.vault.disks import Source, disk, noise

ID = "0199a0b1-0000-7000-8000-000000000001"
DEBIAN, DATA = Resource(IMAGE, "1c2d", "debian"), Resource(IMAGE, "77aa", "data")
OLD, OTHER = Resource(IMAGE, "0001", "old"), Resource(IMAGE, "0002", "data")
BODY = noise("one", 20) + bytes(2000 * CHUNK_BYTES) + disk("ab") + b"the end"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint with an image in the vault, an empty one, and one of an earlier Karbor."""
    (tmp_path / "karbor.conf").write_text(
        f"[DEFAULT]\nstate_path = {tmp_path}\n[fs_bank]\npath = {tmp_path / 'bank'}\n")
    monkeypatch.setenv("KARBOR_CONFIG", str(tmp_path / "karbor.conf"))
    monkeypatch.setattr(EmbeddedKarbor, "project_id", "p")
    bank = DirectoryBank({"path": str(tmp_path / "bank")})
    repository = CheckpointRepository(bank, "p")
    resources = [DEBIAN, DATA, OLD, OTHER]
    graph = ResourceGraph.build(resources, lambda _: {})
    repository.begin(Checkpoint(ID, "p", "nightly", 1.0, CheckpointState.PROTECTING, graph,
                                provider_id=builtin.ID))
    kept = {}
    for resource, body in ((DEBIAN, BODY), (DATA, b""), (OTHER, b"x")):
        done = DiskVault(VaultLocation(Section(bank, "projects/p")),
                         repository.section(ID, resource)).store("bytes", Source(body))
        assert isinstance(done, KeptDisk)
        kept[resource.key] = Kept(resource.key, {"bytes": {"stream": done.facts()}})
    stream = write_stream(repository.section(ID, OLD), "bytes", BODY)
    kept[OLD.key] = Kept(OLD.key, {"bytes": {"stream": stream.facts()}})
    repository.conclude(Checkpoint(ID, "p", "nightly", 1.0, CheckpointState.AVAILABLE, graph,
                                   provider_id=builtin.ID, kept=kept))
    return tmp_path


def run(*words: object, code: int = 0) -> Result:
    ended = CliRunner().invoke(karbor, ["checkpoint", "export", *map(str, words)])
    assert ended.exit_code == code, (ended.output, ended.exception)
    return ended


@pytest.mark.parametrize("word", ["debian", "1c2d", DEBIAN.key, "old"])
def test_a_disk_comes_out_as_it_was_with_its_holes(place: Path, word: str) -> None:
    out = place / "out.raw"
    told = run("nightly", word, "--output", out)
    assert f"{len(BODY)} bytes from 0 on of {len(BODY)}" in told.stderr
    assert out.read_bytes() == BODY
    assert out.stat().st_blocks * 512 < len(BODY) / 4


@pytest.mark.parametrize("word", ["debian", "old"])
def test_a_part_goes_to_stdout(place: Path, word: str) -> None:
    for offset, length in ((0, 10), (100_000, 200_000), (19 * CHUNK_BYTES, 3 * CHUNK_BYTES),
                           (len(BODY) - 5, 100), (len(BODY), 1), (5, 0)):
        told = run("nightly", word, "--offset", offset, "--length", length)
        assert told.stdout_bytes == BODY[offset:offset + length]


def test_a_part_reads_no_more_than_it_needs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    came = 0
    before = DirectoryBank.read

    def read(self: DirectoryBank, key: str, offset: int, length: int) -> bytes:
        nonlocal came
        came += length
        return before(self, key, offset, length)

    monkeypatch.setattr(DirectoryBank, "read", read)
    run("nightly", "debian", "--offset", 5, "--length", 5)
    assert came < 40 * CHUNK_BYTES      # tables, pages, and the chunks of one block


def test_an_empty_disk_is_an_empty_file(place: Path) -> None:
    run("nightly", DATA.key, "-o", place / "empty")
    assert (place / "empty").read_bytes() == b""


@pytest.mark.parametrize(("words", "code", "told"), [
    (("nightly", "nothing"), 2, "has no disk nothing"), (("nightly", "data"), 2, "several disks"),
    (("nightly", "debian", "--offset", len(BODY) + 1), 2, "there is no offset"),
    (("nightly", "debian", "--offset", -1), 2, "--offset"), (("weekly", "debian"), 2, "weekly")])
def test_what_is_not_there_is_said(place: Path, words: tuple[object, ...], code: int, told: str
                                   ) -> None:
    assert told in run(*words, "-o", place / "out", code=code).output
    assert not (place / "out").exists()


def test_a_file_that_exists_is_left_alone(place: Path) -> None:
    (place / "out").write_text("mine")
    assert "exists already" in run("nightly", "debian", "-o", place / "out", code=2).output
    assert (place / "out").read_text() == "mine"


def test_damage_is_told_with_its_object(place: Path) -> None:
    for path in (place / "bank" / "objects" / "projects" / "p" / "vault" / "packs").rglob("*+b3"):
        raw = bytearray(path.read_bytes())
        raw[50_000 % len(raw)] ^= 1
        path.write_bytes(raw)
    assert "packs/" in run("nightly", "debian", "-o", place / "out", code=5).output
