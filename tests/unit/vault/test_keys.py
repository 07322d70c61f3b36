"""Vaults are encrypted, and open with the right key only."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest
from karbor_testing.bank import MemoryBank

from karbor.domain.errors import BankReadOnly, NewerFormat, ObjectDamaged, VaultSealed
from karbor.plugin.vault_location import NO_KEYS, Encryption, VaultKeySource
from karbor.vault import ensure_key
from karbor.vault.key_wrapping import KeyEncryptionKey, new_key_file
from karbor.vault.keys import VaultKeys
from karbor.vault.project_vault import open_or_create_vault, open_vault
from tests.unit.vault.disks import PROJECT, disk, keep, keys_below, location, packs, read, vault

BODY = disk("t0a") + b"words, words, words" * 100


@pytest.fixture
def bank() -> MemoryBank:
    return MemoryBank()


def key_file(root: Path, name: str = "key") -> VaultKeySource:
    path = root / name
    new_key_file(path)
    return VaultKeySource(Encryption.KEY_FILE, path)


def passphrase(root: Path, words: str, name: str = "words") -> VaultKeySource:
    path = root / name
    path.write_text(words + "\n")
    path.chmod(0o600)
    return VaultKeySource(Encryption.PASSPHRASE, path)


@pytest.mark.parametrize("kind", ["key-file", "passphrase"])
def test_what_is_sealed_comes_back_and_tells_nothing(
        bank: MemoryBank, tmp_path: Path, kind: str) -> None:
    keys = key_file(tmp_path) if kind == "key-file" else passphrase(tmp_path, "correct horse")
    keep(bank, BODY, keys=keys)
    assert read(bank, keys=keys) == BODY
    for stored in bank.list(PROJECT):
        raw = b"".join(bank.get(stored.key))
        assert b"words, words" not in raw
        assert b"all work and no play" not in raw
        assert b"correct horse" not in raw


def test_equal_disks_of_two_projects_have_nothing_in_common(bank: MemoryBank) -> None:
    mine = open_or_create_vault(location(bank)).keys
    assert mine.name(b"x") != VaultKeys(os.urandom(32), encrypted=False).name(b"x")


@pytest.mark.parametrize("kind", ["key-file", "passphrase"])
def test_another_key_opens_nothing(bank: MemoryBank, tmp_path: Path, kind: str) -> None:
    right = key_file(tmp_path) if kind == "key-file" else passphrase(tmp_path, "right")
    wrong = (key_file(tmp_path, "other") if kind == "key-file"
             else passphrase(tmp_path, "wrong", "other"))
    keep(bank, BODY, keys=right)
    for source in (wrong, passphrase(tmp_path, "of another kind", "third")):
        for action in (lambda s=source: read(bank, keys=s), lambda s=source: keep(
                bank, BODY, "c2", keys=s), lambda s=source: ensure_key(location(bank, keys=s))):
            with pytest.raises(VaultSealed, match="does not open the project's vault") as caught:
                action()
            assert str(source.path) in caught.value.message
    assert read(bank, keys=right) == BODY


@pytest.mark.parametrize(("harm", "told"), [
    ("gone", "cannot be read"), ("open to others", "reached by others"), ("empty", "is empty"),
    ("short", "no key of 32 bytes"), ("no base64", "no key of 32 bytes"), ("long", "too long")])
def test_a_key_file_that_will_not_do_is_said_before_anything_is_written(
        bank: MemoryBank, tmp_path: Path, harm: str, told: str) -> None:
    keys = key_file(tmp_path)
    path = keys.path
    assert path is not None
    if harm == "gone":
        path.unlink()
    elif harm == "open to others":
        path.chmod(0o640)
    else:
        path.write_bytes({"empty": b"", "short": base64.b64encode(b"x" * 31),
                          "no base64": b"!" * 44, "long": b"A" * 5000}[harm])
    for action in (lambda: keep(bank, BODY, keys=keys),
                   lambda: ensure_key(location(bank, keys=keys))):
        with pytest.raises(VaultSealed, match=told) as caught:
            action()
        assert str(path) in caught.value.message
    assert bank.list() == []


def test_a_vault_is_as_encrypted_as_it_was_made(bank: MemoryBank, tmp_path: Path) -> None:
    keep(bank, BODY)
    with pytest.raises(VaultSealed, match="was made without encryption"):
        read(bank, keys=key_file(tmp_path))
    other = MemoryBank()
    keep(other, BODY, keys=key_file(tmp_path, "other"))
    with pytest.raises(VaultSealed, match="is encrypted, and the provider has no key"):
        read(other, keys=NO_KEYS)


def test_without_the_wrapped_key_nothing_can_be_read(bank: MemoryBank, tmp_path: Path) -> None:
    keys = key_file(tmp_path)
    keep(bank, BODY, keys=keys)
    bank.delete(keys_below(bank, "vault/keys/"))
    with pytest.raises(VaultSealed, match="not in the bank any more"):
        read(bank, keys=keys)


@pytest.mark.parametrize("change", [
    {"sealed": "AAAA"}, {"nonce": "!"}, {"kind": "soup"}, {"encryption": "rot13"},
    {"format": None}])
def test_a_wrapped_key_that_was_changed_is_damaged_or_opens_nothing(
        bank: MemoryBank, tmp_path: Path, change: dict[str, object]) -> None:
    keys = key_file(tmp_path)
    keep(bank, BODY, keys=keys)
    [key] = keys_below(bank, "vault/keys/")
    raw = {**json.loads(b"".join(bank.get(key))), **change}
    bank.put(key, [json.dumps(raw).encode()])
    with pytest.raises((ObjectDamaged, VaultSealed)):
        read(bank, keys=keys)
    bank.put(key, [json.dumps({**raw, "kind": "karbor-vault-key", "format": 3}).encode()])
    with pytest.raises(NewerFormat):
        read(bank, keys=keys)


def test_two_that_make_a_vault_at_once_have_one(bank: MemoryBank, tmp_path: Path) -> None:
    keys = key_file(tmp_path)

    class Racing(MemoryBank):
        def put(self, key, body, *, absent=False):  # type: ignore[no-untyped-def]
            if key.endswith("/vault.json"):
                open_or_create_vault(location(bank, keys=keys))
                racing._objects.update(bank._objects)
                racing._stored.update(bank._stored)
            return super().put(key, body, absent=absent)

    racing = Racing()
    made = open_or_create_vault(location(racing, keys=keys))
    assert made.id == open_vault(location(bank, keys=keys)).id     # type: ignore[union-attr]
    assert len(keys_below(racing, "vault/keys/")) == 1


def test_a_bank_that_may_only_be_read_still_restores(bank: MemoryBank) -> None:
    keep(bank, BODY)

    class ReadOnly(MemoryBank):
        def put(self, key, body, *, absent=False):  # type: ignore[no-untyped-def]
            raise BankReadOnly("the bank refuses writes")

        def delete(self, keys):  # type: ignore[no-untyped-def]
            raise BankReadOnly("the bank refuses writes")

    readonly = ReadOnly()
    readonly._objects, readonly._stored = bank._objects, bank._stored
    assert vault(readonly).open("bytes").check() == len(BODY)
    readonly.damage(packs(bank)[0], "flip")
    with pytest.raises(ObjectDamaged):      # what was found is told, not that it was not noted
        vault(readonly).open("bytes").check()
    with pytest.raises(BankReadOnly):
        keep(readonly, disk("xyz"), "c2")


def test_a_key_is_never_shown(tmp_path: Path) -> None:
    keys = key_file(tmp_path)
    assert keys.path is not None
    secret = keys.path.read_text().strip()
    kek = KeyEncryptionKey(keys)
    for shown in (repr(kek), str(kek), repr(keys), repr(VaultKeys(bytes(32), encrypted=True)),
                  repr(kek.wrap(bytes(32), "id").wrapped_by)):
        assert secret not in shown
        assert repr(base64.b64decode(secret)) not in shown
    assert keys.path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        new_key_file(keys.path)
