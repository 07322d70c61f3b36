"""A stranger who has only docs/bank-format.md and docs/vault-format.md gets the bytes out."""

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from karbor_testing.stream_writer import write_stream

from karbor.banks.directory import DirectoryBank
from karbor.checkpoints.repository import CheckpointRepository
from karbor.domain.checkpoint import Checkpoint, CheckpointState
from karbor.domain.resource import IMAGE, Resource, ResourceGraph
from karbor.plugin.bank import Section
from karbor.plugin.vault_location import Encryption, VaultKeySource, VaultLocation
from karbor.vault import DiskVault, KeptDisk
from karbor.vault.key_wrapping import new_key_file

SCRIPT = Path(__file__).parents[2] / "docs" / "rescue_reader.py"
BLOCK = 4 * 1024 * 1024
ID = "0199a0b1-0000-7000-8000-000000000001"
RESOURCE = Resource(IMAGE, "1c2d", "debian")
noise = random.Random(3).randbytes

BODIES = {
    "mixed": noise(BLOCK) + bytes(2 * BLOCK) + b"words, words, words\n" * 300_000 + bytes(999),
    "zeros": bytes(BLOCK + 5), "empty": b"", "small": b"small"}


KEYS = ["none", "key-file", "passphrase", "stream"]
"""With what the vault is encrypted; or no vault, but streams of an earlier Karbor."""


def key_source(root: Path, how: str) -> VaultKeySource:
    path = root / "key"
    if how == "key-file":
        new_key_file(path)
    elif how == "passphrase":
        path.write_text("correct horse battery staple\n")
        path.chmod(0o600)
    else:
        return VaultKeySource()
    return VaultKeySource(Encryption(how), path)


@pytest.fixture(params=KEYS)
def how(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def checkpoints(tmp_path: Path, how: str) -> CheckpointRepository:
    """One finished checkpoint with a disk for each of the bodies."""
    bank = DirectoryBank({"path": tmp_path / "bank"})
    found = CheckpointRepository(bank, "p1")
    graph = ResourceGraph.build([RESOURCE], lambda _: {})
    begun = Checkpoint(ID, "p1", "nightly", 1.0, CheckpointState.PROTECTING, graph)
    found.begin(begun)
    section = found.section(ID, RESOURCE)
    vault = DiskVault(VaultLocation(Section(bank, "projects/p1"), key_source(tmp_path, how)),
                      section)
    for name, body in BODIES.items():
        if how == "stream":
            write_stream(section, name, body)
        else:
            kept = vault.store(name, lambda offset, body=body: [body[offset:]], hashes=["sha512"])
            assert isinstance(kept, KeptDisk)
    found.conclude(Checkpoint(ID, "p1", "nightly", 1.0, CheckpointState.AVAILABLE, graph))
    return found


def rescue(tmp_path: Path, *arguments: str, how: str = "") -> subprocess.CompletedProcess[str]:
    # -I: neither this directory nor PYTHONPATH is searched for modules
    named = {"key-file": "KEY_FILE", "passphrase": "PASSPHRASE_FILE"}.get(how, "UNUSED")
    return subprocess.run([sys.executable, "-I", SCRIPT, "bank", "p1", *arguments], cwd=tmp_path,
                          env={named: str(tmp_path / "key")}, capture_output=True, text=True,
                          check=False)


def test_it_shares_no_code_with_karbor_and_is_short() -> None:
    text = SCRIPT.read_text()
    assert not re.search(r"^\s*(from|import) karbor", text, re.MULTILINE)
    assert len(text.splitlines()) < 300


def test_it_finds_its_way(checkpoints: CheckpointRepository, tmp_path: Path) -> None:
    assert rescue(tmp_path).stdout == f"{ID} available nightly\n"
    assert rescue(tmp_path, ID).stdout.splitlines() == [
        f"image-1c2d {name}" for name in sorted(BODIES)]
    checkpoints.hide(ID, 2.0)
    assert rescue(tmp_path).stdout == f"{ID} deleting nightly\n"


@pytest.mark.parametrize("name", sorted(BODIES))
def test_it_writes_the_very_bytes(
    checkpoints: CheckpointRepository, tmp_path: Path, name: str, how: str
) -> None:
    done = rescue(tmp_path, ID, "image-1c2d", name, "out", how=how)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("as kept\n")
    assert (tmp_path / "out").read_bytes() == BODIES[name]


def test_it_notices_damage(checkpoints: CheckpointRepository, tmp_path: Path, how: str) -> None:
    for path in (tmp_path / "bank").rglob("p*/*/*+b3"):
        if path.parent.parent.name in ("packs", "pieces"):
            raw = bytearray(path.read_bytes())
            raw[(len(raw) - 115) // 2] ^= 1
            path.write_bytes(raw)
    done = rescue(tmp_path, ID, "image-1c2d", "mixed", "out", how=how)
    assert done.returncode == 1
    assert "damaged: " in done.stderr


def test_it_says_that_a_key_is_missing(checkpoints: CheckpointRepository, tmp_path: Path, how: str
                                       ) -> None:
    done = rescue(tmp_path, ID, "image-1c2d", "small", "out")
    assert ("no key opens this vault" in done.stderr) is (how in ("key-file", "passphrase"))
    assert (tmp_path / "out").exists() is (how in ("none", "stream"))
