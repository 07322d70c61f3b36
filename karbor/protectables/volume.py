"""OS::Cinder::Volume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from karbor.domain.errors import CloudNotFound
from karbor.domain.resource import POD, PROJECT, SERVER, VOLUME, Resource, labels_of
from karbor.plugin.protectable import DiscoveryLists
from karbor.protectables import pod as pods
from karbor.protectables import server as servers


class Volumes:
    """The project's volumes, and those attached to servers or mounted by pods.

    Facts: `status` (Cinder's word), `created_at` (as the service writes it), `size` (GiB),
    `availability_zone`, `volume_type`, `bootable`, `encrypted`, `multiattach`,
    `attachments` (each with `server_id`, `device`, `attachment_id`),
    `labels`.

    Nova may show a volume on a server (and Kubernetes one of a pod) that Cinder does not have for
    this project, neither in its list nor when asked for it: it was deleted between the two lists,
    or belongs to another project. It is never left out in silence: it becomes a resource with the
    status `invisible`, which cannot be protected, and the plan says so.
    """

    type: ClassVar[str] = VOLUME
    parents: ClassVar[frozenset[str]] = frozenset({PROJECT, SERVER, POD})

    def list(self, listings: DiscoveryLists) -> Sequence[Resource]:
        return list(self._by_id(listings).values())

    def dependents(self, parents: Sequence[Resource], listings: DiscoveryLists
                   ) -> Mapping[str, Sequence[Resource]]:
        # Servers first: a volume attached before Nova's list is in a later list of Cinder's.
        attached = {parent.key: servers.volume_ids(servers.record(parent, listings))
                    for parent in parents if parent.type == SERVER}
        attached.update({parent.key: pods.volume_ids(pods.record(parent, listings), listings)
                         for parent in parents if parent.type == POD})
        projects = [parent for parent in parents if parent.type == PROJECT]
        if not projects and not any(attached.values()):
            return {}
        known = self._by_id(listings)
        found: dict[str, Sequence[Resource]] = {
            key: [known.get(id) or self._alone(id, listings) for id in ids]
            for key, ids in attached.items()}
        found.update({project.key: list(known.values()) for project in projects})
        return found

    @staticmethod
    def _alone(id: str, listings: DiscoveryLists) -> Resource:
        """Return a volume that the list lacks, asked for by itself."""
        try:
            return _resource(listings.cloud.api("cinder").get(f"/volumes/{id}")["volume"])
        except CloudNotFound:
            return _invisible(id)

    @staticmethod
    def _by_id(listings: DiscoveryLists) -> dict[str, Resource]:
        listed = listings.list("cinder", "/volumes/detail", "volumes")
        return {str(one["id"]): _resource(one) for one in listed}


def _resource(one: Mapping[str, Any]) -> Resource:
    return Resource(VOLUME, str(one["id"]), str(one.get("name") or ""), facts={
        "status": one.get("status", ""),
        "created_at": one.get("created_at") or "",
        "size": int(one["size"]),
        "availability_zone": one.get("availability_zone") or "",
        "volume_type": one.get("volume_type") or "",
        "bootable": str(one.get("bootable", "")).lower() == "true",
        "encrypted": bool(one.get("encrypted")),
        "multiattach": bool(one.get("multiattach")),
        "attachments": [{"server_id": at.get("server_id"), "device": at.get("device"),
                         "attachment_id": at.get("attachment_id")}
                        for at in one.get("attachments") or ()],
        "labels": labels_of((), one.get("metadata") or {}),
    })


def _invisible(id: str) -> Resource:
    return Resource(VOLUME, id, facts={"status": "invisible"})
