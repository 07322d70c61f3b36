"""Protect an image's bytes: a server's disk becomes an image first; then bytes go to the bank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from karbor.domain.checkpoint import Evidence
from karbor.domain.errors import (
    CloudConflict,
    CloudForbidden,
    CloudNotFound,
    CloudUnavailable,
    ObjectMissing,
    QuotaExceeded,
    RemoteFailed,
)
from karbor.domain.step import Again, Done, Failed, Outcome, Progress, Wait
from karbor.plugin.protection import Stage, Task, Work
from karbor.protections.glance_record import MARK, checksums, describe, not_kept
from karbor.vault import Paused, Vault

STREAM = "bytes"
COMING = frozenset({"queued", "saving", "uploading", "importing"})
LOST = frozenset({"killed", "deleted", "pending_delete", "deactivated"})


class Disk(Stage):
    """An image that Nova makes of a server's own disk; gone when its bytes are in the bank."""

    name = "disk"
    kind = "glance.image"
    ready = frozenset({"active"})
    failed = LOST
    temporary = True
    limit = "server-images"
    waits = "server_image"

    def create(self, work: Work) -> str:
        nova, server = work.cloud.api("nova"), work.resource.within
        name = work.parameters.get("backup_name") or f"karbor {work.resource.name or server}"[:255]
        work.ensure_credential(None)     # nobody tells how large a server's disk is

        def image_of(name: str, **metadata: str) -> str:
            body = {"createImage": {"name": name, "metadata": metadata}}
            return str(nova.post(f"/servers/{server}/action", body, version="2.45")["image_id"])

        try:
            return image_of(name, **{MARK: work.mark})
        except (CloudUnavailable, CloudForbidden, QuotaExceeded) as error:
            # Of an image that has as many properties as it may, Nova says only "500".
            if isinstance(error, CloudUnavailable) and error.status != 500:
                raise
            return find_marked(work) or image_of(work.mark)
        except CloudConflict as error:
            task = nova.get(f"/servers/{server}")["server"].get("OS-EXT-STS:task_state")
            if not task:
                raise
            raise CloudUnavailable(f"the server is busy ({task}): {error.message}",
                                   service="nova", request=error.request, status=error.status,
                                   request_id=error.request_id) from error

    def find(self, work: Work) -> str | None:
        return find_marked(work)

    def delete(self, work: Work, id: str) -> None:
        work.cloud.api("glance").delete(f"/images/{id}")

    def given_up(self, work: Work, id: str, seen: Mapping[str, Any]) -> str:
        """Nova removes the image of a snapshot that fails, but not when the token is over with
        which it was asked: then the image waits for ever for its bytes."""
        if self.status(seen) not in COMING:
            return ""
        server = work.cloud.look("nova.server", work.resource.within)
        if server is None or server.get("OS-EXT-STS:task_state"):
            return ""
        # It may have been finished between the two looks.
        image = work.cloud.api("glance").get(f"/images/{id}")
        return "Nova works on it no more" if image["status"] in COMING else ""

    def finished(self, work: Work, id: str, seen: Mapping[str, Any]) -> Mapping[str, Any]:
        """Saves `id`, `size` (bytes) and `created_at` (Glance's time)."""
        return {"id": id, "size": seen.get("size"), "created_at": seen.get("created_at")}


def find_marked(work: Work) -> str | None:
    """The image that bears this stage's mark: as a property, or as its name where Nova could give
    it no more properties. Glance filters by either; it is compared again, since a cloud that
    ignores the filter would hand out all images."""
    for place in (MARK, "name"):
        for one in work.cloud.api("glance").list("/images", "images", params={place: work.mark}):
            if one.get(place) == work.mark:
                return str(one["id"])
    return None


class Bytes(Task):
    """Carries the bytes into the vault and compares them with Glance's size and checksum.

    Re-entered after anything, it goes on behind the last complete page of the vault. Saves the
    vault's facts as `stream`, and `image`: what a new image shall have (see glance_record); with
    `not_kept`, where a new image will lack something.
    """

    name = "bytes"
    carries = True
    limit = "glance-transfers"

    def run(self, work: Work) -> Outcome:
        disk = bool(work.resource.within)
        id = str(work.saved("disk")["id"]) if disk else work.resource.id
        glance = work.cloud.api("glance")
        image = work.cloud.look("glance.image", id)
        if image is None:
            return Failed(CloudNotFound(f"image {id} is gone", service="glance",
                                        resource=work.resource.key))
        status = str(image["status"])
        if status in COMING:
            return Again(work.cloud.interval("glance.image"), wait=Wait(
                f"the image {id} to have its bytes; it is {status}", "image_data"))
        if status != "active":
            return Failed(RemoteFailed(f"the image is {status}", service="glance",
                                       resource=work.resource.key,
                                       remedy="only an active image has bytes to keep"))
        size = int(image.get("size") or 0)

        def report(done: int) -> None:
            work.report(Progress(done, size, "bytes"))

        kept = Vault(work.bank).store(
            STREAM,
            # Glance answers 204 for an image without data (of a server booted from a volume)
            lambda offset: glance.download(f"/images/{id}/file", offset=offset) if size else (),
            size=size, expected=checksums(image) if size else {}, hashes=("sha512", "md5"),
            progress=report, stop=lambda: work.stopping)
        if isinstance(kept, Paused):
            return Again(progress=Progress(kept.offset, size, "bytes"))
        told = [] if disk else not_kept(image, work.cloud)
        return Done({"stream": kept.facts(), "image": describe(image, disk=disk), "size": size,
                     **({"not_kept": told} if told else {})})


class ReadBack(Task):
    """Reads every byte back from the bank and compares all checksums."""

    name = "read_back"
    carries = True

    def run(self, work: Work) -> Outcome:
        kept = work.kept("bytes") or work.saved("bytes")
        if not kept:
            return Failed(ObjectMissing("the checkpoint has no bytes of this image",
                                        resource=work.resource.key))
        vault = Vault(work.bank)
        manifest = vault.open(STREAM, kept["stream"])
        reached = vault.check(
            manifest, int(work.handle.get("offset", 0)), stop=lambda: work.stopping,
            progress=lambda done: work.report(Progress(done, manifest.size, "bytes")))
        if reached < manifest.size:
            return Again(handle={"offset": reached},
                         progress=Progress(reached, manifest.size, "bytes"))
        return Done({"evidence": Evidence.CHECKSUMS.value, "unproved": ""})
