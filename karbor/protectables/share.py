"""OS::Manila::Share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from karbor.domain.resource import PROJECT, SHARE, Resource
from karbor.plugin.protectable import DiscoveryLists


class Shares:
    """The project's own shares, not those that others made public.

    Facts: `status` (Manila's word), `created_at` (as the service writes it), `size` (GiB),
    `share_proto`, `share_type` (its name, or its id where Manila tells no name),
    `availability_zone`, `snapshot_support` and
    `create_share_from_snapshot_support` (as Manila wrote them down when the share was made; they
    do not follow its type).
    """

    type: ClassVar[str] = SHARE
    parents: ClassVar[frozenset[str]] = frozenset({PROJECT})

    def list(self, listings: DiscoveryLists) -> Sequence[Resource]:
        listed = listings.list("manila", "/shares/detail", "shares")
        return [_resource(one) for one in listed
                if one.get("project_id") == listings.cloud.project_id]

    def dependents(self, parents: Sequence[Resource], listings: DiscoveryLists
                   ) -> Mapping[str, Sequence[Resource]]:
        if not listings.cloud.has("manila"):
            return {}
        return {parent.key: self.list(listings) for parent in parents if parent.type == PROJECT}


def _resource(one: Mapping[str, Any]) -> Resource:
    return Resource(SHARE, str(one["id"]), str(one.get("name") or ""), facts={
        "status": one.get("status", ""),
        "created_at": one.get("created_at") or "",
        "size": int(one["size"]),
        "share_proto": one.get("share_proto") or "",
        "share_type": one.get("share_type_name") or one.get("share_type") or "",
        "availability_zone": one.get("availability_zone") or "",
        "snapshot_support": bool(one.get("snapshot_support")),
        "create_share_from_snapshot_support": bool(one.get("create_share_from_snapshot_support")),
    })
