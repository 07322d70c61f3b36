"""A process that keeps a stream is killed; the next one goes on, and nothing is twice or lost."""

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from karbor.banks.directory import DirectoryBank
from karbor.plugin.bank import Section
from karbor.vault import Manifest, Vault

CUT, PAGE, BLOCKS = 10_000, 8, 60

# The writer tells each block that is safe and waits for a line, so that it cannot end before it is
# killed; what is in its threads by then goes on.
WRITER = """
import sys
from karbor.banks.directory import DirectoryBank
from karbor.plugin.bank import Section
from karbor.vault import Vault
body = open(sys.argv[2], "rb").read()
Vault(Section(DirectoryBank({"path": sys.argv[1]}), "s"), cut=10_000, page=8).store(
    "image", lambda offset: (body[at:at + 3333] for at in range(offset, len(body), 3333)),
    size=len(body), hashes=["sha512"],
    progress=lambda done: (print(done, flush=True), sys.stdin.readline()))
print("kept", flush=True)
"""


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_store_goes_on_until_it_is_done(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    body = b"".join(bytes(CUT) if number % 3 == 0 else chance.randbytes(CUT)
                    for number in range(BLOCKS)) + b"the end"
    source, path = tmp_path / "source", tmp_path / "bank"
    source.write_bytes(body)
    kills = 0
    while True:
        with subprocess.Popen([sys.executable, "-c", WRITER, path, source],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                              bufsize=1) as writer:
            assert writer.stdin is not None
            assert writer.stdout is not None
            lines = chance.randrange(1, 25)
            said = ""
            for count in range(lines):
                said = writer.stdout.readline().strip()
                if said in ("kept", ""):
                    break
                if count < lines - 1:
                    writer.stdin.write("on\n")
            if said != "kept":
                assert said, "the writer has failed"
                writer.kill()
                kills += 1
        if said == "kept":
            assert writer.returncode == 0
            break
        assert kills < 50
    assert kills >= 2

    bank = DirectoryBank({"path": path})
    assert list((path / "incoming").iterdir()) == []
    vault = Vault(Section(bank, "s"), cut=CUT, page=PAGE)
    asked: list[int] = []

    def unwanted(offset: int) -> Iterator[bytes]:
        asked.append(offset)
        return iter(())

    manifest = vault.store("image", unwanted)
    assert isinstance(manifest, Manifest)
    assert asked == []
    assert b"".join(vault.read(manifest)) == body
    assert vault.check(manifest) == len(body)
    assert len(bank.list("s/image/pieces/")) == manifest.pieces == BLOCKS * 2 // 3 + 1
