"""Restore an image: a new record that bears the mark, the bytes, a comparison, the finishing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from karbor.domain.errors import CloudConflict, CloudForbidden, CloudNotFound, RemoteFailed
from karbor.domain.resource import SERVER, Resource, ResourceGraph
from karbor.domain.step import Again, Done, Failed, Outcome, Progress
from karbor.plugin.protection import Task, Work
from karbor.protections.glance_bytes import COMING, STREAM, find_marked
from karbor.protections.glance_record import MARK, body, checksums
from karbor.vault import Vault

PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
STALE = 20          # looks at an upload of which nobody here knows any more, before it is dropped


def new_name(resource: Resource, graph: ResourceGraph, record: Mapping[str, Any],
             parameters: Mapping[str, Any]) -> str:
    """A server's disk is called after its server: many servers may have had one base image."""
    if parameters.get("restore_name"):
        return str(parameters["restore_name"])
    if not resource.within:
        return str(record["name"])
    key = f"{SERVER}#{resource.within}"
    server = graph[key].name if key in graph else ""
    return f"{server or resource.within} disk (restored)"[:255]


class Image(Task):
    """Saves `id` of the new image, and `not_restored`: fields that policy keeps from this user.

    Bytes are sent once per request: an upload that breaks off leaves Glance's record `queued`,
    and the next entry sends them again from the beginning.
    """

    name = "image"
    carries = True
    limit = "glance-transfers"

    def run(self, work: Work) -> Outcome:
        kept = work.kept("bytes")
        glance = work.cloud.api("glance")
        id = work.handle.get("id")
        if id is None and work.entered_before and (found := find_marked(work)) is not None:
            return Again(handle={"id": found})      # in the journal before its mark can go
        if id is None:
            name = new_name(work.resource, work.graph, kept["image"], work.parameters)
            made = glance.post("/images", body(kept["image"], name, work.mark))
            return Again(handle={"id": str(made["id"])})
        try:
            image = glance.get(f"/images/{id}")
        except CloudNotFound as error:
            return Failed(error)
        if image["status"] == "active":
            return self._finish(work, id, image)
        if image["status"] == "queued":
            return self._upload(work, id)
        looks = int(work.handle.get("looks", 0)) + 1
        if image["status"] in COMING and looks <= STALE:
            return Again(work.cloud.interval("glance.image"), {"id": id, "looks": looks})
        return Failed(RemoteFailed(f"the new image {id} stays {image['status']}",
                                   resource=work.resource.key, **_asked(work, id)))

    @staticmethod
    def _upload(work: Work, id: str) -> Outcome:
        vault = Vault(work.bank)
        manifest = vault.open(STREAM, work.kept("bytes")["stream"])

        def sent() -> Any:
            done = 0
            for block in vault.read(manifest):
                yield block
                done += len(block)
                work.report(Progress(done, manifest.size, "bytes"))

        work.ensure_credential(int(manifest.size))
        try:
            work.cloud.api("glance").upload(f"/images/{id}/file", sent(), size=manifest.size)
        except CloudConflict:       # another upload of an earlier entry has not ended there yet
            return Again(work.cloud.interval("glance.image"), {"id": id})
        return Again(handle={"id": id})

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
        record, missing = kept["image"], []
        if not work.resource.within:
            for field, default in (("visibility", "private"), ("protected", False)):
                if record.get(field) in (None, default) or image.get(field) == record[field]:
                    continue
                try:
                    _patch(work, id, "replace", field, record[field])
                except CloudForbidden as error:
                    missing.append({"field": field, "why": error.message})
        if MARK in image:       # last: the image is the user's from now on
            _patch(work, id, "remove", MARK)
        return Done({"id": id, "name": image.get("name") or "", "not_restored": missing})

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
            _patch(work, id, "replace", "protected", False)
        try:
            glance.delete(f"/images/{id}")
        except CloudConflict:       # in use by a server that is going as well
            return Again(work.cloud.interval("glance.image"), {"id": id})
        return Again(handle={"id": id})     # until it is seen to be gone


def _asked(work: Work, id: str) -> dict[str, Any]:
    return {"service": "glance", **work.cloud.asked(id)}


def _patch(work: Work, id: str, op: str, field: str, value: Any = None) -> None:
    change = {"op": op, "path": f"/{field}"} | ({} if op == "remove" else {"value": value})
    work.cloud.api("glance").patch(f"/images/{id}", [change], headers=PATCH)
