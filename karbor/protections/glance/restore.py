"""Restore an image: a new record that bears the mark, the bytes, a comparison, the finishing."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

from karbor.domain.errors import (
    CloudConflict,
    CloudError,
    CloudForbidden,
    CloudNotFound,
    QuotaExceeded,
    RemoteFailed,
    RequestRefused,
    WorkInterrupted,
)
from karbor.domain.resource import SERVER, Resource, ResourceGraph
from karbor.domain.step import Again, Done, Failed, Outcome, Progress, Wait
from karbor.plugin.cloud import Api
from karbor.plugin.cosmetics import Cosmetics
from karbor.plugin.protection import Task, Work
from karbor.protections.glance.data import COMING, boots_from_volume, find_marked
from karbor.protections.glance.metadata import MARK, SIGNATURE, body, checksums, signed
from karbor.vault import open_kept

PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
LOG = logging.getLogger(__name__)

_NEEDED = frozenset({"name", "disk_format", "container_format", "min_disk", "min_ram",
                     "visibility", MARK})
UPLOADS = 5         # whole uploads that Glance may refuse since another one has not ended there
STALE = 20          # looks at an upload of which nobody here knows any more, before it is dropped


def new_name(resource: Resource, graph: ResourceGraph, record: Mapping[str, Any],
             parameters: Mapping[str, Any]) -> str:
    """Return the name of the new image. A server's disk is called after its server: many servers
    may have had one base image."""
    if parameters.get("restore_name"):
        return str(parameters["restore_name"])
    if not resource.within:
        return str(record["name"])
    key = f"{SERVER}#{resource.within}"
    server = graph[key].name if key in graph else ""
    return f"{server or resource.within} disk (restored)"[:255]


class Image(Task):
    """Saves `id` of the new image, and `not_restored`: fields that policy keeps from this user.

    A signature that Glance cannot verify when the bytes come (its certificate is gone, or not for
    this user to read) is taken off for the upload and put back unverified, as the original has it.

    Bytes are sent once per request: an upload that breaks off leaves Glance's record `queued`,
    and the next entry sends them again from the beginning.
    """

    name = "image"
    carries = True
    limit = "glance-transfers"

    def run(self, work: Work) -> Outcome:
        if boots_from_volume(work):
            return Done()
        kept = work.kept("bytes")
        glance = work.cloud.api("glance")
        id = work.handle.get("id")
        if id is None and work.entered_before and (found := find_marked(work)) is not None:
            return Again(handle={"id": found})      # in the journal before its mark can go
        if id is None:
            name = new_name(work.resource, work.graph, kept["image"], work.parameters)
            made = _create(glance, body(kept["image"], name, work.mark))
            return Again(handle={"id": str(made["id"])})
        try:
            image = glance.get(f"/images/{id}")
        except CloudNotFound as error:
            return Failed(error)
        if image["status"] == "active":
            return self._finish(work, id, image)
        if image["status"] == "queued":
            if work.handle.get("unsigned") and signed(image):
                _change(work, id, [_removal(name) for name in sorted(SIGNATURE)])
                return Again(handle=dict(work.handle))
            return self._upload(work, id, image)
        looks = int(work.handle.get("looks", 0)) + 1
        if image["status"] in COMING and looks <= STALE:
            return Again(work.cloud.interval("glance.image"), {
                **work.handle, "looks": looks}, wait=Wait(
                f"an upload of before to end; the image {id} is {image['status']}", "image_data"))
        return Failed(WorkInterrupted(f"the new image {id} stays {image['status']}",
                                   resource=work.resource.key, **_asked(work, id)))

    @staticmethod
    def _upload(work: Work, id: str, image: Mapping[str, Any]) -> Outcome:
        stored = open_kept(work.vault, work.bank, work.kept("bytes")["stream"])

        def sent() -> Any:
            done = 0
            for block in stored.read():
                yield block
                done += len(block)
                work.report(Progress(done, stored.size, "bytes"))

        work.ensure_credential(stored.size)
        try:
            work.cloud.api("glance").upload(f"/images/{id}/file", sent(), size=stored.size)
        except RequestRefused as error:
            if signed(image) and "signature" in error.message.lower():
                return Again(handle={**work.handle, "unsigned": error.message})
            refusals = int(work.handle.get("refusals", 0)) + 1
            if not isinstance(error, CloudConflict) or refusals > UPLOADS:
                raise       # the bytes would be refused again
            return Again(work.cloud.interval("glance.image"), {
                **work.handle, "refusals": refusals}, wait=Wait(
                f"an upload of before to end; the image {id} is queued", "image_data"))
        return Again(handle=dict(work.handle))

    @staticmethod
    def _finish(work: Work, id: str, image: Mapping[str, Any]) -> Outcome:
        kept = work.kept("bytes")
        wanted, has = kept["stream"]["checksums"], checksums(image)
        wrong = [name for name in has if name in wanted and has[name] != wanted[name]]
        if wrong or int(image.get("size") or 0) != int(kept["size"]):
            return Failed(RemoteFailed(
                f"Glance has other bytes than were sent: {image.get('size')} of {kept['size']}, "
                f"checksums that differ: {', '.join(wrong) or 'none'}",
                resource=work.resource.key, **_asked(work, id)))
        cosmetics = Cosmetics(work)
        _decorate(work, id, image, cosmetics)
        if cosmetics.postponed:
            return cosmetics.again(work.handle)
        return Done({"id": id, "name": image.get("name") or "",
                     "not_restored": cosmetics.not_restored})

    def undo(self, work: Work) -> Outcome:
        glance = work.cloud.api("glance")
        id = work.handle.get("id") or find_marked(work)
        if id is None:
            return Done()
        try:
            image = glance.get(f"/images/{id}")
        except CloudNotFound:
            return Done()
        if image.get("protected"):
            _change(work, id, [_replacement("protected", False)])
        try:
            glance.delete(f"/images/{id}")
        except CloudConflict:       # in use by a server that is going as well
            return Again(work.cloud.interval("glance.image"), {"id": id}, wait=Wait(
                f"image {id} to be deletable", "removal"))
        return Again(handle={"id": id})     # until it is seen to be gone


def _asked(work: Work, id: str) -> dict[str, Any]:
    return {"service": "glance", **work.cloud.asked(id)}


def _create(glance: Api, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    """Make the record; without properties that policy keeps from this user, which Glance names one
    by one. They are tried again, and told, at the end."""
    sent = dict(wanted)
    while True:
        try:
            made: Mapping[str, Any] = glance.post("/images", sent)
            return made
        except CloudForbidden as error:
            refused = [name for name in sent if name not in _NEEDED
                       and f"'{name}'" in error.message]
            if not refused:
                raise
            for name in refused:
                del sent[name]


def _decorate(work: Work, id: str, image: Mapping[str, Any], cosmetics: Cosmetics) -> None:
    """Give the image what it shall have beyond its bytes, and no mark: it is the user's from now
    on."""
    record = work.kept("bytes")["image"]
    missing = {name: value for name, value in record["properties"].items()
               if image.get(name) != value}
    changes = [_removal(MARK)] if MARK in image else []
    changes += [_addition(name, value) for name, value in sorted(missing.items())]
    if changes and not _at_once(work, id, changes):
        for change in changes:      # the mark first: an image may have only so many properties
            name = _named(change)
            cosmetics.request(f"property {name}" if name != MARK else "Karbor's mark",
                              partial(_change, work, id, [change]))
    if why := work.handle.get("unsigned"):
        cosmetics.report("signature", "Glance could not verify it; the bytes are those that were "
                                      f"kept, and it was put back unverified: {why}")
    if work.resource.within:
        return
    for field, default in (("visibility", "private"), ("protected", False)):
        if record.get(field) not in (None, default, image.get(field)):
            cosmetics.request(field, partial(_change, work, id,
                                             [_replacement(field, record[field])]))


def _at_once(work: Work, id: str, changes: list[dict[str, Any]]) -> bool:
    try:
        _change(work, id, changes)
    except (RequestRefused, CloudForbidden, QuotaExceeded) as error:
        LOG.info("image %s: %s; its properties are set one by one", id, error)
        return False
    except CloudError as error:
        if not error.transient:
            raise
        return False        # each of them is postponed
    return True


def _removal(name: str) -> dict[str, Any]:
    return {"op": "remove", "path": _pointer(name)}


def _addition(name: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": _pointer(name), "value": value}


def _replacement(name: str, value: Any) -> dict[str, Any]:
    return {"op": "replace", "path": _pointer(name), "value": value}


def _pointer(name: str) -> str:
    """Return a name as JSON pointers write it (RFC 6901)."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _named(change: Mapping[str, Any]) -> str:
    return str(change["path"][1:]).replace("~1", "/").replace("~0", "~")


def _change(work: Work, id: str, changes: list[dict[str, Any]]) -> None:
    work.cloud.api("glance").patch(f"/images/{id}", changes, headers=PATCH)
