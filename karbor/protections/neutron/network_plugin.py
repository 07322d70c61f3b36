"""Protection of a project's networks: one topology, kept as one consistent set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from karbor.domain.resource import NETWORK, PROJECT, SERVER, Resource
from karbor.domain.step import Done, Hook, Outcome
from karbor.plugin.protection import Obstacle, Protection, Stages, Target, Task, Work
from karbor.protections import json_document
from karbor.protections.cached_lists import CachedLists
from karbor.protections.neutron import obstacles, topology
from karbor.protections.neutron.restore import RebuildTopology
from karbor.protections.option_schemas import schema

OBJECT = "topology.json"


class KeepTopology(Task):
    """Lists each kind once and writes what the checkpoint needs of it as one object.

    It makes nothing in the cloud, so entering it again only writes a newer picture.
    """

    name = "topology"

    def run(self, work: Work) -> Outcome:
        lists = CachedLists(work.cloud)
        groups = lists.neutron("security-groups")
        found = topology.Lists(
            lists.neutron("networks"), lists.neutron("subnets"), lists.neutron("ports"),
            lists.neutron("routers"), groups, lists.neutron("floatingips"),
            # not every Neutron has them: they are asked for where a rule refers to one
            lists.neutron("address-groups") if topology.address_groups_of(groups) else [])
        document = topology.choose(found, work.resource.id, servers_of(work),
                                   {resource.id for resource in work.graph.of_type(SERVER)})
        stored = json_document.write(work.bank, OBJECT, document)
        return Done({"object": stored, **topology.summary(document)})


def servers_of(work: Work) -> frozenset[str] | None:
    """Return the servers whose networks are meant; None: all of the project."""
    key = work.resource.key
    parents = work.graph.parents(key)
    if key in work.graph.roots or any(parent.type == PROJECT for parent in parents):
        return None
    return frozenset(parent.id for parent in parents if parent.type == SERVER)


class NetworkProtection(Protection):
    """Networks, subnets, routers, security groups; floating addresses are told, not remade here:
    a server's restore gives each back to its port."""

    types = frozenset({NETWORK})

    def protect(self, resource: Resource) -> Stages:
        return {Hook.PREPARE_FINISH: [KeepTopology()]}

    def restore(self, resource: Resource) -> Stages:
        return {Hook.MAIN: [RebuildTopology(OBJECT)]}

    def verify(self, resource: Resource) -> Stages:
        return {Hook.MAIN: [json_document.ReadBack(KeepTopology.name)]}

    def held_by(self, resource: Resource) -> str:
        return ""      # One document.

    def restore_obstacles(self, resources: Sequence[Resource], target: Target
                          ) -> Sequence[Obstacle]:
        return [obstacle for resource in resources for obstacle in obstacles.find(resource, target)]

    def restore_preview(self, resource: Resource, target: Target) -> Sequence[str]:
        return obstacles.preview(resource, target)

    def options_schema(self, verb: str) -> Mapping[str, Any]:
        properties: dict[str, Any] = {}
        if verb == "restore":
            properties = {
                "new_networks": {"type": "boolean", "default": False,
                                 "description": "make new networks, routers and security groups "
                                                "even where the original still exists"},
                "map": {"type": "object",
                        "additionalProperties": {"type": "string", "minLength": 1},
                        "description": "old name or id → new one"},
            }
        return schema(properties)
