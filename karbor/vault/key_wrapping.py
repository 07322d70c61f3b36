"""Wraps a vault's secret with a key-encryption key: of a key file, or made from a passphrase."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from karbor.domain.errors import NewerFormat, ObjectDamaged, VaultSealed
from karbor.plugin.vault_location import Encryption, VaultKeySource
from karbor.vault.keys import SECRET_BYTES
from karbor.vault.pack import FORMAT

KIND = "karbor-vault-key"
SCRYPT_N, SCRYPT_R, SCRYPT_P = 2 ** 15, 8, 1
"""32 MiB and a tenth of a second for each guess (RFC 7914)."""

MAX_KEY_FILE_BYTES = 4096


@dataclass(frozen=True)
class WrappedKey:
    """A vault's secret, sealed with one key-encryption key. `wrapped_by` names that key without
    telling anything of it; `salt` is that of a passphrase, else empty."""

    wrapped_by: str
    encryption: Encryption
    salt: bytes
    nonce: bytes
    sealed: bytes

    def body(self) -> bytes:
        return json.dumps({
            "kind": KIND, "format": FORMAT, "wrapped_by": self.wrapped_by,
            "encryption": self.encryption.value, "salt": _text(self.salt),
            "nonce": _text(self.nonce), "sealed": _text(self.sealed),
            **({"n": SCRYPT_N, "r": SCRYPT_R, "p": SCRYPT_P} if self.salt else {})},
            sort_keys=True).encode()

    @classmethod
    def parse(cls, body: bytes, key: str) -> WrappedKey:
        """Raises ObjectDamaged, NewerFormat."""
        try:
            raw: dict[str, Any] = dict(json.loads(body))
            if raw["kind"] == KIND and int(raw["format"]) > FORMAT:
                raise NewerFormat(f"{key} has the format {raw['format']}, this Karbor reads "
                                  f"{FORMAT}", remedy="upgrade Karbor")
            wrapped = cls(str(raw["wrapped_by"]), Encryption(raw["encryption"]),
                          _bytes(raw["salt"]), _bytes(raw["nonce"]), _bytes(raw["sealed"]))
            understood = raw["kind"] == KIND and (
                not wrapped.salt
                or (raw["n"], raw["r"], raw["p"]) == (SCRYPT_N, SCRYPT_R, SCRYPT_P))
        except (ValueError, KeyError, TypeError) as error:
            raise ObjectDamaged(f"{key} in the bank is not what Karbor writes there") from error
        if not understood:
            raise ObjectDamaged(f"{key} in the bank is not what Karbor writes there")
        return wrapped


class KeyEncryptionKey:
    """What a VaultKeySource gives. Never shown."""

    def __init__(self, source: VaultKeySource) -> None:
        """Read the file. Raises VaultSealed when it is missing, readable by others, or no key."""
        if source.path is None:
            raise VaultSealed(f"the encryption {source.encryption} needs a file",
                              remedy="name it in [vault_plugin] key_file of the provider's file")
        self._encryption = source.encryption
        self._secret = _read(source.path)
        if source.encryption is Encryption.KEY_FILE:
            self._secret = _decoded(self._secret, source.path)

    def wrap(self, secret: bytes, vault: str) -> WrappedKey:
        """Return the secret of the vault with this id, sealed anew."""
        salt = os.urandom(16) if self._encryption is Encryption.PASSPHRASE else b""
        nonce = os.urandom(12)
        sealed = AESGCM(self._key(salt)).encrypt(nonce, secret, vault.encode())
        return WrappedKey(self._id(salt), self._encryption, salt, nonce, sealed)

    def unwrap(self, wrapped: WrappedKey, vault: str) -> bytes | None:
        """Return the secret; None when another key has sealed it."""
        if wrapped.encryption is not self._encryption or wrapped.wrapped_by != self._id(
                wrapped.salt):
            return None
        try:
            secret = AESGCM(self._key(wrapped.salt)).decrypt(
                wrapped.nonce, wrapped.sealed, vault.encode())
        except (InvalidTag, ValueError):
            return None
        return secret if len(secret) == SECRET_BYTES else None

    def _key(self, salt: bytes) -> bytes:
        if self._encryption is Encryption.KEY_FILE:
            return self._secret
        return Scrypt(salt, length=32, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P).derive(self._secret)

    def _id(self, salt: bytes) -> str:
        """Return the name of this key: for a passphrase that of its salt, since what is made from a
        passphrase alone would help whoever guesses it."""
        what = salt or b"karbor key file" + self._secret
        return hashlib.sha256(what).hexdigest()[:16]

    def __repr__(self) -> str:
        return f"KeyEncryptionKey({self._encryption})"


def new_key_file(path: Path) -> None:
    """Write a new random key, readable by this user alone. Raises FileExistsError, OSError."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(base64.b64encode(os.urandom(SECRET_BYTES)) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise VaultSealed(f"the vault's key file {path} can be reached by others than its "
                                  "owner", remedy=f"chmod 600 {path}")
            body = file.read(MAX_KEY_FILE_BYTES + 1)
    except OSError as error:
        raise VaultSealed(f"the vault's key file {path} cannot be read: {error.strerror}",
                          remedy="put it back: without it nothing in the vault can be read"
                          ) from error
    body = body.strip()
    if not body or len(body) > MAX_KEY_FILE_BYTES:
        raise VaultSealed(f"the vault's key file {path} is empty, or too long for a key")
    return body


def _decoded(body: bytes, path: Path) -> bytes:
    try:
        key = base64.b64decode(body, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != SECRET_BYTES:
        raise VaultSealed(f"the vault's key file {path} has no key of 32 bytes in base64",
                          remedy="`openssl rand -base64 32` makes one")
    return key


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
