"""What Cinder's Swift driver has written for one backup, as far as the user can see it.

Facts from cinder/backup/chunkeddriver.py and drivers/swift.py: all objects of a backup have one
prefix, `volume_VOLUME/TIME/az_ZONE_backup_BACKUP`, which the API does not tell; `PREFIX_metadata`
lists the data objects `PREFIX-00001`… with offset, length and MD5 *before* compression;
`PREFIX_sha256file` has one SHA-256 per block of the whole volume, also in an incremental backup.
"""

from __future__ import annotations

import bz2
import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from karbor.domain.errors import (
    CloudError,
    CloudForbidden,
    CloudNotFound,
    CloudUnauthorized,
    ObjectDamaged,
    ObjectMissing,
)
from karbor.plugin.cloud import Api, Cloud
from karbor.protections.cinder import swift_listing

HEAD = 16 * 1024        # bytes: all that stands before the checksums in a sha256file


class NotVisible(Exception):
    """The objects of a backup cannot be looked at; the message says why."""


@dataclass(frozen=True)
class Entry:
    """An object as Swift lists it: bytes as stored, and the MD5 of these."""

    size: int
    md5: str


class SwiftBackup:
    """The objects of one backup in the caller's own Swift account."""

    def __init__(self, api: Api, container: str, prefix: str, entries: dict[str, Entry]) -> None:
        self._api = api
        self._container = container
        self.prefix = prefix
        self.entries = entries

    @classmethod
    def find(cls, cloud: Cloud, backup: Mapping[str, Any]) -> SwiftBackup:
        """Find the objects of a backup; `backup` is what Cinder shows of it. Raises NotVisible, and
        the CloudError family."""
        container = backup.get("container")
        if not cloud.has("swift"):
            raise NotVisible("this cloud has no Swift")
        if not container:
            raise NotVisible("Cinder does not tell where the backup is kept")
        try:
            api = cloud.api("swift")
        except CloudError as error:     # it has one, of which nobody here has the address
            raise NotVisible(error.message) from error
        try:
            found = swift_listing.objects_of(cloud, api, container, backup)
        except CloudNotFound:
            raise NotVisible(f"the project's Swift account has no container {container}: Cinder "
                             "keeps its backups elsewhere") from None
        except (CloudForbidden, CloudUnauthorized):     # RGW says 401 to who lacks the right
            raise NotVisible(f"the container {container} may not be read") from None
        if found is None:
            raise NotVisible(f"the container {container} of the project's Swift account has "
                             "nothing of this backup")
        prefix, listed = found
        return cls(api, container, prefix, {
            str(one["name"]): Entry(int(one["bytes"]), str(one["hash"])) for one in listed})

    def entry(self, name: str) -> Entry | None:
        """Return the object of that name; asked for itself when the listing (which Swift brings
        up to date a little later) does not have it. None when it does not exist."""
        if name not in self.entries:
            try:
                headers = self._api.head(self._path(name))
            except CloudNotFound:
                return None
            self.entries[name] = Entry(int(headers["content-length"]),
                                       headers.get("etag", "").strip('"'))
        return self.entries[name]

    def metadata(self) -> dict[str, Any]:
        """Return the driver's description of the backup. Raises ObjectDamaged, ObjectMissing."""
        name = f"{self.prefix}_metadata"
        try:
            body = b"".join(self._api.download(self._path(name)))
        except CloudNotFound:
            raise ObjectMissing(f"Swift has no object {name}, and without it Cinder cannot restore "
                                "the backup") from None
        try:
            found = json.loads(body)
        except ValueError as error:
            raise ObjectDamaged(f"{name} is not JSON: {error}") from error
        if not isinstance(found, dict):
            raise ObjectDamaged(f"{name} does not hold an object")
        return found

    def hashed_bytes(self) -> int | None:
        """Return how many bytes of the volume the driver has read at most, by the length of its
        list of checksums (of which only the beginning is read: it has 64 bytes for every 32
        KiB)."""
        name = f"{self.prefix}_sha256file"
        entry = self.entry(name)
        if entry is None:
            return None
        found = re.search(rb'\n {2}"chunk_size": (\d+)', self.beginning(name, HEAD))
        if not found:
            return None
        return entry.size // 64 * int(found[1])

    def beginning(self, name: str, size: int) -> bytes:
        """Return at least the first `size` stored bytes of an object, or all of it."""
        got = b""
        stream = self._api.download(self._path(name), size=size)
        try:
            for piece in stream:
                got += piece
                if len(got) >= size:
                    break
        finally:
            close = getattr(stream, "close", None)
            if close:
                close()
        return got

    def digest(self) -> str:
        """Return the SHA-256 over names, sizes and MD5 sums of all objects: equal as long as none
        changed."""
        lines = [
            f"{name} {entry.size} {entry.md5}\n" for name, entry in sorted(self.entries.items())
        ]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def _path(self, name: str) -> str:
        return f"/{quote(self._container, safe='')}/{quote(name)}"


def opened(stored: bytes, compression: str, size: int) -> bytes | None:
    """Return the first bytes of what was compressed; None for an algorithm that is not known
    here."""
    match compression:
        case "none":
            return stored[:size]
        case "zlib" | "gzip":
            return zlib.decompressobj().decompress(stored, size)
        case "bz2" | "bzip2":
            return bz2.BZ2Decompressor().decompress(stored, size)
        case _:
            return None
