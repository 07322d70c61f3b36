"""OS::Kubernetes::Pod: the pods of the cluster that belongs to the project."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from karbor.domain.errors import UnknownName
from karbor.domain.resource import POD, PROJECT, Resource
from karbor.plugin.protectable import DiscoveryLists

CINDER = "cinder.csi.openstack.org"     # the CSI driver whose handles are ids of volumes
MIGRATED = "kubernetes.io/cinder"       # what older clusters call the volumes of that driver

Claims = Mapping[tuple[str, str], str]


def record(pod: Resource, listings: DiscoveryLists) -> Mapping[str, Any]:
    """Return what Kubernetes lists of one pod. Raises UnknownName when it is not there any more."""
    for one in _records(listings):
        if _id(one) == pod.id:
            return one
    raise UnknownName(f"there is no pod {pod.name or pod.id}", resource=pod.key,
                      remedy="it may have been deleted meanwhile")


def volume_ids(pod: Mapping[str, Any], listings: DiscoveryLists) -> list[str]:
    """Return the Cinder volumes that it mounts, in the order of its manifest: named in the
    manifest, or bound to a claim of its own or of its namespace."""
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    found: list[str] = []
    for mounted in pod["spec"].get("volumes") or ():
        claim = (mounted.get("persistentVolumeClaim") or {}).get("claimName")
        if mounted.get("ephemeral"):
            claim = f"{name}-{mounted['name']}"
        id = (_bound(listings).get((namespace, claim), "") if claim
              else str((mounted.get("cinder") or {}).get("volumeID") or ""))
        if id and id not in found:
            found.append(id)
    return found


def _records(listings: DiscoveryLists) -> Sequence[Mapping[str, Any]]:
    return listings.list("kubernetes", "/namespaces/%(namespace)s/pods", "items")


def _bound(listings: DiscoveryLists) -> Claims:
    """Return which Cinder volume is behind which claim. A persistent volume names the claim that it
    is bound to, so claims need not be listed."""
    found: dict[tuple[str, str], str] = {}
    listed: Sequence[Mapping[str, Any]] = listings.list(
        "kubernetes", "/persistentvolumes", "items")
    for one in listed:
        spec = one["spec"]
        claim, csi = spec.get("claimRef") or {}, spec.get("csi") or {}
        id = (csi.get("volumeHandle") if csi.get("driver") in (CINDER, MIGRATED)
              else (spec.get("cinder") or {}).get("volumeID"))
        if claim and id:
            found[str(claim.get("namespace")), str(claim.get("name"))] = str(id)
    return found


def _name(one: Mapping[str, Any]) -> str:
    return f"{one['metadata']['namespace']}:{one['metadata']['name']}"


def _id(one: Mapping[str, Any]) -> str:
    """Return the id of a pod, as Karbor 1.x made it: the same for a pod that was made anew under
    its name, as those of a stateful set are."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, _name(one)))


class Pods:
    """The pods of one namespace, named `NAMESPACE:NAME`. Facts: `status` (its phase), `namespace`,
    `node`. Their Cinder volumes belong to them."""

    type: ClassVar[str] = POD
    parents: ClassVar[frozenset[str]] = frozenset({PROJECT})

    def list(self, listings: DiscoveryLists) -> Sequence[Resource]:
        return [Resource(POD, _id(one), _name(one), facts={
            "status": (one.get("status") or {}).get("phase") or "",
            "namespace": one["metadata"]["namespace"],
            "node": one["spec"].get("nodeName") or ""}) for one in _records(listings)]

    def dependents(self, parents: Sequence[Resource], listings: DiscoveryLists
                   ) -> Mapping[str, Sequence[Resource]]:
        if not listings.cloud.has("kubernetes"):
            return {}
        return {parent.key: self.list(listings) for parent in parents if parent.type == PROJECT}
