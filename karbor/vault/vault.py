"""Vault: streams of bytes kept in a section of a bank, and read back exactly."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing

from karbor.domain.errors import ObjectDamaged, ObjectMissing
from karbor.plugin.bank import Section, check_key
from karbor.vault.cuts import CUT
from karbor.vault.manifest import PAGE, Manifest, manifest_key
from karbor.vault.pieces import Pieces
from karbor.vault.storing import Paused, Source, Storing
from karbor.vault.whole import Whole


class Vault:
    """Streams in one section of a bank, each below its own name. A name stands for one stream
    whose bytes never change: what an earlier attempt has kept of it counts.

    A task that keeps an image calls `store` at every entry, the first and all later ones alike; it
    goes on where an earlier one has stopped, failed or died:

        def run(self, work: Work) -> Outcome:
            image = images.get(work.resource.id)
            kept = Vault(work.bank).store(
                "image", lambda offset: images.download(image.id, offset),
                size=image.size, expected={image.hash_algo: image.hash_value},
                progress=lambda done: work.report(Progress(done, image.size, "B")),
                stop=lambda: work.stopping)
            if isinstance(kept, Paused):
                return Again()
            return Done(kept.facts())               # small JSON: sizes and checksums

    and to restore or verify:

        vault = Vault(work.bank)
        manifest = vault.open("image", work.kept("image"))
        images.upload(new_id, vault.read(manifest))         # an iterator of bytes
        vault.check(manifest)                               # every byte, or ObjectDamaged

    Memory: about four blocks a worker, 4 MiB each, however large the stream. `cut` and `page` are
    for tests. Methods may be called from any thread, but `store` by one at a time for one name.
    """

    def __init__(self, section: Section, *, workers: int = 2, cut: int = CUT,
                 page: int = PAGE) -> None:
        self._section = section
        self._workers = workers
        self._cut = cut
        self._page = page

    # ------------------------------------------------------------------ writing
    def store(self, name: str, source: Source, *, size: int | None = None,
              expected: Mapping[str, str] | None = None, hashes: Iterable[str] = (),
              progress: Callable[[int], None] | None = None,
              stop: Callable[[], bool] | None = None) -> Manifest | Paused:
        """Keep the stream completely; then, and only then, write its manifest.

        `size`: bytes it must have; `expected`: checksums it must have (hexadecimal, by hashlib's
        names of algorithms), `hashes`: algorithms to compute besides. `progress` is told the bytes
        that are safe in the bank; `stop` is asked between blocks. A stream that is already kept is
        not asked for again: its manifest is returned.

        Raises what `source` and the bank raise; CloudUnavailable when the stream ends early or
        has other checksums than `expected` (nothing of it counts then); RemoteFailed when it is
        longer than `size`; ObjectDamaged when a manifest is there but not readable.
        """
        check_key(name)
        done = self.find(name)
        if done is not None:
            return done
        storing = Storing(self._section, name, workers=self._workers, cut=self._cut,
                          page=self._page, size=size, expected=dict(expected or {}),
                          hashes=frozenset({*hashes, *(expected or ())}),
                          progress=progress, stop=stop)
        return storing.run(source)

    # ------------------------------------------------------------------ reading
    def find(self, name: str) -> Manifest | None:
        """The manifest of a stream that is completely kept; None when there is none.

        Raises ObjectDamaged, NewerFormat."""
        key = manifest_key(check_key(name))
        try:
            body = b"".join(self._section.get(key))
        except ObjectMissing:
            return None
        return _understood(Manifest.parse(body, key), name)

    def open(self, name: str, facts: Mapping[str, object] | None = None) -> Manifest:
        """The manifest; `facts` (what Manifest.facts gave when it was kept) prove that it is the
        same. Raises ObjectMissing, ObjectDamaged, NewerFormat."""
        manifest = self.find(name)
        if manifest is None:
            raise ObjectMissing(f"the bank has no manifest {manifest_key(name)}")
        wanted = (facts or {}).get("manifest_blake3")
        if wanted is not None and wanted != manifest.checksum:
            raise ObjectDamaged(f"{manifest.key} in the bank is not the one the checkpoint names")
        return manifest

    def read(self, manifest: Manifest, offset: int = 0) -> Generator[bytes, None, None]:
        """The bytes from `offset` to the end, each block verified before it is handed out.

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

    def check(self, manifest: Manifest, offset: int = 0, *,
              progress: Callable[[int], None] | None = None,
              stop: Callable[[], bool] | None = None) -> int:
        """Read back every byte from `offset` (a multiple of `manifest.cut`) on and compare all
        checksums, those of the whole stream as well if it is read from its beginning to its end.

        Returns how far it came: `manifest.size`, or less when `stop` said so; call again from
        there. Raises ObjectMissing or ObjectDamaged, naming the object.
        """
        whole = Whole(manifest.checksums)
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


def _understood(manifest: Manifest, name: str) -> Manifest:
    """Refuses what would mislead a reader: sizes that cannot be, pages with gaps."""
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
