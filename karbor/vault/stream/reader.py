"""Streams that an earlier Karbor has kept in a section of a bank, read back exactly."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing

from karbor.domain.errors import ObjectDamaged, ObjectMissing
from karbor.plugin.bank import Section, check_key
from karbor.vault.checksums import StreamChecksums
from karbor.vault.stream.manifest import StreamManifest, manifest_key
from karbor.vault.stream.pieces import Pieces


class StreamReader:
    """Streams in one section of a bank, each below its own name. Methods may be called from any
    thread. Memory: about four blocks a worker, 4 MiB each, however large the stream."""

    def __init__(self, section: Section, *, workers: int = 2) -> None:
        self._section = section
        self._workers = workers

    def find(self, name: str) -> StreamManifest | None:
        """Return the manifest of a stream that is completely kept; None when there is none.

        Raises ObjectDamaged, NewerFormat."""
        key = manifest_key(check_key(name))
        try:
            body = b"".join(self._section.get(key))
        except ObjectMissing:
            return None
        return _understood(StreamManifest.parse(body, key), name)

    def open(self, name: str, facts: Mapping[str, object] | None = None) -> StreamManifest:
        """Return the manifest; `facts` (what its checkpoint says of it) prove that it is the same.
         Raises ObjectMissing, ObjectDamaged, NewerFormat."""
        manifest = self.find(name)
        if manifest is None:
            raise ObjectMissing(f"the bank has no manifest {manifest_key(name)}")
        wanted = (facts or {}).get("manifest_blake3")
        if wanted is not None and wanted != manifest.checksum:
            raise ObjectDamaged(f"{manifest.key} in the bank is not the one the checkpoint names")
        return manifest

    def read(self, manifest: StreamManifest, offset: int = 0) -> Generator[bytes, None, None]:
        """Yield the bytes from `offset` to the end, each block verified before it is handed out.

        Raises ObjectMissing or ObjectDamaged, naming the object.
        """
        skip = offset % manifest.cut
        pieces = Pieces(self._section, manifest.name, self._workers)
        with closing(pieces.blocks(manifest.pages, manifest.cut, manifest.size,
                                   offset // manifest.cut)) as blocks:
            for block in blocks:
                if part := block[skip:] if skip else block:
                    yield part
                skip = 0

    def check(self, manifest: StreamManifest, offset: int = 0, *,
              progress: Callable[[int], None] | None = None,
              stop: Callable[[], bool] | None = None) -> int:
        """Read back every byte from `offset` (a multiple of `manifest.cut`) on and compare all
        checksums, those of the whole stream as well if it is read from its beginning to its end.

        Returns how far it came: `manifest.size`, or less when `stop` said so; call again from
        there. Raises ObjectMissing or ObjectDamaged, naming the object.
        """
        whole = StreamChecksums(manifest.checksums)
        reached = offset
        with closing(self.read(manifest, offset)) as blocks:
            for block in blocks:
                if offset == 0:
                    whole.update(block)
                reached += len(block)
                if progress:
                    progress(reached)
                if stop and reached < manifest.size and stop():
                    return reached
        if reached != manifest.size:
            raise ObjectDamaged(f"{manifest.key} names {manifest.size} bytes, its pages {reached}")
        if offset == 0 and dict(whole.checksums()) != dict(manifest.checksums):
            raise ObjectDamaged(f"the checksums in {manifest.key} are not those of its pieces")
        return reached


def _understood(manifest: StreamManifest, name: str) -> StreamManifest:
    """Refuse what would mislead a reader: sizes that cannot be, pages with gaps."""
    key, following = manifest_key(name), 0
    for at in manifest.pages:
        if at.first != following or at.count < 1:
            raise ObjectDamaged(f"{key} names pages that do not follow each other")
        following += at.count
    if (manifest.name != name or manifest.size < 0 or manifest.cut < 1
            or following != -(-manifest.size // manifest.cut)
            or "blake3" not in manifest.checksums):
        raise ObjectDamaged(f"{key} contradicts itself")
    return manifest
