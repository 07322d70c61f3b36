"""OS::Cinder::Volume by snapshots that stay where the volume is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from karbor.domain.resource import VOLUME, Resource
from karbor.domain.step import Hook
from karbor.plugin.cloud import Cloud
from karbor.plugin.protection import Obstacle, Protection, Stages, Target
from karbor.protections.cached_lists import standing
from karbor.protections.cinder import quota
from karbor.protections.cinder.backup import Settled
from karbor.protections.cinder.snapshot import (
    SAME_STORAGE,
    Finished,
    KeptSnapshot,
    VolumeOfSnapshot,
    evidence,
)
from karbor.protections.cinder.volume_backup_plugin import shelved, unfit
from karbor.protections.cinder_input import refused
from karbor.protections.option_schemas import NO_FORCE, schema, text
from karbor.protections.snapshot_removal import SnapshotRemoval


class VolumeSnapshot(Protection):
    """Keeps a volume as a snapshot: made in seconds whatever its size, and no copy of it.

    It helps against mistakes, not against the loss of the storage, and everything here says so. A
    restore makes a new volume: `work.saved("restored", resource)["id"]`.
    """

    types: ClassVar[frozenset[str]] = frozenset({VOLUME})

    def protect(self, resource: Resource) -> Stages:
        return {Hook.PREPARE_BEGIN: [Settled()], Hook.PREPARE_FINISH: [KeptSnapshot()]}

    def restore(self, resource: Resource) -> Stages:
        return {Hook.MAIN: [VolumeOfSnapshot(), Finished()]}

    def verify(self, resource: Resource) -> Stages:
        return {Hook.VERIFY: [evidence()]}

    def remove(self, resource: Resource) -> Stages:
        return {Hook.MAIN: [SnapshotRemoval("cinder", "volume")]}

    def intact(self, resources: Sequence[Resource], target: Target) -> bool:
        ids = [one["id"] for each in resources if (one := target.kept("snapshot", each))]
        found = standing(target.cloud, "cinder", "snapshot", ids)
        return all(state == "available" for state in found.values())

    def held_by(self, resource: Resource) -> str:
        return "Cinder"

    def protect_preview(self, resource: Resource) -> Sequence[str]:
        return (f"kept as a snapshot only: {SAME_STORAGE}",)

    def protect_obstacles(self, resources: Sequence[Resource], cloud: Cloud) -> Sequence[Obstacle]:
        obstacles = [
            Obstacle(f"volume {resource.name or resource.id} {why}", remedy, resource=resource.key)
            for resource in resources
            for why, remedy in unfit(resource)
        ]
        seen = [(resource.facts["volume_type"], resource.facts["size"]) for resource in resources
                if resource.facts.get("status") != "invisible"]
        obstacles += shelved(resources, cloud)
        return obstacles + quota.snapshotting(seen, cloud)

    def restore_obstacles(self, resources: Sequence[Resource], target: Target
                          ) -> Sequence[Obstacle]:
        kept = {resource: target.kept("snapshot", resource) for resource in resources}
        obstacles = _lost(kept, target.cloud)
        wanted = [(one["volume"]["volume_type"], int(one["size"])) for one in kept.values() if one]
        return obstacles + quota.restoring(wanted, target.cloud)

    def restore_preview(self, resource: Resource, target: Target) -> Sequence[str]:
        snapshot = target.kept("snapshot", resource)
        volume = snapshot["volume"]
        name = target.parameters(resource).get("restore_name") or volume["name"] or "without a name"
        return [f"create volume {name} ({snapshot['size']} GiB) of snapshot {snapshot['id']}",
                "it is made in the same storage as the volume was",
                *(f"without the {what}, which Cinder does not take any more"
                  for what in refused(volume))]

    def options_schema(self, verb: str) -> Mapping[str, Any]:
        properties: dict[str, Any] = {}
        if verb == "protect":
            properties = {
                "snapshot_name": text("of the snapshot; else karbor and the volume's name"),
                "description": text("of the snapshot; else its checkpoint"),
                "force": NO_FORCE}
        elif verb == "restore":
            properties = {
                "restore_name": text("of the new volume; else that of the old one"),
                "restore_description": text("of the new volume; else that of the old one")}
        return schema(properties)


def _lost(kept: Mapping[Resource, Mapping[str, Any]], cloud: Cloud) -> list[Obstacle]:
    status = standing(cloud, "cinder", "snapshot",
                      (str(one["id"]) for one in kept.values() if one))
    obstacles = []
    for resource, snapshot in kept.items():
        name = resource.name or resource.id
        if not snapshot:
            obstacles.append(Obstacle(f"the checkpoint has no snapshot of volume {name}",
                                      resource=resource.key))
        elif (seen := status[snapshot["id"]]) != "available":
            obstacles.append(Obstacle(f"snapshot {snapshot['id']} of volume {name} is {seen}",
                                      "it existed only in the storage of its volume"
                                      if seen == "gone" else "", resource=resource.key))
    return obstacles
