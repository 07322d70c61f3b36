from __future__ import annotations

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
