"""OS::Keystone::Project: everything that the caller's project has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from karbor.domain.resource import PROJECT, Resource
from karbor.plugin.protectable import DiscoveryLists


class Projects:
    """The one project of the caller's token; it holds what there is of all other types."""

    type: ClassVar[str] = PROJECT
    parents: ClassVar[frozenset[str]] = frozenset()

    def list(self, listings: DiscoveryLists) -> Sequence[Resource]:
        """Return the project alone; no request is sent."""
        cloud = listings.cloud
        return [Resource(PROJECT, cloud.project_id, cloud.project_name)]

    def dependents(self, parents: Sequence[Resource], listings: DiscoveryLists
                   ) -> Mapping[str, Sequence[Resource]]:
        """Return nothing: what a project holds is discovered by the other types."""
        return {}
