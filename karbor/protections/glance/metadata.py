"""What of an image is kept, and what of it may be given to a new one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from karbor.domain.errors import CloudForbidden, CloudNotFound
from karbor.plugin.cloud import Cloud

MARK = "karbor_mark"

_FIELDS = ("disk_format", "container_format", "min_disk", "min_ram", "visibility", "protected",
           "os_hidden")

_OWN = frozenset({              # of this very record: Glance gives the new one others
    "id", "name", "tags", "owner", "status", "size", "virtual_size", "checksum", "os_hash_algo",
    "os_hash_value", "created_at", "updated_at", "self", "file", "schema", "direct_url",
    "locations", "stores", *_FIELDS})

_OF_THE_SNAPSHOT = frozenset({  # Nova writes them about where a server's image came from
    "instance_uuid", "instance_owner", "user_id", "owner_id", "owner_user_name",
    "owner_project_name", "image_type", "image_location", "image_state", "base_image_ref",
    "boot_roles"})

SIGNATURE = frozenset({         # with all of them Glance verifies the bytes that are uploaded
    "img_signature", "img_signature_hash_method", "img_signature_key_type",
    "img_signature_certificate_uuid"})

_DANGEROUS = frozenset({        # a copy that says so would delete the original's key with itself
    "cinder_encryption_key_deletion_policy"})


def describe(image: Mapping[str, Any], *, disk: bool) -> dict[str, Any]:
    """Return everything about an image that a new one shall have as well; `disk`: it was made by
    Nova from a server, and what is true of that making only is left out."""
    # the signature of a server's base image is not that of its disk
    drop = _OWN | _DANGEROUS | {MARK} | (_OF_THE_SNAPSHOT | SIGNATURE if disk else frozenset())
    properties = {key: value for key, value in image.items()
                  if key not in drop and not key.startswith("os_glance_") and value is not None}
    return {**{field: image.get(field) for field in _FIELDS},
            "name": image.get("name") or "", "tags": sorted(image.get("tags") or ()),
            "properties": properties}


def body(record: Mapping[str, Any], name: str, mark: str) -> dict[str, Any]:
    """Return the request that makes an image like it, private, without protection, bearing the
    mark. One property waits until the mark has gone: an image may have only so many of them."""
    properties = dict(record["properties"])
    properties.pop(waiting(properties), None)
    made = {**properties, "name": name, "tags": list(record["tags"]),
            "visibility": "private", MARK: mark}
    for field in ("disk_format", "container_format", "min_disk", "min_ram", "os_hidden"):
        if record.get(field) is not None:
            made[field] = record[field]
    return made


def waiting(properties: Mapping[str, str]) -> str:
    """Return the property in whose place the mark is; "" when there is none to wait. A signature
    must be there when the bytes come."""
    return max((name for name in properties if name not in SIGNATURE), default="")


def signed(record: Mapping[str, Any]) -> bool:
    """Return whether Glance verifies a signature when it gets the bytes (of a record, or an
    image as Glance shows it)."""
    return record.keys() >= SIGNATURE


def not_kept(image: Mapping[str, Any], cloud: Cloud) -> list[dict[str, str]]:
    """Return what is not kept: the projects that the image is shared with. A new image will be
    shared with none of them. Glance is asked only where there can be any, and shows all to the
    owner only."""
    if image.get("visibility") != "shared" or image.get("owner") != cloud.project_id:
        return []
    try:
        listed = cloud.api("glance").get(f"/images/{image['id']}/members")["members"]
    except (CloudForbidden, CloudNotFound) as error:     # by policy, or no longer shared
        return [{"field": "members", "why": f"they cannot be read: {error.message}"}]
    if not listed:
        return []
    projects = ", ".join(sorted(str(one["member_id"]) for one in listed))
    return [{"field": "members", "why": "a restored image is shared with no project; this one is "
                                        f"with {projects}"}]


def checksums(image: Mapping[str, Any]) -> dict[str, str]:
    """Return the checksums that Glance computed of the bytes, by hashlib's names."""
    found = {}
    if image.get("os_hash_algo") and image.get("os_hash_value"):
        found[str(image["os_hash_algo"])] = str(image["os_hash_value"])
    if image.get("checksum"):
        found["md5"] = str(image["checksum"])
    return found


def strongest(found: Mapping[str, str]) -> dict[str, str]:
    """Return the one of Glance's checksums that is compared while the bytes come: MD5 only where
    there is no other, since each costs a pass over every byte."""
    names = [name for name in found if name != "md5"] or list(found)
    return {name: found[name] for name in names[:1]}
