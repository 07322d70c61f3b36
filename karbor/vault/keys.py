"""Keys of one vault: how it names its chunks, seals its packs and signs its manifests.

All of them are derived from one secret of 32 bytes with HKDF-SHA256 (RFC 5869), without salt:

| info | gives |
|---|---|
| `karbor-vault-names` | the key of the BLAKE3 that names chunks |
| `karbor-vault-manifests` | the key of the BLAKE3 that signs manifests |
| `karbor-vault-pack ` and the pack's 16 bytes | the AES-256-GCM key of that pack |
"""

from __future__ import annotations

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SECRET_BYTES = 32
NAME_BYTES = 32
TAG_BYTES = 16


class Unsealable(Exception):
    """The bytes were not sealed with this key, or not as this chunk of this pack."""


class PackCipher:
    """Seals the chunks of one pack, each under its ordinal, which is the nonce: a pack's key is
    its own, and an ordinal is used once in it."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def seal(self, ordinal: int, body: bytes) -> bytes:
        return self._aead.encrypt(ordinal.to_bytes(12, "big"), body, None)

    def unseal(self, ordinal: int, body: bytes) -> bytes:
        """Return what was sealed. Raises Unsealable."""
        try:
            return self._aead.decrypt(ordinal.to_bytes(12, "big"), body, None)
        except InvalidTag as error:
            raise Unsealable("the seal is broken") from error


class VaultKeys:
    """What follows from a vault's secret. `encrypted`: whether chunks are sealed; without, the
    secret only makes names that tell nothing about other projects' data. Safe for threads."""

    def __init__(self, secret: bytes, *, encrypted: bool) -> None:
        if len(secret) != SECRET_BYTES:
            raise ValueError(f"the secret of a vault has {SECRET_BYTES} bytes")
        self.encrypted = encrypted
        self._secret = secret
        self._naming = self._derived(b"karbor-vault-names")
        self._signing = self._derived(b"karbor-vault-manifests")

    def name(self, chunk: bytes | memoryview) -> bytes:
        """Return the 32 bytes that name a chunk in this vault: equal chunks have equal names."""
        return blake3(chunk, key=self._naming).digest()

    def signature(self, body: bytes) -> str:
        """Return the signature of a manifest, in hexadecimal."""
        return blake3(body, key=self._signing).hexdigest()

    def cipher(self, pack: bytes) -> PackCipher | None:
        """Return the cipher of the pack with this id of 16 bytes; None where nothing is sealed."""
        return PackCipher(self._derived(b"karbor-vault-pack " + pack)) if self.encrypted else None

    def _derived(self, info: bytes) -> bytes:
        return HKDF(SHA256(), length=32, salt=None, info=info).derive(self._secret)

    def __repr__(self) -> str:
        return f"VaultKeys(encrypted={self.encrypted})"
