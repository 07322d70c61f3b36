"""OS::Neutron::Network: the project's network topology as one resource."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from karbor.domain.resource import NETWORK, PROJECT, SERVER, Resource
from karbor.plugin.protectable import DiscoveryLists
from karbor.protectables import server as servers

NAME = "Network topology"


class Networks:
    """As in Karbor 1.x, networks, subnets, routers and security groups are one resource of the
    project, since they make sense only as one consistent set. Its id is the project's. It belongs
    to the project and to every server that has a port."""

    type: ClassVar[str] = NETWORK
    parents: ClassVar[frozenset[str]] = frozenset({PROJECT, SERVER})

    def list(self, listings: DiscoveryLists) -> Sequence[Resource]:
        cloud = listings.cloud
        return [Resource(NETWORK, cloud.project_id, NAME)] if cloud.has("neutron") else []

    def dependents(self, parents: Sequence[Resource], listings: DiscoveryLists
                   ) -> Mapping[str, Sequence[Resource]]:
        topology = self.list(listings)
        if not topology:
            return {}
        connected = self._connected(
            [parent for parent in parents if parent.type == SERVER], listings
        )
        return {parent.key: topology for parent in parents
                if parent.type == PROJECT or (parent.type == SERVER and parent.id in connected)}

    def holding(
        self, name_or_id: str, listings: DiscoveryLists, *, by_name: bool
    ) -> Resource | None:
        """Return the topology, for any network that the project sees: clients of Karbor 1.x name
        networks by their ids."""
        if not listings.cloud.has("neutron"):
            return None
        networks = listings.list("neutron", "/networks", "networks")
        if not any(name_or_id == network["id"] or (by_name and name_or_id == network.get("name"))
                   for network in networks):
            return None
        return self.list(listings)[0]

    @staticmethod
    def _connected(wanted: Sequence[Resource], listings: DiscoveryLists) -> set[str]:
        """Return the ids of servers with a port. Nova's addresses show also ports that belong to
        another project, Neutron's list also ports without an address: both are asked."""
        if not wanted:
            return set()
        addressed = {resource.id for resource in wanted
                     if servers.record(resource, listings).get("addresses")}
        ports = listings.list("neutron", "/ports", "ports",
                              project_id=listings.cloud.project_id)
        return addressed | {str(port.get("device_id")) for port in ports}
