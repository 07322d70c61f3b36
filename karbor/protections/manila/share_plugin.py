"""OS::Manila::Share by snapshots that stay where the share is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from karbor.domain.resource import SHARE, Resource
from karbor.domain.step import Hook
from karbor.plugin.cloud import Cloud
from karbor.plugin.protection import Obstacle, Protection, Stages, Target
from karbor.protections.cached_lists import standing
from karbor.protections.manila import quota
from karbor.protections.manila.restore import Restored, Share, new_name
from karbor.protections.manila.snapshot import SAME_STORAGE, KeptSnapshot, Settled, broken, evidence
from karbor.protections.option_schemas import schema, text
from karbor.protections.snapshot_removal import SnapshotRemoval


class ShareSnapshot(Protection):
    """Keeps a share as a snapshot of Manila's, which is no copy of it, and says so; with it who may
    mount the share. A restore makes a new share: `work.saved("restored", resource)["id"]`, with
    addresses (export locations) of its own.
    """

    types: ClassVar[frozenset[str]] = frozenset({SHARE})

    def protect(self, resource: Resource) -> Stages:
        return {Hook.PREPARE_BEGIN: [Settled()], Hook.PREPARE_FINISH: [KeptSnapshot()]}

    def restore(self, resource: Resource) -> Stages:
        return {Hook.MAIN: [Share(), Restored()]}

    def verify(self, resource: Resource) -> Stages:
        return {Hook.VERIFY: [evidence()]}

    def remove(self, resource: Resource) -> Stages:
        return {Hook.MAIN: [SnapshotRemoval("manila", "share")]}

    def intact(self, resources: Sequence[Resource], target: Target) -> bool:
        ids = [one["id"] for each in resources if (one := target.kept("snapshot", each))]
        found = standing(target.cloud, "manila", "snapshot", ids)
        return all(state == "available" for state in found.values())

    def protect_preview(self, resource: Resource) -> Sequence[str]:
        return (f"kept as a snapshot only: {SAME_STORAGE}",)

    def protect_obstacles(self, resources: Sequence[Resource], cloud: Cloud) -> Sequence[Obstacle]:
        obstacles = [
            Obstacle(f"share {resource.name or resource.id}: {why}", remedy, resource=resource.key)
            for resource in resources
            for why, remedy in _unfit(resource.facts)
        ]
        return obstacles + quota.snapshotting(
            [(resource.facts["share_type"], resource.facts["size"]) for resource in resources],
            cloud,
        )

    def restore_obstacles(self, resources: Sequence[Resource], target: Target
                          ) -> Sequence[Obstacle]:
        kept = {resource: target.kept("snapshot", resource) for resource in resources}
        wanted = [(one["share"]["share_type"], int(one["size"])) for one in kept.values() if one]
        return _lost(kept, target.cloud) + quota.restoring(wanted, target.cloud)

    def restore_preview(self, resource: Resource, target: Target) -> Sequence[str]:
        snapshot = target.kept("snapshot", resource)
        share = snapshot["share"]
        name = new_name(target.parameters(resource), share) or "without a name"
        rules = len(share["access_rules"])
        what = f"create share {name} ({share['share_proto']}, {snapshot['size']} GiB)"
        return [f"{what} of snapshot {snapshot['id']}, and its access rules ({rules})",
                "it is made in the same storage as the share was, and has an address of its own"]

    def options_schema(self, verb: str) -> Mapping[str, Any]:
        """Return the JSON Schema of the parameters for a verb, under their names of Karbor 1.x."""
        properties: dict[str, Any] = {}
        if verb == "protect":
            properties = {
                "snapshot_name": text("else karbor and the share's name"),
                "description": text("of the snapshot; else its checkpoint"),
                "force": {"type": "boolean", "default": False, "description":
                          "taken as in Karbor 1.x, and without effect: Manila takes snapshots of "
                          "available shares only, and Karbor waits until a share is"}}
        elif verb == "restore":
            properties = {"restore_name": text("of the new share; else that of the old one")}
        return schema(properties)


def _unfit(share: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return why a share cannot be protected as it stands, each with what can be done about it."""
    status = str(share["status"]).lower()
    if broken(status):
        return [(f"it is in the state {status}", "repair or delete it, or leave it out")]
    for capability, lacking in (
            ("snapshot_support", "cannot have snapshots"),
            ("create_share_from_snapshot_support", "no share can be made from its snapshots")):
        if not share[capability]:
            why = f"{lacking}: its type {share['share_type']} had no {capability} when it was made"
            return [(why, "move its files to a share of a type that has it, or leave it out")]
    return []


def _lost(kept: Mapping[Resource, Mapping[str, Any]], cloud: Cloud) -> list[Obstacle]:
    status = standing(cloud, "manila", "snapshot",
                      (str(one["id"]) for one in kept.values() if one))
    obstacles = []
    for resource, snapshot in kept.items():
        name = resource.name or resource.id
        if not snapshot:
            obstacles.append(Obstacle(f"the checkpoint has no snapshot of share {name}",
                                      resource=resource.key))
        elif (seen := status[snapshot["id"]]) != "available":
            obstacles.append(Obstacle(f"snapshot {snapshot['id']} of share {name} is {seen}",
                                      "it existed only in the storage of its share"
                                      if seen == "gone" else "", resource=resource.key))
    return obstacles
