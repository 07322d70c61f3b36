"""A process that keeps a disk is killed; the next one goes on, and nothing is twice or lost."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from karbor.banks.directory import DirectoryBank
from karbor.plugin.bank import Section
from karbor.plugin.vault_location import VaultLocation
from karbor.vault import DiskVault
from karbor.vault.blocks import BLOCK_BYTES, CHUNK_BYTES

PACK_CHUNKS, BLOCKS = 40, 40

# The writer tells each block that has come and waits for a line, so that it cannot end before it is
# killed; what is in its threads by then goes on.
WRITER = f"""
import sys
from pathlib import Path
from karbor.banks.directory import DirectoryBank
from karbor.plugin.bank import Section
from karbor.plugin.vault_location import VaultLocation
from karbor.vault import DiskVault, disk_writer, pack_writer
pack_writer.PACK_BYTES = {PACK_CHUNKS} * {CHUNK_BYTES}
disk_writer.PAGES_BETWEEN_NOTES = 1
bank, body = DirectoryBank({{"path": sys.argv[1]}}), open(sys.argv[2], "rb").read()
DiskVault(VaultLocation(Section(bank, "projects/p"), index_directory=Path(sys.argv[3])),
          Section(bank, "projects/p/resources/c1/image-1")).store(
    "bytes", lambda offset: (body[at:at + 999_999] for at in range(offset, len(body), 999_999)),
    size=len(body), hashes=["sha512"],
    progress=lambda done: (print(done, flush=True), sys.stdin.readline()))
print("kept", flush=True)
"""


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_store_goes_on_until_it_is_done(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    body = b"".join(bytes(BLOCK_BYTES) if number % 3 == 0 else chance.randbytes(BLOCK_BYTES)
                    for number in range(BLOCKS)) + b"the end"
    source, path = tmp_path / "source", tmp_path / "bank"
    source.write_bytes(body)
    kills = 0
    while True:
        with subprocess.Popen([sys.executable, "-c", WRITER, path, source, tmp_path / "index"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                              bufsize=1) as writer:
            assert writer.stdin is not None
            assert writer.stdout is not None
            # The first runs die before or after the page that they note; then one may end.
            lines = chance.randrange(2, 24) if kills < 4 else 100
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
        assert kills <= 4
    assert kills >= 2

    bank = DirectoryBank({"path": path})
    assert list((path / "incoming").iterdir()) == []
    kept = DiskVault(VaultLocation(Section(bank, "projects/p")),
                     Section(bank, "projects/p/resources/c1/image-1")).open("bytes")
    assert b"".join(kept.read()) == body
    assert kept.check() == len(body)
    # A kill costs what was on its way: the pack that was being filled, and those being sent.
    stored = sum(one.size for one in bank.list("projects/p/vault/packs/"))
    data = sum(1 for number in range(BLOCKS) if number % 3) * BLOCK_BYTES
    assert data < stored < data * 1.02 + kills * 2 * PACK_CHUNKS * CHUNK_BYTES
