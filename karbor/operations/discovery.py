"""From some resources to the graph of all that belongs to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from karbor.domain.resource import Resource, ResourceGraph, dependents_rank
from karbor.plugin.cloud import Cloud
from karbor.plugin.protectable import DiscoveryLists, Protectable


def discover(cloud: Cloud, protectables: Mapping[str, Protectable], start: Sequence[Resource],
             listings: DiscoveryLists | None = None) -> ResourceGraph:
    """The graph, each resource's dependents in the order of Karbor 1.x. Raises whatever a listing
    raises: a graph with holes would be a checkpoint with holes."""
    listings = listings or DiscoveryLists(cloud)

    def of_level(parents: Sequence[Resource]) -> dict[str, list[Resource]]:
        found: dict[str, list[Resource]] = {parent.key: [] for parent in parents}
        for protectable in protectables.values():
            fitting = [resource for resource in parents if resource.type in protectable.parents]
            if fitting:
                for key, dependents in protectable.dependents(fitting, listings).items():
                    found[key].extend(dependents)
        return {key: sorted(children, key=lambda resource: dependents_rank(resource.type))
                for key, children in found.items()}

    return ResourceGraph.build(start, of_level)
