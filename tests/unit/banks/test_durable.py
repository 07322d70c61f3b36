"""The order in which a write reaches the disk: no name before its bytes, no answer before both."""

import os
from pathlib import Path

import pytest

from karbor.banks.directory import DirectoryBank


@pytest.fixture
def happened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    seen: list[tuple[str, str]] = []
    fsync, link, rename, unlink, rmdir = os.fsync, os.link, os.replace, os.unlink, os.rmdir

    def name_of(fd: int) -> str:
        return str(Path(f"/proc/self/fd/{fd}").readlink())

    monkeypatch.setattr(os, "fsync", lambda fd: (seen.append(("sync", name_of(fd))), fsync(fd))[1])
    monkeypatch.setattr(os, "link", lambda a, b, **more: (
        link(a, b, **more), seen.append(("name", str(b))))[0])
    monkeypatch.setattr(os, "replace", lambda a, b: (
        rename(a, b), seen.append(("name", str(b))))[0])
    monkeypatch.setattr(os, "unlink", lambda a: (unlink(a), seen.append(("gone", str(a))))[0])
    monkeypatch.setattr(os, "rmdir", lambda a: (rmdir(a), seen.append(("gone", str(a))))[0])
    return seen


@pytest.mark.parametrize("absent", [False, True])
def test_bytes_then_name_then_every_directory(tmp_path: Path, absent: bool,
                                              happened: list[tuple[str, str]]) -> None:
    bank = DirectoryBank({"path": tmp_path})
    happened.clear()
    bank.put("a/b/c", [b"x"], absent=absent)
    objects = tmp_path / "objects"
    kinds = [(kind, name) for kind, name in happened if "incoming" not in name or kind == "sync"]
    assert kinds[0][0] == "sync"
    assert kinds[0][1].startswith(str(tmp_path / "incoming"))
    assert kinds[1:] == [("name", str(objects / "a/b/c+b3")), ("sync", str(objects / "a/b")),
                         ("sync", str(objects / "a")), ("sync", str(objects))]


def test_a_removal_lasts_before_it_is_said(tmp_path: Path, happened: list[tuple[str, str]]) -> None:
    bank = DirectoryBank({"path": tmp_path})
    for key in ("a/b/c", "a/d"):
        bank.put(key, [b"x"])
    happened.clear()
    bank.delete(["a/b/c"])
    objects = tmp_path / "objects"
    assert happened == [("gone", str(objects / "a/b/c+b3")), ("gone", str(objects / "a/b")),
                        ("sync", str(objects / "a"))]


def test_a_new_bank_lasts_before_it_is_used(tmp_path: Path, happened: list[tuple[str, str]]
                                            ) -> None:
    root = tmp_path / "bank"
    DirectoryBank({"path": root})
    named = happened.index(("name", str(root / "karbor-bank.json")))
    assert happened[named - 1][0] == "sync"
    assert happened.index(("sync", str(root))) > named
    assert ("sync", str(tmp_path)) in happened
