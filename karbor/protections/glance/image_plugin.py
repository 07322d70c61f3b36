"""OS::Glance::Image: images, and servers' own disks, as bytes in the bank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from karbor.domain.errors import CloudError, CloudNotFound
from karbor.domain.resource import IMAGE, SERVER, Resource
from karbor.domain.step import Hook
from karbor.plugin.cloud import Cloud
from karbor.plugin.protection import Obstacle, Protection, Stages, Target
from karbor.plugin.volume_backed import data_elsewhere, named
from karbor.protections.cached_lists import standing
from karbor.protections.glance.data import COMING, Bytes, Disk, ReadBack
from karbor.protections.glance.metadata import signed
from karbor.protections.glance.restore import Image, new_name
from karbor.protections.option_schemas import schema, text

MIB = 1024 ** 2

_CANNOT = {             # states of a server of whose disk Nova makes no image, and what helps
    "BUILD": "wait until it is built", "ERROR": "repair the server",
    "SHELVED": "unshelve it", "SHELVED_OFFLOADED": "unshelve it",
    "VERIFY_RESIZE": "confirm or revert the resize", "RESIZE": "wait for the resize",
    "RESCUE": "unrescue it", "DELETED": "leave it out", "SOFT_DELETED": "restore it, or leave it "
    "out", "UNKNOWN": "its compute cell does not answer: try later"}


class ImageProtection(Protection):
    """Keeps the bytes and properties of an image. A resource `within` a server is that server's
    own disk: Nova makes an image of it together with the other snapshots of the operation, which
    is removed again when its bytes are in the bank.

    A restore makes a new image: `work.saved("image", resource)["id"]`. That of a disk stays after
    the server was built from it, under the name "SERVER disk (restored)": Nova needs it to rebuild
    or migrate the server, and it may be deleted with the server.
    """

    types: ClassVar[frozenset[str]] = frozenset({IMAGE})

    def protect(self, resource: Resource) -> Stages:
        if resource.within:
            return {Hook.PREPARE_FINISH: [Disk()], Hook.MAIN: [Bytes()]}
        return {Hook.MAIN: [Bytes()]}

    def restore(self, resource: Resource) -> Stages:
        return {Hook.MAIN: [Image()]}

    def verify(self, resource: Resource) -> Stages:
        return {Hook.VERIFY: [ReadBack()]}

    def stored_bytes(self, resource: Resource) -> int | None:
        """Return the size of an image in bytes; that of a server's disk is known when Nova has made
        an image of it."""
        size = None if resource.within else resource.facts.get("size")
        return int(size) if size is not None else None

    def protect_obstacles(self, resources: Sequence[Resource], cloud: Cloud) -> Sequence[Obstacle]:
        obstacles = []
        for resource in resources:
            state = str(resource.facts.get("server_status" if resource.within else "status", ""))
            if resource.within and state in _CANNOT:
                obstacles.append(
                    Obstacle(
                        f"no image of {resource.name} can be made while its server is {state}",
                        _CANNOT[state],
                        resource=resource.key,
                    )
                )
            elif not resource.within and (elsewhere := resource.facts.get("elsewhere")):
                obstacles.append(Obstacle(
                    f"image {resource.name or resource.id} has no data: it boots from "
                    f"{named(elsewhere)} in Cinder, which would not be kept",
                    "protect the server or the volume that it was made of, or leave it out",
                    resource=resource.key))
            elif not resource.within and state == "queued":
                obstacles.append(
                    Obstacle(
                        f"image {resource.name or resource.id} is queued: it has no data, and "
                        "nobody is sending any",
                        "upload its data, or leave it out",
                        resource=resource.key,
                    )
                )
            elif not resource.within and state not in ("active", *COMING):
                obstacles.append(Obstacle(f"image {resource.name or resource.id} is {state}",
                                          "activate it, or leave it out", resource=resource.key))
        disks = sum(1 for resource in resources if resource.within)
        return obstacles + _quota(cloud, count=disks, size=0)

    def held_by(self, resource: Resource) -> str:
        return ""      # The vault's stream and a record of the properties.

    def restore_obstacles(self, resources: Sequence[Resource], target: Target
                          ) -> Sequence[Obstacle]:
        kept = {resource: target.kept("bytes", resource) for resource in resources
                if not _no_disk(resource, target)}
        obstacles = _without_data(kept, target.cloud)
        obstacles += [
            Obstacle(
                f"the checkpoint has no bytes of {resource.name or resource.id}",
                resource=resource.key,
            )
            for resource, bytes in kept.items()
            if not bytes
        ]
        obstacles += _formats(kept, target.cloud)
        size = sum(int(one["size"]) for one in kept.values() if one)
        return obstacles + _quota(target.cloud, count=len(kept), size=size)

    def restore_preview(self, resource: Resource, target: Target) -> Sequence[str]:
        if _no_disk(resource, target):
            return []       # what it boots from is a volume of its own
        kept = target.kept("bytes", resource)
        name = new_name(resource, target.graph, kept["image"], target.parameters(resource))
        stays = ", which stays as long as the server needs it" if resource.within else ""
        return [f"create image {name or 'without a name'} ({kept['size']} bytes){stays}",
                *_signature(kept["image"], target.cloud)]

    def options_schema(self, verb: str) -> Mapping[str, Any]:
        properties: dict[str, Any] = {}
        if verb == "protect":
            properties["backup_name"] = text("of the image that Nova makes of a server's disk, "
                                             "while it is being kept")
        elif verb == "restore":
            properties["restore_name"] = text("of the new image; else that of the old one")
        return schema(properties)


def _formats(kept: Mapping[Resource, Mapping[str, Any]], cloud: Cloud) -> list[Obstacle]:
    """Return why an image's formats are refused, by Glance's schema, which lists those that it
    takes here."""
    try:
        schema = cloud.api("glance").get("/schemas/image")["properties"]
    except CloudNotFound:
        return []
    obstacles = []
    for field in ("disk_format", "container_format"):
        known = schema.get(field, {}).get("enum")
        for resource, bytes in kept.items():
            value = bytes["image"].get(field) if bytes else None
            if known and value and value not in known:
                obstacles.append(
                    Obstacle(
                        f"image {resource.name or resource.id} has the {field} {value}, which "
                        "Glance does not take here",
                        "ask the cloud's operator to allow it",
                        resource=resource.key,
                    )
                )
    return obstacles


def _signature(record: Mapping[str, Any], cloud: Cloud) -> list[str]:
    """Return what becomes of an image's signature. Glance reads the certificate as the user does
    who uploads the bytes."""
    properties = record.get("properties", {})
    if not signed(properties):
        return []
    certificate = properties["img_signature_certificate_uuid"]
    try:
        cloud.api("barbican").get(f"/secrets/{certificate}")
    except CloudError as error:
        why = f"certificate {certificate} cannot be read: {error.message}"
        return [f"its signature cannot be verified by Glance and is put back unverified: {why}"]
    return ["its signature is verified by Glance"]


def _no_disk(resource: Resource, target: Target) -> bool:
    """Return whether the server whose disk it was to be boots from a volume."""
    key = f"{SERVER}#{resource.within}"
    return bool(resource.within and key in target.graph
                and target.kept("server", target.graph[key]).get("boot") == "volume")


def _without_data(kept: Mapping[Resource, Mapping[str, Any]], cloud: Cloud) -> list[Obstacle]:
    """Return obstacles for images that an earlier Karbor kept although they had no data, and whose
    snapshots in Cinder are not there any more: what is made of them boots nowhere."""
    without = {resource: elsewhere for resource, bytes in kept.items()
               if bytes and (elsewhere := data_elsewhere(bytes["image"].get("properties", {})))}
    states = standing(cloud, "cinder", "snapshot", (
        id for elsewhere in without.values() for kind, id in elsewhere if kind == "snapshot"))
    return [
        Obstacle(
            f"the checkpoint has no data of image {resource.name or resource.id}, and {kind} {id}, "
            "which it boots from, is not there",
            "restore the volumes of the server that it was made of",
            resource=resource.key,
        )
        for resource, elsewhere in without.items()
        for kind, id in elsewhere
        if kind != "snapshot" or states[id] != "available"
    ]


def _quota(cloud: Cloud, *, count: int, size: int) -> list[Obstacle]:
    """Return what the image quota lacks. Glance tells users their limits (since 2.13 of its API)
    where the cloud has set any."""
    if not count:
        return []
    try:
        usage: Mapping[str, Any] = cloud.api("glance").get("/info/usage").get("usage", {})
    except CloudNotFound:
        return []
    obstacles = []
    for name, more, unit in (("image_count_total", count, "images"),
                             ("image_size_total", -(-size // MIB), "MiB")):
        one = usage.get(name)
        if one and int(one["limit"]) >= 0 and int(one["limit"]) - int(one["usage"]) < more:
            obstacles.append(Obstacle(
                f"Glance's {name} has {int(one['limit']) - int(one['usage'])} {unit} left of "
                f"{one['limit']}, and {more} are needed", "delete images, or ask the cloud's "
                "operator for more"))
    return obstacles
