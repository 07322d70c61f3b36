"""Glance: images and their bytes."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from karbor_testing.openstack.cloud import Cloud, Record, need
from karbor_testing.openstack.exchange import Answer, Refusal, Request
from karbor_testing.openstack.service import TITLES, Part, Service, route, unauthorized
from karbor_testing.openstack.swift import ranged

OPERATORS_TAKEN = frozenset({"id", "name", "status", "container_format", "disk_format"})
"""Members in whose filters a colon ends an operator: `in:`, `eq:`, `neq:`."""

BASE = ("name", "status", "visibility", "owner", "checksum", "os_hash_algo", "os_hash_value",
        "os_hidden", "size", "virtual_size", "min_disk", "min_ram", "disk_format",
        "container_format", "protected", "created_at", "updated_at", "tags", "id")
SETTABLE = ("name", "visibility", "os_hidden", "min_disk", "min_ram", "disk_format",
            "container_format", "protected", "tags")


class Images(Part):
    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        cloud.on_populated.append(lambda projects: self._cirros(projects["admin"]))

    def _cirros(self, project: str) -> None:
        image = self.make({"name": "cirros", "disk_format": "qcow2", "container_format": "bare",
                           "visibility": "public"}, project)
        self.fill(image, b"cirros: the disk of a very small system")

    def make(self, wanted: dict[str, Any], project: str) -> Record:
        now = self.cloud.stamp(form="%Y-%m-%dT%H:%M:%SZ")
        known = {name: wanted[name] for name in (*SETTABLE, "id") if name in wanted}
        rest = {name: value for name, value in wanted.items() if name not in BASE}
        image = {"name": None, "status": "queued", "visibility": "shared", "owner": project,
                 "checksum": None, "os_hash_algo": None, "os_hash_value": None,
                 "os_hidden": False, "size": None, "virtual_size": None, "min_disk": 0,
                 "min_ram": 0, "disk_format": None, "container_format": None, "protected": False,
                 "created_at": now, "updated_at": now, "tags": [], **known, "properties": rest,
                 "_members": [], "_bytes": b"", "_public": known.get("visibility") == "public"}
        return self.cloud.add("glance.image", image, project)

    def fill(self, image: Record, body: bytes) -> None:
        """The image has its bytes now, and is active."""
        image.update(status="active", size=len(body), _bytes=body, os_hash_algo="sha512",
                     checksum=hashlib.md5(body, usedforsecurity=False).hexdigest(),
                     os_hash_value=hashlib.sha512(body).hexdigest(),
                     updated_at=self.cloud.stamp(form="%Y-%m-%dT%H:%M:%SZ"))

    def _image(self, request: Request, id: str, *, mine: bool = False) -> Record:
        image = self.own("glance.image", id, request, "No image found with ID")
        need(not mine or image["_project"] == request.project_id or request.admin, 403,
             f"Forbidding request, image {id} does not belong to the caller.")
        return image

    @route("GET", "/")
    @route("GET", "/versions")
    def versions(self, request: Request) -> Answer:
        found = [{"id": f"v2.{minor}", "status": "CURRENT" if minor == 17 else "SUPPORTED",
                  "links": [{"rel": "self", "href": f"{request.root}/v2/"}]}
                 for minor in (17, 16, 9, 0)]
        return Answer(300 if request.path == "/" else 200, {"versions": found})

    @route("POST", "/v2/images")
    def create(self, request: Request) -> Answer:
        mine = [one for one in self.cloud.kinds["glance.image"].values()
                if one["_project"] == request.project_id]
        need(not self.cloud.over_quota("glance.images", 1, len(mine)), 413,
             "Project is over a limit for image_count_total. ")
        wanted = request.json()
        need(wanted.get("id") not in self.cloud.kinds["glance.image"], 409,
             f"Image ID {wanted.get('id')} already exists!")
        need(wanted.get("visibility") != "public" or request.admin, 403,
             "You are not authorized to complete publicize_image action.")
        image = self.make(wanted, request.project_id)
        return Answer(201, self._view(image), {"Location": f"{request.root}/v2/images/"
                                                           f"{image['id']}"})

    @route("GET", "/v2/images")
    def listing(self, request: Request) -> Answer:
        hidden = request.one("os_hidden", "false").lower() == "true"
        found = [self._view(one) for one in reversed(self.visible("glance.image", request))
                 if one["os_hidden"] == hidden]
        for name, values in request.query.items():
            if name not in {"limit", "marker", "sort", "sort_key", "sort_dir", "member_status",
                            "os_hidden"} and (name, values[-1]) != ("visibility", "all"):
                found = [one for one in found if self._fits(one, name, values[-1])]
        marker = request.one("marker")
        ids = [one["id"] for one in found]
        need(not marker or marker in ids, 400, f"marker {marker} not found")
        found = found[ids.index(marker) + 1:] if marker else found
        limit = min(int(request.one("limit", "25")), self.cloud.settings.page_of("image"))
        body = {"images": found[:limit], "first": "/v2/images", "schema": "/v2/schemas/images"}
        if len(found) > limit:
            body["next"] = f"/v2/images?limit={limit}&marker={found[limit - 1]['id']}"
        return Answer(200, body)

    def _fits(self, image: dict[str, Any], name: str, wanted: str) -> bool:
        if name == "tag":
            return wanted in image["tags"]
        operator, colon, operand = wanted.partition(":")
        if name in OPERATORS_TAKEN and colon:
            need(operator in ("eq", "neq", "in"), 400,
                 f"Unable to filter by unknown operator '{operator}'.")
            if operator == "in":
                return str(image.get(name)) in operand.replace('"', "").split(",")
            return (str(image.get(name)) == operand) == (operator == "eq")
        return str(image.get(name)) == wanted

    @route("GET", "/v2/images/{id}")
    def show(self, request: Request, id: str) -> Answer:
        image = self._image(request, id)
        need(self.cloud.look(image), 404, f"No image found with ID {id}")
        return Answer(200, self._view(image))

    @route("PATCH", "/v2/images/{id}")
    def patch(self, request: Request, id: str) -> Answer:
        image = self._image(request, id, mine=True)
        try:
            changes = json.loads(request.body)
        except ValueError as error:
            raise Refusal(400, f"Malformed request body: {error}") from error
        for change in changes:
            name = change["path"].lstrip("/").replace("~1", "/").replace("~0", "~")
            where = image if name in BASE else image["properties"]
            need(name not in BASE or name in SETTABLE, 403, f"Attribute '{name}' is read-only.")
            need(change["op"] == "add" or name in where, 409,
                 f"Property {name} does not exist.")
            if change["op"] == "remove":
                del where[name]
            else:
                where[name] = change["value"]
        return Answer(200, self._view(image))

    @route("DELETE", "/v2/images/{id}")
    def delete(self, request: Request, id: str) -> Answer:
        image = self._image(request, id, mine=True)
        need(not image["protected"], 403,
             f"Image {id} is protected and cannot be deleted.")
        self.cloud.remove("glance.image", id)
        return Answer(204)

    @route("PUT", "/v2/images/{id}/file")
    def upload(self, request: Request, id: str) -> Answer:
        image = self._image(request, id, mine=True)
        need(image["status"] == "queued", 409,
             f"Image status transition from {image['status']} to saving is not allowed")
        need(request.headers.get("content-type") == "application/octet-stream", 415,
             "Unsupported Media Type")
        need(not request.partial, 400, "Error in store configuration or a broken connection")
        self.fill(image, request.body)
        return Answer(204)

    @route("GET", "/v2/images/{id}/file")
    def download(self, request: Request, id: str) -> Answer:
        image = self._image(request, id)
        if image["status"] == "queued":
            return Answer(204)
        need(image["status"] == "active", 404, f"Image {id} has no data yet")
        body, first, last = ranged(image["_bytes"], request.headers.get("range", ""))
        if last >= 0:
            return Answer(206, body, {"Content-Range":
                                      f"bytes {first}-{last}/{len(image['_bytes'])}"})
        return Answer(200, body, {"Content-Md5": image["checksum"], "Accept-Ranges": "bytes"})

    @route("PUT", "/v2/images/{id}/tags/{tag}")
    def tag(self, request: Request, id: str, tag: str) -> Answer:
        image = self._image(request, id, mine=True)
        image["tags"] = sorted({*image["tags"], tag})
        return Answer(204)

    @route("DELETE", "/v2/images/{id}/tags/{tag}")
    def untag(self, request: Request, id: str, tag: str) -> Answer:
        image = self._image(request, id, mine=True)
        need(tag in image["tags"], 404, f"Failed to find tag {tag}")
        image["tags"].remove(tag)
        return Answer(204)

    @route("GET", "/v2/images/{id}/members")
    def members(self, request: Request, id: str) -> Answer:
        image = self._shared(request, id, "list")
        return Answer(200, {"members": list(image["_members"]), "schema": "/v2/schemas/members"})

    @route("POST", "/v2/images/{id}/members")
    def share(self, request: Request, id: str) -> Answer:
        """It is written down only: the other project does not come to see the image."""
        image = self._shared(request, id, "create")
        project = request.json().get("member")
        need(project, 400, "Member to be added not specified")
        need(project not in [one["member_id"] for one in image["_members"]], 409,
             f"The target member {project} is already associated with image {id}.")
        now = self.cloud.stamp(form="%Y-%m-%dT%H:%M:%SZ")
        member = {"member_id": project, "image_id": id, "status": "pending", "created_at": now,
                  "updated_at": now, "schema": "/v2/schemas/member"}
        image["_members"].append(member)
        return Answer(200, member)

    def _shared(self, request: Request, id: str, doing: str) -> Record:
        image = self._image(request, id)
        need(image["visibility"] == "shared", 403,
             f"Not allowed to {doing} members for image {id}: Only shared images have members.")
        return image

    @route("GET", "/v2/schemas/{name}")
    def schema(self, _request: Request, name: str) -> Answer:
        return Answer(200, {"name": name, "properties": {one: {} for one in BASE},
                            "additionalProperties": {"type": "string"}, "links": []})

    @route("GET", "/v2/info/usage")
    def usage(self, request: Request) -> Answer:
        mine = [one for one in self.cloud.kinds["glance.image"].values()
                if one["_project"] == request.project_id]
        limit = self.cloud.settings.quotas.get("glance.images", -1)
        return Answer(200, {"usage": {"image_count_total": {"limit": limit, "usage": len(mine)}}})

    @route("GET", "/v2/info/import")
    def imports(self, _request: Request) -> Answer:
        return Answer(200, {"import-methods": {"type": "array", "value": ["glance-direct"]}})

    def _view(self, image: Record) -> dict[str, Any]:
        return {**image["properties"], **{name: image[name] for name in BASE},
                "self": f"/v2/images/{image['id']}", "file": f"/v2/images/{image['id']}/file",
                "schema": "/v2/schemas/image"}


class Glance(Service):
    name = "image"
    types = ("image",)
    open = ("/", "/versions/?")
    parts = (Images,)

    def refused(self, request: Request, refusal: Refusal) -> Answer:
        if refusal.status == 401:
            return unauthorized(self.cloud.root, refusal.message)
        title = TITLES.get(refusal.status, "Error")
        if "json" in request.headers.get("accept", ""):
            return Answer(refusal.status, {"message": f"{refusal.message}<br /><br />\n\n\n",
                                           "code": f"{refusal.status} {title}", "title": title})
        text = (f"<html><head><title>{refusal.status} {title}</title></head><body><h1>"
                f"{refusal.status} {title}</h1>{refusal.message}<br /><br /></body></html>")
        return Answer(refusal.status, text.encode(), {"Content-Type": "text/html; charset=UTF-8"})
