"""Karbor's vault as a program: `store`, `restore` or `check` a file, and tell the memory it took.

    python -m dev.benchmarks.vault.store store ROOT NAME FILE
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from karbor.banks.directory import DirectoryBank
from karbor.cli.sparse_output import write_blocks
from karbor.plugin.bank import Section
from karbor.plugin.vault_location import Encryption, VaultKeySource, VaultLocation
from karbor.vault import DiskVault, KeptDisk
from karbor.vault.key_wrapping import new_key_file

READ_BYTES = 1 << 20


def stream(path: Path, offset: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        while block := file.read(READ_BYTES):
            yield block


def peak_mib() -> float:
    """Return the most memory that the process has had, files that it has mapped included."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main(verb: str, root: str, name: str, file: str) -> None:
    key = Path(root) / "key"
    if not key.exists():
        Path(root).mkdir(parents=True, exist_ok=True)
        new_key_file(key)
    bank = DirectoryBank({"path": f"{root}/bank"})
    location = VaultLocation(Section(bank, "projects/p"),
                             VaultKeySource(Encryption.KEY_FILE, key), Path(root) / "index")
    vault = DiskVault(location, Section(bank, f"projects/p/resources/{name}/disk"))
    before = peak_mib()
    if verb == "store":
        path = Path(file)
        stored = vault.store("disk", lambda offset: stream(path, offset),
                             size=path.stat().st_size)
        assert isinstance(stored, KeptDisk)
    elif verb == "restore":
        with Path(file).open("xb") as out:
            write_blocks(vault.open("disk").read(), out)
    else:
        vault.open("disk").check()
    print(json.dumps({"start_mib": before, "peak_mib": peak_mib()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
