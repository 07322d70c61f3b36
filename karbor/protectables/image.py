"""OS::Glance::Image: the project's own images, and each server's own disk."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar

from karbor.domain.errors import CloudForbidden, CloudNotFound
from karbor.domain.resource import IMAGE, PROJECT, SERVER, Resource, labels_of
from karbor.plugin.protectable import DiscoveryLists
from karbor.plugin.volume_backed import data_elsewhere
from karbor.protectables import server as servers

MARK = "karbor_mark"
MARKED_NAME = re.compile(r"karbor:[0-9a-f-]{36}:")
IDS_PER_LIST = 100      # ids in one request: an address of some 4 KB, which every proxy lets pass


class Images:
    """Below the project: the images it owns, hidden ones too, without those that Karbor itself is
    just making (they bear its mark). Below a server that was booted from an image: the server's own
    disk, `within` the server, under the id of the image it once was a copy of; that image may be
    gone meanwhile, the disk is there all the same.

    A server whose base image has no data boots from a volume, whatever Nova says of its image, and
    has no disk of its own. Where the base image is gone, only an image made of the disk will tell.

    Facts of an image: `status`, `created_at`, `size` (bytes), `disk_format`, `visibility`,
    `protected`, `labels`, and `elsewhere`: (kind, id) of what in Cinder has its data, if it has
    none itself.
    Facts of a disk: `server_status`, `task_state`, `base` (the base image's status, or gone).
    """

    type: ClassVar[str] = IMAGE
    parents: ClassVar[frozenset[str]] = frozenset({PROJECT, SERVER})

    def list(self, listings: DiscoveryLists) -> Sequence[Resource]:
        owner = listings.cloud.project_id
        listed = [one for hidden in ("false", "true")
                  for one in listings.list("glance", "/images", "images",
                                           owner=owner, os_hidden=hidden)]
        own = {str(one["id"]): one for one in listed if one.get("owner") == owner}
        return [_image(one) for one in own.values() if not _being_made(one)]

    def dependents(self, parents: Sequence[Resource], listings: DiscoveryLists
                   ) -> Mapping[str, Sequence[Resource]]:
        found: dict[str, Sequence[Resource]] = {}
        on_images = {}
        for parent in parents:
            if parent.type == PROJECT:
                found[parent.key] = self.list(listings)
            elif parent.type == SERVER:
                server = servers.record(parent, listings)
                if servers.image_id(server):
                    on_images[parent.key] = server
        bases = _bases(
            sorted({servers.image_id(on_image) for on_image in on_images.values()}), listings
        )
        for key, server in on_images.items():
            base = bases.get(servers.image_id(server))
            found[key] = [] if base and data_elsewhere(base) else [_disk(server, base)]
        return found


def _being_made(image: Mapping[str, Any]) -> bool:
    """Return whether Karbor is making the image for an operation: its mark is a property or, where
    there is no room, the name."""
    return MARK in image or bool(MARKED_NAME.match(str(image.get("name") or "")))


def _bases(ids: Sequence[str], listings: DiscoveryLists) -> dict[str, Mapping[str, Any]]:
    """Return the base images that still exist and are visible, by id."""
    found: dict[str, Mapping[str, Any]] = {}
    for some in _batches(ids):
        for one in listings.list("glance", "/images", "images",
                                 visibility="all", id="in:" + ",".join(some)):
            found[str(one["id"])] = one
    for id in ids:
        if id not in found:     # only Glance itself can say that it is gone
            with suppress(CloudNotFound, CloudForbidden):
                found[id] = listings.cloud.api("glance").get(f"/images/{id}")
    return found


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), IDS_PER_LIST):
        yield ids[start:start + IDS_PER_LIST]


def _image(one: Mapping[str, Any]) -> Resource:
    return Resource(IMAGE, str(one["id"]), str(one.get("name") or ""), facts={
        "status": one.get("status", ""), "size": one.get("size"),
        "created_at": one.get("created_at") or "",
        "disk_format": one.get("disk_format"), "visibility": one.get("visibility"),
        "protected": bool(one.get("protected")),
        **({"elsewhere": elsewhere} if (elsewhere := data_elsewhere(one)) else {}),
        "labels": labels_of(one.get("tags") or (), {})})


def _disk(server: Mapping[str, Any], base: Mapping[str, Any] | None) -> Resource:
    id = servers.image_id(server)
    name = str((base or {}).get("name") or id)
    return Resource(IMAGE, id, f"{name} (disk of {server.get('name') or server['id']})",
                    within=str(server["id"]), facts={
                        "server_status": server.get("status", ""),
                        "task_state": server.get("OS-EXT-STS:task_state"),
                        "base": base.get("status", "") if base else "gone"})
