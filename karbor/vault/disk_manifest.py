"""Manifests: the roots of all that a vault holds; one for each disk of each checkpoint.

    NAME/disk.json          a disk that is completely kept; written last, if absent
    NAME/disk.begun.json    how far an attempt has come that has not ended; replaced as it goes on
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from karbor.domain.errors import NewerFormat, ObjectDamaged
from karbor.vault.blocks import CHUNK_BYTES
from karbor.vault.disk_map import pages_of
from karbor.vault.keys import VaultKeys
from karbor.vault.pack import FORMAT, PACK_ID_BYTES, Address

KIND, BEGUN_KIND = "karbor-disk", "karbor-disk-begun"


@dataclass(frozen=True, slots=True)
class PageReference:
    """A page of a disk's map: where it is, its name, and what stands for its contents."""

    address: Address
    name: bytes
    root: bytes


Pages = tuple[PageReference | None, ...]
"""In order; None is a part of the disk that has zeros only."""


@dataclass(frozen=True)
class Begun:
    """What an attempt has kept so far: the pages of the disk's beginning. `size` is that of the
    whole disk in bytes, None while nobody knows it."""

    name: str
    vault: str
    size: int | None
    pages: Pages

    @property
    def key(self) -> str:
        return begun_key(self.name)

    def body(self, keys: VaultKeys) -> bytes:
        return _signed({"kind": BEGUN_KIND, "format": FORMAT, "name": self.name,
                        "vault": self.vault, "size": self.size,
                        "pages": [_told(page) for page in self.pages]}, keys)

    @classmethod
    def parse(cls, body: bytes, key: str, keys: VaultKeys) -> Begun:
        """Raises ObjectDamaged, NewerFormat."""
        raw = _parsed(body, key, BEGUN_KIND, keys)
        try:
            return cls(str(raw["name"]), str(raw["vault"]),
                       None if raw["size"] is None else int(raw["size"]), _pages(raw["pages"]))
        except (KeyError, TypeError, ValueError) as error:
            raise _unreadable(key) from error


@dataclass(frozen=True)
class DiskManifest:
    """A disk that is completely kept. `size` in bytes; `root` stands for its contents (see
    `disk_map.root_of_disk`); `checksums` are those of all its bytes that were asked for, in
    hexadecimal by the names of their algorithms. `data_bytes` is what of it is not zeros;
    `added_bytes` what the bank did not have before. `copy_of` is the identity of the disk in
    another vault from which this one was copied. Immutable once written."""

    name: str
    vault: str
    size: int
    pages: Pages
    root: str
    checksums: Mapping[str, str] = field(default_factory=dict)
    data_bytes: int = 0
    added_bytes: int = 0
    copy_of: str = ""

    @property
    def key(self) -> str:
        return manifest_key(self.name)

    def body(self, keys: VaultKeys) -> bytes:
        return _signed({"kind": KIND, "format": FORMAT, "name": self.name, "vault": self.vault,
                        "copy_of": self.copy_of, "size": self.size, "chunk": CHUNK_BYTES,
                        "root": self.root,
                        "checksums": dict(self.checksums), "data_bytes": self.data_bytes,
                        "added_bytes": self.added_bytes,
                        "pages": [_told(page) for page in self.pages]}, keys)

    def facts(self, keys: VaultKeys) -> dict[str, Any]:
        """Return what is worth keeping in a checkpoint's head: small JSON. `identity` binds the
        head to this very manifest (see `DiskVault.open`)."""
        return {"name": self.name, "format": FORMAT, "size": self.size, "root": self.root,
                "data_bytes": self.data_bytes, "stored": self.added_bytes,
                "checksums": dict(self.checksums), "identity": self.identity(keys)}

    def identity(self, keys: VaultKeys) -> str:
        """Return by what a checkpoint's head knows the disk: the signature of its manifest, or, of
        a copy, that of the first one, since a copy's head says what the original's said."""
        return self.copy_of or str(json.loads(self.body(keys))["signature"])

    @classmethod
    def parse(cls, body: bytes, key: str, keys: VaultKeys) -> DiskManifest:
        """Raises ObjectDamaged, NewerFormat."""
        raw = _parsed(body, key, KIND, keys)
        try:
            manifest = cls(str(raw["name"]), str(raw["vault"]), int(raw["size"]),
                           _pages(raw["pages"]), str(raw["root"]),
                           {str(name): str(value) for name, value in raw["checksums"].items()},
                           int(raw["data_bytes"]), int(raw["added_bytes"]), str(raw["copy_of"]))
            right = raw["chunk"] == CHUNK_BYTES and manifest_key(manifest.name) == key
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _unreadable(key) from error
        if not right or manifest.size < 0 or len(manifest.pages) != pages_of(manifest.size):
            raise ObjectDamaged(f"{key} in the bank contradicts itself")
        return manifest


def manifest_key(name: str) -> str:
    return f"{name}/disk.json"


def begun_key(name: str) -> str:
    return f"{name}/disk.begun.json"


def is_manifest(key: str) -> bool:
    """Return whether an object with this key is a manifest, whatever its section."""
    return key.endswith(("/disk.json", "/disk.begun.json"))


def pages_named(body: bytes, key: str, keys: VaultKeys) -> Pages:
    """Return the pages of a manifest of either kind. Raises ObjectDamaged, NewerFormat."""
    if key.endswith("/disk.begun.json"):
        return Begun.parse(body, _within(key), keys).pages
    return DiskManifest.parse(body, _within(key), keys).pages


def _within(key: str) -> str:
    return "/".join(key.rsplit("/", 2)[-2:])


def _told(page: PageReference | None) -> list[Any] | None:
    if page is None:
        return None
    return [page.address.pack.hex(), page.address.ordinal, page.name.hex(), page.root.hex()]


def _pages(raw: list[Any]) -> Pages:
    pages: list[PageReference | None] = []
    for page in raw:
        if page is None:
            pages.append(None)
            continue
        pack, ordinal, name, root = page
        if len(pack) != 2 * PACK_ID_BYTES:
            raise ValueError("the id of a pack has 16 bytes")
        pages.append(PageReference(Address(bytes.fromhex(pack), int(ordinal)),
                                   bytes.fromhex(name), bytes.fromhex(root)))
    return tuple(pages)


def _signed(raw: dict[str, Any], keys: VaultKeys) -> bytes:
    return _json({**raw, "signature": keys.signature(_json(raw))})


def _json(raw: Mapping[str, Any]) -> bytes:
    return json.dumps(raw, sort_keys=True, separators=(",", ":")).encode()


def _parsed(body: bytes, key: str, kind: str, keys: VaultKeys) -> dict[str, Any]:
    try:
        raw = dict(json.loads(body))
        of_kind, number = raw["kind"] == kind, int(raw["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(key) from error
    if not of_kind:
        raise _unreadable(key)
    if number > FORMAT:
        raise NewerFormat(f"{key} has the disk format {number}, this Karbor reads {FORMAT}",
                          remedy="upgrade Karbor")
    signature = raw.pop("signature", "")
    if signature != keys.signature(_json(raw)):
        raise ObjectDamaged(f"{key} in the bank was changed, or belongs to another vault: its "
                            "signature does not fit")
    return raw


def _unreadable(key: str) -> ObjectDamaged:
    return ObjectDamaged(f"{key} in the bank is not what Karbor writes there")
