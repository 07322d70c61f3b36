"""A project's vault: what it is, and the key that opens it.

    vault.json                      what the vault is; written if absent, never changed
    keys/KEY/WRAPPED_BY.json        the vault's secret, once for each key that wraps it
"""

from __future__ import annotations

import base64
import json
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from karbor.domain.errors import (
    NewerFormat,
    ObjectDamaged,
    ObjectExists,
    ObjectMissing,
    VaultSealed,
)
from karbor.plugin.bank import Section
from karbor.plugin.vault_location import Encryption, VaultLocation
from karbor.vault.blocks import CHUNK_BYTES
from karbor.vault.key_wrapping import KeyEncryptionKey, WrappedKey
from karbor.vault.keys import SECRET_BYTES, VaultKeys
from karbor.vault.pack import FORMAT

KEY = "vault.json"
KIND = "karbor-vault"
SEALED, CLEAR = "aes-256-gcm", "none"


@dataclass(frozen=True)
class ProjectVault:
    """An opened vault. `id` is a UUID of its own: what an index or a manifest of another vault says
    is never believed."""

    id: str
    section: Section = field(compare=False)
    keys: VaultKeys = field(compare=False)


def open_vault(location: VaultLocation) -> ProjectVault | None:
    """Return the vault; None when the project has none yet. Raises VaultSealed when it was sealed
    with another key than this provider has, ObjectDamaged, NewerFormat."""
    section = location.section
    try:
        body = b"".join(section.get(KEY))
    except ObjectMissing:
        return None
    return _opened(body, section, location)


def ensure_key(location: VaultLocation) -> None:
    """Find out whether the vault can be opened, or made, with the key that its provider has. Raises
    as `open_vault`."""
    if open_vault(location) is None and location.keys.encryption is not Encryption.NONE:
        KeyEncryptionKey(location.keys)


def open_or_create_vault(location: VaultLocation) -> ProjectVault:
    """Return the vault, made now if there was none. Raises as `open_vault`."""
    vault = open_vault(location)
    if vault is not None:
        return vault
    section, id, secret = location.section, str(uuid.uuid4()), os.urandom(SECRET_BYTES)
    raw = {"kind": KIND, "format": FORMAT, "id": id, "chunk": CHUNK_BYTES}
    key = uuid.uuid4().hex
    wrapped_key = None
    if location.keys.encryption is Encryption.NONE:
        raw |= {"encryption": CLEAR, "secret": base64.b64encode(secret).decode()}
    else:
        wrapped = KeyEncryptionKey(location.keys).wrap(secret, id)
        wrapped_key = f"keys/{key}/{wrapped.wrapped_by}.json"
        section.put(wrapped_key, [wrapped.body()], absent=True)
        raw |= {"encryption": SEALED, "key": key}
    try:
        section.put(KEY, [json.dumps(raw, sort_keys=True).encode()], absent=True)
    except ObjectExists:            # another worker was quicker: its vault counts
        if wrapped_key:
            section.delete([wrapped_key])
    return _opened(b"".join(section.get(KEY)), section, location)


def secret_of(location: VaultLocation) -> bytes:
    """Return the secret of an encrypted vault, for wrapping it with another key. Raises as
    `open_vault`."""
    raw = json.loads(b"".join(location.section.get(KEY)))
    return _unwrapped(location.section, str(raw["key"]), str(raw["id"]), location)


def wrapped_keys(section: Section, key: str) -> Sequence[WrappedKey]:
    """Return the vault's secret as each key-encryption key has wrapped it."""
    return [WrappedKey.parse(b"".join(section.get(stored.key)), stored.key)
            for stored in section.all(f"keys/{key}/")]


def _opened(body: bytes, section: Section, location: VaultLocation) -> ProjectVault:
    try:
        raw = dict(json.loads(body))
        of_kind, number = raw["kind"] == KIND, int(raw["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable() from error
    if not of_kind:
        raise _unreadable()
    if number > FORMAT:
        raise NewerFormat(f"{KEY} has the vault format {number}, this Karbor reads {FORMAT}",
                          remedy="upgrade Karbor")
    wants_encryption = location.keys.encryption is not Encryption.NONE
    try:
        id, encrypted = str(raw["id"]), {SEALED: True, CLEAR: False}[raw["encryption"]]
        if raw["chunk"] != CHUNK_BYTES:
            raise _unreadable()
        if encrypted != wants_encryption:
            raise _mismatch(encrypted)
        secret = (_unwrapped(section, str(raw["key"]), id, location) if encrypted
                  else base64.b64decode(raw["secret"], validate=True))
        return ProjectVault(id, section, VaultKeys(secret, encrypted=encrypted))
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable() from error


def _unwrapped(section: Section, key: str, id: str, location: VaultLocation) -> bytes:
    kek = KeyEncryptionKey(location.keys)
    wrapped = wrapped_keys(section, key)
    for candidate in wrapped:
        secret = kek.unwrap(candidate, id)
        if secret is not None:
            return secret
    if not wrapped:
        raise VaultSealed("the key of the project's vault is not in the bank any more: it was "
                          "destroyed, and with it everything in the vault",
                          remedy="if it was exported, import it again")
    raise VaultSealed(
        f"{location.keys.path} does not open the project's vault: it was sealed with "
        + " and ".join(f"the {one.encryption} {one.wrapped_by}" for one in wrapped),
        remedy="name the right file in [vault_plugin] key_file of the provider's file")


def _mismatch(encrypted: bool) -> VaultSealed:
    if encrypted:
        return VaultSealed("the project's vault is encrypted, and the provider has no key",
                           remedy="set encryption and key_file in [vault_plugin] of the provider's "
                                  "file")
    return VaultSealed("the project's vault was made without encryption, and the provider demands "
                       "it", remedy="set encryption = none in [vault_plugin] of the provider's "
                       "file, or use another bank")


def _unreadable() -> ObjectDamaged:
    return ObjectDamaged(f"{KEY} of the project's vault in the bank is not what Karbor writes "
                         "there")
