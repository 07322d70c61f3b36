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
from karbor.domain.resource import SERVER
from karbor.domain.step import Again, Done, Failed, Outcome, Progress, Wait
from karbor.plugin.protection import Stage, Task, Work
from karbor.plugin.volume_backed import data_elsewhere, named
from karbor.protections.cached_lists import standing
from karbor.protections.glance.metadata import MARK, checksums, describe, not_kept, strongest
from karbor.vault import DiskVault, Paused, open_kept

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

    def find(self, work: Work) -> list[str]:
        return all_marked(work)

    def delete(self, work: Work, id: str) -> None:
        """Delete the image, with the snapshots that Nova has made for it, if it was made of
        volumes: they first, since only the image names them."""
        glance, saved = work.cloud.api("glance"), work.saved(self.name)
        if not saved or saved.get("no_disk"):
            try:
                image = glance.get(f"/images/{id}")
            except CloudNotFound:
                return
            if work.mark in (image.get(MARK), image.get("name")):
                self._delete_snapshots(work, image)
        glance.delete(f"/images/{id}")

    @staticmethod
    def _delete_snapshots(work: Work, image: Mapping[str, Any]) -> None:
        """Delete the snapshots. Raises CloudConflict until they are gone."""
        left = []
        for kind, snapshot in data_elsewhere(image):
            if kind != "snapshot":
                continue
            cinder = work.cloud.api("cinder")
            try:
                status = cinder.get(f"/snapshots/{snapshot}")["snapshot"]["status"]
            except CloudNotFound:
                continue
            left.append(snapshot)
            if status in ("available", "error"):
                cinder.delete(f"/snapshots/{snapshot}")
        if left:
            raise CloudConflict(f"snapshots that Nova made are still there: {', '.join(left)}",
                                service="cinder", resource=work.resource.key)

    def given_up(self, work: Work, id: str, seen: Mapping[str, Any]) -> str:
        """Return why the image gets no bytes any more, if that can be seen. Nova removes the image
        of a snapshot that fails, but not when the token is over with which it was asked: then the
        image waits for ever for its bytes."""
        if self.status(seen) not in COMING:
            return ""
        server = work.cloud.look("nova.server", work.resource.within)
        if server is None or server.get("OS-EXT-STS:task_state"):
            return ""
        # It may have been finished between the two looks.
        image = work.cloud.api("glance").get(f"/images/{id}")
        return "Nova works on it no more" if image["status"] in COMING else ""

    def finished(self, work: Work, id: str, seen: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what to save: `id`, `size` (bytes) and `created_at` (Glance's time); `no_disk`:
        the server has no disk of its own, since Nova has made snapshots of its volumes instead."""
        return {"id": id, "size": seen.get("size"), "created_at": seen.get("created_at"),
                **({"no_disk": True} if data_elsewhere(seen) else {})}


def find_marked(work: Work) -> str | None:
    """Return the id of an image that bears this stage's mark; None when there is none."""
    return next(iter(all_marked(work)), None)


def all_marked(work: Work) -> list[str]:
    """Return the ids of the images that bear this stage's mark: as a property, or as their name
    where Nova could give them no more properties. Glance filters by either; it is compared again,
    since a cloud that ignores the filter would hand out all images."""
    # In a filter by name, Glance takes what stands before a colon for an operator.
    by_mark = {str(image["id"]): None
               for member, value in ((MARK, work.mark), ("name", f"eq:{work.mark}"))
               for image in work.cloud.api("glance").list("/images", "images",
                                                          params={member: value})
               if image.get(member) == work.mark}
    return list(by_mark)


def boots_from_volume(work: Work) -> bool:
    """Return whether the server whose disk the resource was to be has none: its volumes are
    resources."""
    key = f"{SERVER}#{work.resource.within}"
    if not work.resource.within or key not in work.graph:
        return False
    return bool(work.kept("server", work.graph[key]).get("boot") == "volume")


class Bytes(Task):
    """Carries the bytes into the vault and compares them with Glance's size and checksum.

    Re-entered after anything, it goes on where the vault has noted that it came to. Saves the
    disk's facts as `stream`, and `image`: what a new image shall have (see glance_record); with
    `not_kept`, where a new image will lack something.
    """

    name = "bytes"
    carries = True
    limit = "glance-transfers"

    def run(self, work: Work) -> Outcome:
        if boots_from_volume(work):
            return Done()
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
        if elsewhere := data_elsewhere(image):
            return Failed(RemoteFailed(
                f"image {id} has no data: it boots from {named(elsewhere)} in Cinder, which would "
                "not be kept", service="glance", resource=work.resource.key,
                remedy="protect the server or the volume that it was made of, or leave it out"))
        size = int(image.get("size") or 0)

        def report(done: int) -> None:
            work.report(Progress(done, size, "bytes"))

        kept = DiskVault(work.vault, work.bank).store(
            STREAM,
            # Glance answers 204 for an image without data
            lambda offset: glance.download(f"/images/{id}/file", offset=offset) if size else (),
            size=size, expected=strongest(checksums(image)) if size else {}, hashes=("sha512",),
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
        if boots_from_volume(work):
            return Done()
        kept = work.kept("bytes") or work.saved("bytes")
        if not kept:
            return Failed(ObjectMissing("the checkpoint has no bytes of this image",
                                        resource=work.resource.key))
        if elsewhere := data_elsewhere(kept["image"].get("properties", {})):
            return _elsewhere(work, elsewhere)
        stored = open_kept(work.vault, work.bank, kept["stream"])
        reached = stored.check(
            int(work.handle.get("offset", 0)), stop=lambda: work.stopping,
            progress=lambda done: work.report(Progress(done, stored.size, "bytes")))
        if reached < stored.size:
            return Again(handle={"offset": reached},
                         progress=Progress(reached, stored.size, "bytes"))
        return Done({"evidence": Evidence.CHECKSUMS.value, "unproved": ""})


def _elsewhere(work: Work, elsewhere: list[tuple[str, str]]) -> Outcome:
    """Return where the data is of an image that an earlier Karbor kept without its data."""
    snapshots = [id for kind, id in elsewhere if kind == "snapshot"]
    states = standing(work.cloud, "cinder", "snapshot", snapshots)
    lost = sorted(id for id, state in states.items() if state != "available")
    if lost or len(snapshots) < len(elsewhere):
        return Failed(ObjectMissing(
            f"the checkpoint has no data of this image, and what it boots from is not there: "
            f"{', '.join(lost) or named(elsewhere)}", resource=work.resource.key))
    return Done({"evidence": Evidence.STATUS.value, "unproved": (
        f"the image has no data in the checkpoint: it boots from {named(elsewhere)} in Cinder")})
