"""OS::Nova::Server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from karbor.domain.errors import CloudNotFound, CloudUnavailable, UnknownName
from karbor.domain.resource import PROJECT, SERVER, Resource, labels_of
from karbor.plugin.protectable import DiscoveryLists

ATTACHED = "os-extended-volumes:volumes_attached"


def records(listings: DiscoveryLists) -> dict[str, dict[str, Any]]:
    """Return every server of the project by id, as Nova lists it: one list for all who ask.

    Raises CloudUnavailable when Nova shows a server in part only, as it does (from microversion
    2.69 on) while the cell of the server is down: its disks would be missing from the graph.
    """
    return {str(one["id"]): _whole(one)
            for one in listings.list("nova", "/servers/detail", "servers")}


def _whole(server: dict[str, Any]) -> dict[str, Any]:
    if ATTACHED not in server or "image" not in server:
        raise CloudUnavailable(
            f"Nova shows server {server['id']} without its disks: its cell does not answer",
            service="nova", request="GET /servers/detail",
            remedy="try again when the compute cell is back")
    return server


def record(server: Resource, listings: DiscoveryLists) -> dict[str, Any]:
    """Return what Nova lists of one server, or shows of one that the list lacks. Raises
    UnknownName when it is not among the project's."""
    listed = records(listings).get(server.id)
    if listed is not None:
        return listed
    try:
        return _whole(listings.cloud.api("nova").get(f"/servers/{server.id}")["server"])
    except CloudNotFound:
        raise UnknownName(f"this project has no server {server.name or server.id}",
                          resource=server.key,
                          remedy="it may have been deleted meanwhile") from None


def image_id(server: Mapping[str, Any]) -> str:
    """Return the image whose copy is the server's own disk; "" for a server booted from a
    volume."""
    image = server["image"]
    return str(image["id"]) if image else ""


def volume_ids(server: Mapping[str, Any]) -> list[str]:
    """Return the ids of the server's attached volumes in Nova's order, which is the order of
    attachment."""
    return [str(one["id"]) for one in server[ATTACHED]]


class Servers:
    """The project's servers. Facts: `status` (Nova's word), `created_at` (as the service
    writes it), `task_state` (None when idle), `image_id` ("" when booted from
    a volume), `boot` (image or volume), `flavor` (name or id), `availability_zone`,
    `volumes` (ids in order of attachment), `labels`."""

    type: ClassVar[str] = SERVER
    parents: ClassVar[frozenset[str]] = frozenset({PROJECT})

    def list(self, listings: DiscoveryLists) -> Sequence[Resource]:
        return [self._resource(one) for one in records(listings).values()]

    def dependents(self, parents: Sequence[Resource], listings: DiscoveryLists
                   ) -> Mapping[str, Sequence[Resource]]:
        return {parent.key: self.list(listings) for parent in parents if parent.type == PROJECT}

    @staticmethod
    def _resource(one: Mapping[str, Any]) -> Resource:
        flavor = one.get("flavor") or {}
        return Resource(SERVER, str(one["id"]), str(one.get("name") or ""), facts={
            "status": one.get("status", ""),
            "created_at": one.get("created") or "",
            "task_state": one.get("OS-EXT-STS:task_state"),
            "image_id": image_id(one),
            "boot": "image" if image_id(one) else "volume",
            "flavor": flavor.get("original_name") or flavor.get("id", ""),
            "availability_zone": one.get("OS-EXT-AZ:availability_zone") or "",
            "volumes": volume_ids(one),
            "labels": labels_of(one.get("tags") or (), one.get("metadata") or {}),
        })
