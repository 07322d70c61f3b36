"""A stranger who has only docs/bank-format.md gets the bytes out."""

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from karbor.banks.directory import DirectoryBank
from karbor.checkpoints.repository import CheckpointRepository
from karbor.domain.checkpoint import Checkpoint, CheckpointState
from karbor.domain.resource import IMAGE, Resource, ResourceGraph
from karbor.vault import Manifest, Vault

SCRIPT = Path(__file__).parents[2] / "docs" / "rescue_reader.py"
BLOCK = 4 * 1024 * 1024
ID = "0199a0b1-0000-7000-8000-000000000001"
RESOURCE = Resource(IMAGE, "1c2d", "debian")
noise = random.Random(3).randbytes

BODIES = {
    "mixed": noise(BLOCK) + bytes(2 * BLOCK) + b"words, words, words\n" * 300_000 + bytes(999),
    "zeros": bytes(BLOCK + 5), "empty": b"", "small": b"small"}


@pytest.fixture
def checkpoints(tmp_path: Path) -> CheckpointRepository:
    """One finished checkpoint with a stream for each of the bodies."""
    found = CheckpointRepository(DirectoryBank({"path": tmp_path / "bank"}), "p1")
    graph = ResourceGraph.build([RESOURCE], lambda _: {})
    begun = Checkpoint(ID, "p1", "nightly", 1.0, CheckpointState.PROTECTING, graph)
    found.begin(begun)
    vault = Vault(found.section(ID, RESOURCE))
    for name, body in BODIES.items():
        kept = vault.store(name, lambda offset, body=body: [body[offset:]])
        assert isinstance(kept, Manifest)
    found.conclude(Checkpoint(ID, "p1", "nightly", 1.0, CheckpointState.AVAILABLE, graph))
    return found


def rescue(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # -I: neither this directory nor PYTHONPATH is searched for modules
    return subprocess.run([sys.executable, "-I", SCRIPT, "bank", "p1", *arguments], cwd=tmp_path,
                          capture_output=True, text=True, check=False)


def test_it_shares_no_code_with_karbor_and_is_short() -> None:
    text = SCRIPT.read_text()
    assert not re.search(r"^\s*(from|import) karbor", text, re.MULTILINE)
    assert len(text.splitlines()) <= 100


def test_it_finds_its_way(checkpoints: CheckpointRepository, tmp_path: Path) -> None:
    assert rescue(tmp_path).stdout == f"{ID} available nightly\n"
    assert rescue(tmp_path, ID).stdout.splitlines() == [
        f"image-1c2d {name}" for name in sorted(BODIES)]
    checkpoints.hide(ID, 2.0)
    assert rescue(tmp_path).stdout == f"{ID} deleting nightly\n"


@pytest.mark.parametrize("name", sorted(BODIES))
def test_it_writes_the_very_bytes(
    checkpoints: CheckpointRepository, tmp_path: Path, name: str
) -> None:
    done = rescue(tmp_path, ID, "image-1c2d", name, "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("as kept\n")
    assert (tmp_path / "out").read_bytes() == BODIES[name]


def test_it_notices_damage(checkpoints: CheckpointRepository, tmp_path: Path) -> None:
    pieces = sorted((tmp_path / "bank").rglob("pieces/*/*+b3"))
    raw = bytearray(pieces[0].read_bytes())
    raw[1000] ^= 1
    pieces[0].write_bytes(raw)
    done = rescue(tmp_path, ID, "image-1c2d", "mixed", "out")
    assert done.returncode == 1
    assert "damaged: " in done.stderr
    assert pieces[0].name in done.stderr
