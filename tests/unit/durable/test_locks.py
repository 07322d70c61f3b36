from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import pytest

from karbor.domain.errors import StoreUnavailable
from karbor.durable.locks import operation_locks


def test_a_directory_that_cannot_be_made_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable):
        operation_locks(tmp_path / "file").take("op-1")


def test_what_is_let_go_leaves_no_file(tmp_path: Path) -> None:
    held = operation_locks(tmp_path).take("op-1")
    assert [one.name for one in (tmp_path / "locks").iterdir()] == ["op-1.lock"]
    held.release()
    assert list((tmp_path / "locks").iterdir()) == []


def test_on_a_full_disk_nobody_is_left_with_the_lock(tmp_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    locks = operation_locks(tmp_path)

    def full(*_what: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with pytest.raises(StoreUnavailable, match="No space left"):
            locks.take("op-1")
    assert locks.holder("op-1") is None
    locks.take("op-1").release()


def test_without_a_file_descriptor_locks_are_unavailable_for_now(tmp_path: Path) -> None:
    locks = operation_locks(tmp_path)
    locks.take("op-1").release()
    (tmp_path / "locks" / "op-2.lock").touch()      # of a process that was killed
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = os.open(tmp_path, os.O_RDONLY)
    os.close(highest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
    try:
        for ask in (locks.take, locks.holder):
            with pytest.raises(StoreUnavailable, match="Too many open files"):
                ask("op-2")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    locks.take("op-2").release()


def test_a_lock_whose_file_cannot_be_removed_goes_all_the_same(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locks = operation_locks(tmp_path)
    held = locks.take("op-1")

    def read_only(*_what: object, **_how: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", read_only)
        held.release()
    assert locks.holder("op-1") is None
    locks.take("op-1").release()
