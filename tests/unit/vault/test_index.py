"""The index of a vault's chunks is a cache: it may be lost, broken, or that of another vault."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from karbor_testing.bank import MemoryBank

from karbor.vault import pack_writer
from karbor.vault.blocks import CHUNK_BYTES
from karbor.vault.index import ChunkIndex
from karbor.vault.pack import Address
from tests.unit.vault.disks import keep, noise, packs, read, stored_bytes

BODY = noise("one", 60)


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack_writer, "PACK_BYTES", 8 * CHUNK_BYTES)


@pytest.fixture
def bank() -> MemoryBank:
    return MemoryBank()


def the_file(directory: Path) -> Path:
    [path] = directory.glob("*.sqlite")
    return path


@pytest.mark.parametrize("harm", ["kept", "lost", "emptied", "overwritten", "of another vault",
                                  "tables dropped", "directory unwritable"])
def test_whatever_happens_to_it_nothing_is_stored_twice(
        bank: MemoryBank, tmp_path: Path, harm: str) -> None:
    index = tmp_path / "index"
    keep(bank, BODY, "c1", index=index)
    before = stored_bytes(bank)
    path = the_file(index)
    for ending in ("-wal", "-shm"):
        assert harm or not path.with_name(path.name + ending).exists()
    if harm == "lost":
        path.unlink()
    elif harm == "emptied":
        path.write_bytes(b"")
    elif harm == "overwritten":
        path.write_bytes(os.urandom(path.stat().st_size))
    elif harm == "of another vault":
        other = tmp_path / "other"
        keep(MemoryBank(), noise("two", 5), index=other)
        path.write_bytes(the_file(other).read_bytes())
    elif harm == "tables dropped":
        with sqlite3.connect(path) as connection:
            connection.execute("DROP TABLE chunks")
        connection.close()
    elif harm == "directory unwritable":
        index = tmp_path / "file" / "index"
        (tmp_path / "file").write_text("no directory")
    keep(bank, BODY, "c2", index=index)
    if harm == "tables dropped":    # seen when it is used: only from then on it is made anew
        assert stored_bytes(bank) <= 2 * before + 10_000
        before = stored_bytes(bank)
        keep(bank, BODY, "c3", index=index)
    assert stored_bytes(bank) == before
    assert read(bank, "c2") == BODY


def test_packs_of_other_workers_are_found(bank: MemoryBank, tmp_path: Path) -> None:
    keep(bank, noise("other", 3), "c0", index=tmp_path / "here")
    keep(bank, BODY, "c1", index=tmp_path / "there")
    before = stored_bytes(bank)
    keep(bank, BODY, "c2", index=tmp_path / "here")
    assert stored_bytes(bank) == before


def test_packs_that_are_gone_are_forgotten(bank: MemoryBank, tmp_path: Path) -> None:
    keep(bank, BODY, "c1", index=tmp_path)
    bank.delete(packs(bank))
    keep(bank, BODY, "c2", index=tmp_path)
    assert read(bank, "c2") == BODY


def test_several_processes_may_use_one_file(tmp_path: Path) -> None:
    one, two = ChunkIndex("v", tmp_path), ChunkIndex("v", tmp_path)
    one.add(b"p" * 16, 100, [(b"a" * 32, 0), (b"b" * 32, 7)])
    assert two.look_up([b"a" * 32, b"b" * 32, b"c" * 32]) == {
        b"a" * 32: Address(b"p" * 16, 0), b"b" * 32: Address(b"p" * 16, 7)}
    two.add(b"q" * 16, 50, [(b"b" * 32, 1)])
    assert one.look_up([b"b" * 32]) == {b"b" * 32: Address(b"q" * 16, 1)}
    one.close()
    two.close()
