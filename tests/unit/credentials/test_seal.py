"""Tokens at rest."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from karbor.credentials.seal import KEPT, Seal
from karbor.domain.errors import CredentialError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "below" / "seal.key"


def test_what_was_sealed_is_unreadable_until_opened(path: Path) -> None:
    sealed = Seal(path).seal("secret-token")
    assert "secret" not in sealed
    assert Seal(path).open(sealed) == "secret-token"
    assert Seal(path).seal("secret-token") != sealed


def test_the_key_file_is_made_for_its_owner_only(path: Path) -> None:
    Seal(path).seal("x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o777])
def test_a_key_file_that_others_may_touch_is_refused(path: Path, mode: int) -> None:
    sealed = Seal(path).seal("x")
    path.chmod(mode)
    with pytest.raises(CredentialError, match=f"mode {mode:o}") as caught:
        Seal(path).open(sealed)
    assert caught.value.remedy.startswith("chmod 600")
    with pytest.raises(CredentialError):
        Seal(path).seal("y")


def test_all_who_begin_at_once_use_the_same_key(path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        sealed = list(pool.map(lambda n: Seal(path).seal(str(n)), range(64)))
    assert [Seal(path).open(one) for one in sealed] == [str(n) for n in range(64)]


def test_rotation_keeps_the_last_keys_and_forgets_older_ones(path: Path) -> None:
    seal = Seal(path)
    first = seal.seal("first")
    for _ in range(KEPT - 1):
        seal.rotate()
    assert seal.open(first) == "first"
    later = seal.seal("later")
    seal.rotate()
    assert seal.open(later) == "later"
    with pytest.raises(CredentialError, match="cannot be opened"):
        seal.open(first)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_rotation_makes_the_first_key_too(path: Path) -> None:
    Seal(path).rotate()
    assert Seal(path).open(Seal(path).seal("x")) == "x"


def test_another_key_a_missing_file_and_one_with_something_else_are_told(path: Path) -> None:
    sealed = Seal(path).seal("x")
    path.unlink()
    with pytest.raises(CredentialError, match="is missing"):
        Seal(path).open(sealed)
    Seal(path).seal("made anew")
    with pytest.raises(CredentialError, match="cannot be opened"):
        Seal(path).open(sealed)
    path.write_text("something-else")
    with pytest.raises(CredentialError, match="something else") as caught:
        Seal(path).open(sealed)
    assert "something-else" not in str(caught.value)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CredentialError, match="cannot be written") as caught:
        Seal(tmp_path / "file" / "seal.key").seal("x")
    assert "key_file" in caught.value.remedy
