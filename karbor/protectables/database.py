"""OS::Trove::Instance: a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from karbor.domain.resource import DATABASE, PROJECT, Resource
from karbor.plugin.protectable import DiscoveryLists


class Databases:
    """The project's database instances; their servers and volumes belong to Trove and are in no
    list of the project's. Facts: `status` (Trove's word), `size` (GiB of its volume, None without
    one), `datastore` and `datastore_version`."""

    type: ClassVar[str] = DATABASE
    parents: ClassVar[frozenset[str]] = frozenset({PROJECT})

    def list(self, listings: DiscoveryLists) -> Sequence[Resource]:
        return [_resource(one) for one in listings.list("trove", "/instances", "instances")]

    def dependents(self, parents: Sequence[Resource], listings: DiscoveryLists
                   ) -> Mapping[str, Sequence[Resource]]:
        if not listings.cloud.has("trove"):
            return {}
        return {parent.key: self.list(listings) for parent in parents if parent.type == PROJECT}


def _resource(one: Mapping[str, Any]) -> Resource:
    datastore = one.get("datastore") or {}
    return Resource(DATABASE, str(one["id"]), str(one.get("name") or ""), facts={
        "status": one.get("status", ""),
        "size": (one.get("volume") or {}).get("size"),
        "datastore": datastore.get("type") or "",
        "datastore_version": datastore.get("version") or "",
    })
