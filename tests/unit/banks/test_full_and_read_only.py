"""A disk that is full, read-only or broken.

Root may write everywhere, so permissions prove nothing: a small file system of its own (tmpfs) is
mounted for real. Where mounting is not allowed, the limit of a file's size stands in for a full
disk, and the two tests that need a mount are skipped.
"""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from karbor.banks.directory import DirectoryBank
from karbor.banks.disk_errors import translated
from karbor.domain.errors import BankError, BankFull, BankReadOnly, BankUnavailable


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    root = tmp_path / "small"
    root.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", root],
                             capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("mounting a file system is not allowed here")
    try:
        yield root
    finally:
        subprocess.run(["umount", root], check=True)


def test_a_bank_tells_how_much_room_it_has(small: Path) -> None:
    bank = DirectoryBank({"path": small})
    before = bank.room()
    assert before is not None
    assert 900_000 < before <= 1 << 20
    bank.put("kept", [b"x" * 400_000])
    after = bank.room()
    assert after is not None
    assert 400_000 <= before - after < 440_000


def test_a_full_bank_is_said_and_keeps_what_it_has(small: Path) -> None:
    bank = DirectoryBank({"path": small})
    kept = bank.put("kept", [b"x" * 100_000])
    with pytest.raises(BankFull, match=r"write big to the bank .*No space left"):
        bank.put("big", [b"x" * 100_000] * 20)
    assert bank.list() == [kept]
    assert list((small / "incoming").iterdir()) == []
    bank.put("other", [b"x" * 100_000])     # the room was given back
    bank.delete(["kept", "other"])
    bank.put("again", [b"x" * 800_000])


def test_a_read_only_bank_reads_and_refuses_writes(small: Path) -> None:
    bank = DirectoryBank({"path": small})
    bank.put("d/kept", [b"bytes"])
    (small / "incoming" / "leftover.1.x").write_text("half")
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    for one in (bank, DirectoryBank({"path": small})):
        assert b"".join(one.get("d/kept")) == b"bytes"
        assert [found.key for found in one.list()] == ["d/kept"]
        for attempt in (lambda one=one: one.put("new", [b"x"]),
                        lambda one=one: one.put("d/new", [b"x"], absent=True),
                        lambda one=one: one.delete(["d/kept"])):
            with pytest.raises(BankReadOnly):
                attempt()
    with pytest.raises(BankReadOnly, match="make a bank of"):
        DirectoryBank({"path": small / "inner"})
    subprocess.run(["mount", "-o", "remount,rw", small], check=True)
    bank.delete(["d/kept"])


def test_the_limit_of_a_file_counts_as_full(tmp_path: Path) -> None:
    code = f"""
import resource
from karbor.banks.directory import DirectoryBank
from karbor.domain.errors import BankFull
bank = DirectoryBank({{"path": {str(tmp_path / "bank")!r}}})
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    bank.put("big", [b"x" * 100_000])
except BankFull as error:
    print("full:", error.message)
assert bank.list() == []
bank.put("small", [b"x" * 10_000])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("full: cannot write big to the bank")


@pytest.mark.parametrize(("number", "writing", "error"), [
    (errno.ENOSPC, True, BankFull), (errno.EDQUOT, True, BankFull),
    (errno.EROFS, True, BankReadOnly), (errno.EACCES, True, BankReadOnly),
    (errno.EPERM, True, BankReadOnly), (errno.EACCES, False, BankError),
    (errno.EIO, True, BankUnavailable), (errno.EIO, False, BankUnavailable),
    (errno.ESTALE, False, BankUnavailable), (errno.EMFILE, False, BankUnavailable),
    (errno.ENOENT, True, BankUnavailable), (errno.ELOOP, False, BankError)])
def test_what_the_system_says_has_one_meaning(number: int, writing: bool, error: type[BankError]
                                              ) -> None:
    with pytest.raises(BankError, match="cannot do it: ") as caught, \
            translated("do it", writing=writing):
        raise OSError(number, os.strerror(number))
    assert type(caught.value) is error
