"""OS::Cinder::Volume by Cinder's own backups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from karbor.domain.errors import CloudForbidden
from karbor.domain.resource import VOLUME, Resource
from karbor.domain.step import Hook
from karbor.plugin.cloud import Cloud
from karbor.plugin.protection import Obstacle, Protection, Stages, Target
from karbor.protections.cached_lists import CachedLists, standing
from karbor.protections.cinder import quota
from karbor.protections.cinder.backup import Backup, Settled, Snapshot, broken
from karbor.protections.cinder.backup_deletion import Removal, bury_backup
from karbor.protections.cinder.evidence import WHOLE, ReadBack, inferred_break
from karbor.protections.cinder.restore import Restored, Volume
from karbor.protections.cinder_chain import Base
from karbor.protections.cinder_input import refused
from karbor.protections.option_schemas import NO_FORCE, schema, text

OPERATOR = "tell the cloud's operator"


class VolumeBackup(Protection):
    """Keeps a volume as a Cinder backup of a snapshot that is taken together with all others.

    The bytes go where Cinder's backup driver puts them, not through Karbor. A restore makes a new
    volume: `work.saved("restored", resource)["id"]`. Attaching it is the server's business.

    A member cannot ask whether a cinder-backup service runs (only administrators may list
    services); without that right, its absence shows when the backup goes to an error state.
    """

    types: ClassVar[frozenset[str]] = frozenset({VOLUME})

    def protect(self, resource: Resource) -> Stages:
        return {Hook.PREPARE_BEGIN: [Settled()],
                Hook.PREPARE_FINISH: [Snapshot()],
                Hook.MAIN: [Base(), Backup()]}

    def restore(self, resource: Resource) -> Stages:
        return {Hook.MAIN: [Volume(), Restored()]}

    def verify(self, resource: Resource) -> Stages:
        return {Hook.VERIFY: [ReadBack()]}

    def remove(self, resource: Resource) -> Stages:
        return {Hook.MAIN: [Removal()]}

    def intact(self, resources: Sequence[Resource], target: Target) -> bool:
        ids = [one["id"] for each in resources if (one := target.kept("backup", each))]
        found = standing(target.cloud, "cinder", "backup", ids)
        return all(state == "available" for state in found.values())

    def held_by(self, resource: Resource) -> str:
        return "Cinder"

    def delete_deferred(self, facts: Mapping[str, Any], cloud: Cloud) -> bool:
        return bury_backup(cloud, facts["id"])

    def protect_obstacles(self, resources: Sequence[Resource], cloud: Cloud) -> Sequence[Obstacle]:
        obstacles = [
            Obstacle(f"volume {resource.name or resource.id} {why}", remedy, resource=resource.key)
            for resource in resources
            for why, remedy in unfit(resource)
        ]
        seen = [resource for resource in resources if resource.facts.get("status") != "invisible"]
        if not seen:
            return obstacles
        obstacles += [*shelved(seen, cloud), *_backup_service(cloud)]
        return obstacles + quota.protecting(
            [(resource.facts["volume_type"], resource.facts["size"]) for resource in seen], cloud)

    def restore_obstacles(self, resources: Sequence[Resource], target: Target
                          ) -> Sequence[Obstacle]:
        kept = {resource: target.kept("backup", resource) for resource in resources}
        if not kept:
            return ()
        obstacles = _backup_service(target.cloud) + _lost(kept, target)
        obstacles += _types(kept, target) + _zones(kept, target)
        wanted = [(target.mapping.get(one["volume"]["volume_type"], one["volume"]["volume_type"]),
                   int(one["size"])) for one in kept.values() if one]
        return obstacles + quota.restoring(wanted, target.cloud)

    def restore_preview(self, resource: Resource, target: Target) -> Sequence[str]:
        backup = target.kept("backup", resource)
        volume = backup["volume"]
        name = target.parameters(resource).get("restore_name") or volume["name"] or "without a name"
        kind = target.mapping.get(volume["volume_type"], volume["volume_type"])
        return [f"create volume {name} ({backup['size']} GiB, type {kind})",
                f"restore backup {backup['id']} into it",
                *(f"without the {what}, which Cinder does not take any more"
                  for what in refused(volume))]

    def options_schema(self, verb: str) -> Mapping[str, Any]:
        properties: dict[str, Any] = {}
        if verb == "protect":
            properties = {
                "backup_mode": {
                    "type": "string", "enum": ["full", "incremental", "auto"], "default": "full",
                    "description": "incremental and auto: only what has changed, where Cinder has "
                                   "a backup to build upon that can be restored; else all of it, "
                                   "and the checkpoint says why"},
                "container": {
                    "type": "string", "minLength": 1, "maxLength": 255,
                    "description": "where Cinder's backup driver shall put it (Swift: container)"},
                "backup_name": text("of the backup; else karbor and the volume's name"),
                "description": text("of the backup; else its checkpoint"),
                "force": NO_FORCE}
        elif verb == "restore":
            properties = {
                "restore_name": text("of the new volume; else that of the old one"),
                "restore_description": text("of the new volume; else that of the old one"),
                "map": {"type": "object",
                        "additionalProperties": {"type": "string", "minLength": 1},
                        "description": "volume types and zones: old name to new name"}}
        return schema(properties)


def unfit(volume: Resource) -> list[tuple[str, str]]:
    """Return why a volume cannot be protected as it stands, each with what can be done about it."""
    status = str(volume.facts.get("status", ""))
    if status == "invisible":
        return [("is attached to a server or mounted by a pod, but this project cannot see it",
                 "protect it in its own project and leave that out, or detach it")]
    if broken(status):
        return [(f"is in the state {status}", "repair or delete it, or leave it out")]
    return []


def shelved(volumes: Sequence[Resource], cloud: Cloud) -> list[Obstacle]:
    """Return the volumes that Nova keeps reserved for a server that is shelved: of these Cinder
    takes no snapshot, and they stay so until somebody unshelves it. One that is just being attached
    is reserved as well, which passes."""
    reserved = {volume.id: volume for volume in volumes if volume.facts.get("status") == "reserved"}
    if not reserved or not cloud.has("nova"):
        return []
    return [Obstacle(
        f"volume {reserved[each['id']].name or each['id']} is reserved for the server "
        f"{server['name'] or server['id']}, which is {str(server['status']).lower()}",
        "unshelve the server, or leave the volume out", resource=reserved[each["id"]].key)
        for server in CachedLists(cloud).servers().values()
        if str(server["status"]).upper() in ("SHELVED", "SHELVED_OFFLOADED")
        for each in server.get("os-extended-volumes:volumes_attached") or ()
        if each["id"] in reserved]


def _backup_service(cloud: Cloud) -> list[Obstacle]:
    try:
        services = cloud.api("cinder").get("/os-services",
                                           params={"binary": "cinder-backup"})["services"]
    except CloudForbidden:
        return []       # not for members: see the class
    if any(service["state"] == "up" and service["status"] == "enabled" for service in services):
        return []
    return [Obstacle("no cinder-backup service is running in this cloud", OPERATOR)]


def _lost(kept: Mapping[Resource, Mapping[str, Any]], target: Target) -> list[Obstacle]:
    """Return the backups that are not there as they are needed: those of the checkpoint, and all
    that they are built upon."""
    chains = {
        resource: [
            str(link["backup"]) for link in target.kept("read_back", resource).get("chain", ())
        ]
        for resource in kept
    }
    wanted = {str(backup["id"]) for backup in kept.values() if backup}
    status = standing(target.cloud, "cinder", "backup",
                      wanted.union(*chains.values()) if chains else wanted)
    obstacles = []
    for resource, backup in kept.items():
        name = resource.name or resource.id
        if not backup:
            obstacles.append(Obstacle(f"the checkpoint has no backup of volume {name}",
                                      resource=resource.key))
            continue
        if status[backup["id"]] not in WHOLE:
            obstacles.append(Obstacle(f"backup {backup['id']} of volume {name} is "
                                      f"{status[backup['id']]}", resource=resource.key))
            continue
        below = [id for id in chains[resource] if status[id] not in WHOLE]
        obstacles += [
            Obstacle(
                f"backup {id}, on which backup {backup['id']} of volume {name} is "
                f"built, is {status[id]}",
                _BROKEN,
                resource=resource.key,
            )
            for id in below
        ]
        if backup.get("is_incremental") and not chains[resource]:
            obstacles += _by_list(resource, backup, target)
    return obstacles


_BROKEN = ("Cinder cannot restore a backup without all that it is built upon: take a checkpoint of "
           "before, or bring that backup back")


def _by_list(resource: Resource, backup: Mapping[str, Any], target: Target) -> list[Obstacle]:
    """Look, by Cinder's list, at a backup of which nobody could see what it is built upon."""
    own = [each for each in CachedLists(target.cloud).cinder("/backups/detail", "backups")
           if each["volume_id"] == backup.get("volume_id", resource.id)]
    itself = next((each for each in own if each["id"] == backup["id"]), None)
    why = inferred_break(itself, own) if itself else ""
    return (
        [
            Obstacle(
                f"backup {backup['id']} of volume {resource.name or resource.id} cannot be "
                f"restored: {why}",
                _BROKEN,
                resource=resource.key,
            )
        ]
        if why
        else []
    )


def _types(kept: Mapping[Resource, Mapping[str, Any]], target: Target) -> list[Obstacle]:
    listed = target.cloud.api("cinder").list("/types", "volume_types")
    known = {str(one[field]) for one in listed for field in ("id", "name")}
    obstacles = []
    for resource, backup in kept.items():
        old = backup["volume"]["volume_type"] if backup else ""
        new = target.mapping.get(old, old)
        if new and new not in known:
            obstacles.append(Obstacle(f"there is no volume type {new}", f"--map {old}=OTHER-TYPE",
                                      map_from=old, resource=resource.key))
        elif new != old and backup["volume"]["encrypted"]:
            obstacles.append(
                Obstacle(
                    f"volume {resource.name or resource.id} is encrypted: Cinder restores it to "
                    f"its own volume type {old} only",
                    resource=resource.key,
                )
            )
    return obstacles


def _zones(kept: Mapping[Resource, Mapping[str, Any]], target: Target) -> list[Obstacle]:
    listed = target.cloud.api("cinder").get("/os-availability-zone")["availabilityZoneInfo"]
    known = {str(one["zoneName"]) for one in listed if one["zoneState"]["available"]}
    obstacles = []
    for resource, backup in kept.items():
        old = backup["volume"]["availability_zone"] if backup else ""
        new = target.mapping.get(old, old)
        if new and new not in known:
            obstacles.append(
                Obstacle(
                    f"there is no availability zone {new} for volumes",
                    f"--map {old}=OTHER-ZONE",
                    map_from=old,
                    resource=resource.key,
                )
            )
    return obstacles
