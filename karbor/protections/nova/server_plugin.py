"""Protection of servers: everything to build one again but its disks, which are resources too."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from karbor.domain.errors import CloudNotFound
from karbor.domain.resource import IMAGE, SERVER, Resource
from karbor.domain.step import Done, Hook, Outcome
from karbor.plugin.cloud import Cloud
from karbor.plugin.protection import Obstacle, Protection, Stages, Target, Task, Work
from karbor.protections import json_document
from karbor.protections.cached_lists import CachedLists
from karbor.protections.nova import facts as server_facts
from karbor.protections.nova import obstacles
from karbor.protections.nova.restore import RebuildServer
from karbor.protections.option_schemas import schema

OBJECT = "server.json"


class KeepServer(Task):
    """Joins lists that all servers of the operation share; only tags of devices and the order of
    volumes must be asked for server by server. Makes nothing in the cloud."""

    name = "server"

    def run(self, work: Work) -> Outcome:
        facts = replace(gather(work.cloud, work.resource), own_disk=self._own_disk(work))
        document = server_facts.describe(facts)
        told = server_facts.not_kept(facts)
        stored = json_document.write(work.bank, OBJECT, document)
        return Done({"object": stored, **server_facts.summary(document, told)})

    @staticmethod
    def _own_disk(work: Work) -> bool:
        """Return whether the server has a disk of its own. Nova names an image also of a server
        that boots from a volume, if that volume was made of the snapshots which the image named."""
        disks = [resource for resource in work.graph.children(work.resource.key)
                 if resource.type == IMAGE and resource.within == work.resource.id]
        return any(not work.saved("disk", disk).get("no_disk") for disk in disks)


def gather(cloud: Cloud, resource: Resource) -> server_facts.Facts:
    """Gather everything that is kept of a server. Raises CloudNotFound when it is gone."""
    lists = CachedLists(cloud)
    record = lists.server(resource.id)
    if record is None:
        raise CloudNotFound(f"server {resource.name or resource.id} is gone", service="nova",
                            resource=resource.key)
    nova = cloud.api("nova")
    version = lists.nova_version()
    ports = [port for port in lists.neutron("ports") if port.get("device_id") == resource.id]
    ids = {port["id"] for port in ports}
    attachments = interfaces = []
    if record.get("os-extended-volumes:volumes_attached"):
        attachments = nova.list(f"/servers/{resource.id}/os-volume_attachments",
                                "volumeAttachments", version=version)
    if ports:
        interfaces = nova.list(f"/servers/{resource.id}/os-interface", "interfaceAttachments",
                               version=version)
    groups = lists.nova("/os-server-groups", "server_groups")
    key_pair = lists.key_pairs().get(record["key_name"]) if record.get("key_name") else None
    return server_facts.Facts(
        server=record,
        attachments=attachments,
        interfaces=interfaces,
        ports=ports,
        floating=[
            floatingip
            for floatingip in lists.neutron("floatingips")
            if floatingip.get("port_id") in ids
        ],
        key_pair=key_pair,
        group=server_facts.group_of(resource.id, groups),
    )


class ServerProtection(Protection):
    """A server is built when its image, volumes and networks have been restored."""

    types = frozenset({SERVER})

    def protect(self, resource: Resource) -> Stages:
        return {Hook.PREPARE_FINISH: [KeepServer()]}

    def restore(self, resource: Resource) -> Stages:
        return {Hook.COMPLETE: [RebuildServer(OBJECT)]}

    def verify(self, resource: Resource) -> Stages:
        return {Hook.MAIN: [json_document.ReadBack(KeepServer.name)]}

    def protect_obstacles(self, resources: Sequence[Resource], cloud: Cloud) -> Sequence[Obstacle]:
        return obstacles.protecting(resources, cloud)

    def held_by(self, resource: Resource) -> str:
        return ""      # One document; its disks are resources of their own.

    def optional(self, saved: Mapping[str, Mapping[str, Any]]) -> Collection[str]:
        pair = saved.get(KeepServer.name, {}).get("key_pair")
        return [pair["name"]] if pair else []

    def restore_obstacles(self, resources: Sequence[Resource], target: Target
                          ) -> Sequence[Obstacle]:
        return obstacles.restoring(resources, target)

    def restore_preview(self, resource: Resource, target: Target) -> Sequence[str]:
        return obstacles.preview(resource, target)

    def options_schema(self, verb: str) -> Mapping[str, Any]:
        properties: dict[str, Any] = {}
        if verb == "restore":
            properties = {
                "restore_name": {"type": "string", "minLength": 1, "maxLength": 255,
                                 "description": "the new server's name; default the kept one"},
                "restore_net_id": {"type": "string", "minLength": 1, "description":
                                   "all its ports are made on this network, with other addresses"},
                "restore_flavor_id": {"type": "string",
                                      "description": "build it with this flavor"},
                "map": {"type": "object", "additionalProperties": {"type": "string"},
                        "description": "old name or id → new one: flavors, key pairs, zones; a key "
                                       "pair → \"\": without one"},
            }
        return schema(properties)
