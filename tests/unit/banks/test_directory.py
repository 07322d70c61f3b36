"""What only a bank in a directory can get wrong."""

import json
import multiprocessing
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from karbor.banks import incoming
from karbor.banks.directory import DirectoryBank
from karbor.domain.errors import (
    BadInput,
    BankUnavailable,
    NewerFormat,
    ObjectDamaged,
    ObjectMissing,
)
from karbor.plugin.registry import bank as installed_bank


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "bank"


def opened(root: Path) -> DirectoryBank:
    return DirectoryBank({"path": str(root)})


def files(root: Path) -> list[str]:
    return sorted(str(one.relative_to(root)) for one in root.rglob("*"))


# ---------------------------------------------------------------------- opening
def test_the_entry_point_names_it() -> None:
    assert installed_bank("karbor-fs-bank-plugin") is DirectoryBank


def test_a_missing_directory_becomes_a_bank_that_only_its_owner_reads(tmp_path: Path) -> None:
    root = tmp_path / "above" / "bank"
    bank = opened(root)
    bank.put("a/b", [b"x"])
    said = json.loads((root / "karbor-bank.json").read_text())
    assert (said["kind"], said["format"], said["id"]) == ("karbor bank", 1, bank.id)
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    for path in root.rglob("*"):
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path
    assert opened(root).id == bank.id


def test_an_empty_directory_becomes_a_bank_also_a_fresh_file_system(root: Path) -> None:
    (root / "lost+found").mkdir(parents=True)
    opened(root).put("k", [b"x"])
    assert opened(root).stat("k") is not None


def test_a_bank_whose_making_was_cut_off_is_made(root: Path) -> None:
    (root / "objects").mkdir(parents=True)
    (root / "incoming").mkdir()
    opened(root).put("k", [b"x"])


def test_a_directory_with_something_else_is_refused_untouched(root: Path) -> None:
    root.mkdir()
    (root / "letters.txt").write_text("mine")
    with pytest.raises(BadInput, match=r"not empty: it has letters\.txt"):
        opened(root)
    assert files(root) == ["letters.txt"]


def test_objects_without_a_description_are_refused(root: Path) -> None:
    opened(root).put("k", [b"x"])
    (root / "karbor-bank.json").unlink()
    with pytest.raises(BadInput, match=r"objects of a bank, but no karbor-bank\.json"):
        opened(root)


def test_a_file_is_no_bank(root: Path) -> None:
    root.write_text("")
    with pytest.raises(BadInput, match="no directory"):
        opened(root)


@pytest.mark.parametrize("options", [
    {}, {"path": ""}, {"path": None}, {"path": 3}, {"path": "x", "create": "perhaps"},
    {"path": "x", "colour": "red"}])
def test_bad_options_are_refused(options: dict[str, object], tmp_path: Path,
                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput):
        DirectoryBank(options)
    assert list(tmp_path.iterdir()) == []


def test_without_create_nothing_is_made(root: Path) -> None:
    with pytest.raises(BadInput, match="is no bank"):
        DirectoryBank({"path": str(root), "create": False})
    assert not root.exists()
    opened(root)
    DirectoryBank({"path": str(root), "create": False}).put("k", [b"x"])


def test_a_newer_bank_is_not_touched(root: Path) -> None:
    opened(root).put("k", [b"x"])
    description = root / "karbor-bank.json"
    description.write_text(json.dumps({**json.loads(description.read_text()), "format": 2}))
    before = files(root)
    with pytest.raises(NewerFormat, match="format 2; this Karbor knows 1"):
        opened(root)
    assert files(root) == before


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', '{"kind": "karbor bank"}',
                                  '{"kind": "soup", "format": 1, "id": "x"}'])
def test_a_damaged_description_is_said(root: Path, text: str) -> None:
    opened(root)
    (root / "karbor-bank.json").write_text(text)
    with pytest.raises(ObjectDamaged, match=r"karbor-bank\.json"):
        opened(root)


def _open_and_put(path: str, number: int, results: "multiprocessing.SimpleQueue[str]") -> None:
    bank = DirectoryBank({"path": path})
    bank.put(f"k/{number}", [b"x"])
    results.put(bank.id)


def test_many_processes_may_make_it_at_once(root: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.SimpleQueue[str] = context.SimpleQueue()
    processes = [context.Process(target=_open_and_put, args=(str(root), number, results))
                 for number in range(4)]
    for one in processes:
        one.start()
    for one in processes:
        one.join()
    assert [one.exitcode for one in processes] == [0] * 4
    assert {results.get() for _ in processes} == {opened(root).id}
    assert [one.key for one in opened(root).list()] == [f"k/{number}" for number in range(4)]


# ---------------------------------------------------------------------- a bank that goes away
def test_a_bank_that_is_not_mounted_is_not_an_empty_one(root: Path, tmp_path: Path) -> None:
    bank = opened(root)
    bank.put("a/b", [b"x"])
    root.rename(tmp_path / "elsewhere")
    root.mkdir()        # the empty mount point
    for attempt in (bank.list, lambda: bank.stat("a/b"), lambda: bank.get("a/b"),
                    lambda: bank.put("c", [b"x"]), lambda: bank.delete(["a/b"])):
        with pytest.raises(BankUnavailable, match="mounted"):
            attempt()
    assert files(root) == []
    root.rmdir()
    (tmp_path / "elsewhere").rename(root)
    assert b"".join(bank.get("a/b")) == b"x"


# ---------------------------------------------------------------------- files
def test_plain_tools_recover_the_bytes(root: Path) -> None:
    opened(root).put("a/b.json", [b'{"one": 1}'])
    path = root / "objects/a/b.json+b3"
    cut = subprocess.run(["head", "-c", "-115", path], check=True, capture_output=True).stdout
    assert cut == b'{"one": 1}'
    last = subprocess.run(["tail", "-n", "1", path], check=True, capture_output=True).stdout
    assert last.startswith(b"karbor object 1 blake3 ")
    assert last.endswith(b" size 00000000000000000010\n")


@pytest.mark.parametrize("at", [-114, -100, -60, -3, -1])
def test_a_damaged_record_is_noticed_and_listed_without_a_checksum(root: Path, at: int) -> None:
    bank = opened(root)
    bank.put("a/bad", [b"some bytes"])
    bank.put("a/good", [b"some bytes"])
    path = root / "objects/a/bad+b3"
    raw = bytearray(path.read_bytes())
    raw[at] ^= 0x10
    path.write_bytes(raw)
    with pytest.raises(ObjectDamaged, match="a/bad"):
        list(bank.get("a/bad"))
    bad, good = bank.list()
    assert good.checksum == bank.stat("a/good").checksum    # type: ignore[union-attr]
    assert bad.key == "a/bad"
    assert bad.checksum != good.checksum
    bank.delete(["a/bad"])
    assert bank.list() == [good]


@pytest.mark.parametrize("left", [0, 5, 114, 115])
def test_a_shortened_file_is_noticed(root: Path, left: int) -> None:
    bank = opened(root)
    bank.put("k", [b"some bytes"])
    path = root / "objects/k+b3"
    os.truncate(path, left)
    with pytest.raises(ObjectDamaged, match="k is not complete"):
        bank.get("k")
    with pytest.raises(ObjectDamaged):
        bank.stat("k")
    assert [(one.key, one.checksum) for one in bank.list()] == [("k", "")]


def test_an_object_of_a_newer_kind_is_told_from_a_damaged_one(root: Path) -> None:
    bank = opened(root)
    bank.put("k", [b"x"])
    path = root / "objects/k+b3"
    path.write_bytes(path.read_bytes().replace(b"karbor object 1", b"karbor object 2"))
    with pytest.raises(NewerFormat):
        bank.get("k")


def test_what_others_put_between_the_objects_is_no_object(root: Path) -> None:
    bank = opened(root)
    bank.put("a/k", [b"x"])
    (root / "objects/a/.nfs0001").write_text("?")
    (root / "objects/a/notes").write_text("?")
    assert [one.key for one in bank.list()] == ["a/k"]
    bank.delete(["a/k"])
    assert files(root / "objects") == ["a", "a/.nfs0001", "a/notes"]


def test_deleting_leaves_no_empty_directories_also_not_of_an_earlier_try(root: Path) -> None:
    bank = opened(root)
    for key in ("p/1/c/head", "p/1/c/r/x/y", "p/2/c"):
        bank.put(key, [b"x"])
    (root / "objects/p/1/c/r/x/y+b3").unlink()      # an earlier removal came that far and died
    bank.delete(["p/1/c/head"])
    assert files(root / "objects") == ["p", "p/2", "p/2/c+b3"]
    bank.delete(["p/2/c"])
    assert files(root) == ["incoming", "karbor-bank.json", "objects"]


# ---------------------------------------------------------------------- leftovers
def test_leftovers_of_dead_writers_go_and_those_of_living_ones_stay(root: Path) -> None:
    opened(root)
    directory = root / "incoming"
    now = time.time()
    names = {f"{incoming.this_host()}.1.dead": now, "elsewhere.1.young": now,
             "elsewhere.1.old": now - incoming.GRACE - 60}
    for name, written in names.items():
        (directory / name).write_text("half")
        os.utime(directory / name, (written, written))
    with incoming.incoming_file(directory) as (_, path):
        os.utime(path, (0, 0))      # not even age makes a held file a leftover
        opened(root)
        assert sorted(one.name for one in directory.iterdir()) == sorted(
            [path.name, "elsewhere.1.young"])
    assert [one.name for one in directory.iterdir()] == ["elsewhere.1.young"]


def test_a_leftover_that_was_published_goes_without_its_object(root: Path) -> None:
    bank = opened(root)
    bank.put("k", [b"x"])
    os.link(root / "objects/k+b3", root / "incoming" / f"{incoming.this_host()}.1.dead")
    assert b"".join(opened(root).get("k")) == b"x"
    assert list((root / "incoming").iterdir()) == []


def test_a_writer_whose_file_was_swept_before_it_was_locked_takes_another(
        root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = opened(root)
    lock, swept = incoming._lock, []

    def sweep_first(fd: int, *, wait: bool) -> bool | None:
        if wait and not swept:
            swept.extend(incoming.sweep(root / "incoming", time.time()))
        return lock(fd, wait=wait)

    monkeypatch.setattr(incoming, "_lock", sweep_first)
    bank.put("k", [b"x"])
    assert len(swept) == 1
    assert b"".join(bank.get("k")) == b"x"


def test_a_directory_that_vanishes_at_the_last_moment_is_made_again(
        root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = opened(root)
    link, times = os.link, []

    def vanishing(source: Path, target: Path, **more: bool) -> None:
        if len(times) < 3:
            target.parent.rmdir()
        times.append(target)
        link(source, target, **more)

    monkeypatch.setattr(os, "link", vanishing)
    bank.put("a/b/c", [b"x"], absent=True)
    assert len(times) == 4
    assert b"".join(bank.get("a/b/c")) == b"x"


def test_an_object_removed_while_it_is_about_to_be_read_is_missing(root: Path) -> None:
    bank = opened(root)
    bank.put("k", [b"x"])
    chunks = bank.get("k")
    bank.delete(["k"])
    with pytest.raises(ObjectMissing):
        list(chunks)


def test_no_file_stays_open(root: Path) -> None:
    code = f"""
import os
from karbor.banks.directory import DirectoryBank
bank = DirectoryBank({{"path": {str(root)!r}}})
before = len(os.listdir("/proc/self/fd"))
for turn in range(20):
    bank.put("k", [b"x"]); bank.get("k"); list(bank.get("k")); bank.list(); bank.stat("k")
assert len(os.listdir("/proc/self/fd")) == before
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
