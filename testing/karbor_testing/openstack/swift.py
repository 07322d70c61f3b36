"""Swift: containers and objects, as much as banks and the checking of backups need."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import unquote

from karbor_testing.openstack.cloud import Record, need
from karbor_testing.openstack.exchange import Answer, Refusal, Request
from karbor_testing.openstack.service import Part, Service, route

PAGE = 10000


class Objects(Part):
    def put(self, project: str, container: str, name: str, body: bytes,
            meta: dict[str, str] | None = None, *,
            kind: str = "application/octet-stream") -> Record:
        """Store an object (the container is made if need be); `kind` is its content type."""
        self._make(project, container)
        id = f"{project}/{container}/{name}"
        self.cloud.kinds["swift.object"].pop(id, None)
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        return self.cloud.add("swift.object", {"id": id, "name": name, "container": container,
                                               "etag": etag, "_bytes": body, "meta": meta or {},
                                               "content_type": kind,
                                               "last_modified": self.cloud.stamp()}, project)

    def delete(self, project: str, container: str, name: str) -> None:
        self.cloud.remove("swift.object", f"{project}/{container}/{name}")

    def _make(self, project: str, container: str) -> bool:
        id = f"{project}/{container}"
        if id in self.cloud.kinds["swift.container"]:
            return False
        self.cloud.add("swift.container", {"id": id, "name": container}, project)
        return True

    def _in(self, project: str, container: str) -> list[Record]:
        return sorted((one for one in self.cloud.kinds["swift.object"].values()
                       if one["_project"] == project and one["container"] == container),
                      key=lambda one: str(one["name"]))

    def _account(self, request: Request, account: str) -> str:
        """The project whose account it is. Who has no role that may write there may read."""
        project = account.removeprefix("AUTH_")
        mine = project == request.project_id or request.admin
        reads = request.method in {"GET", "HEAD"}
        need(mine, 403, "Access was denied to this resource.")
        need(reads or {"member", "admin"} & set(request.token.get("roles", ())),
             401 if self._rgw else 403, "Access was denied to this resource.")
        return project

    @property
    def _rgw(self) -> bool:
        return self.cloud.settings.object_store == "rgw"

    def _container(self, project: str, container: str) -> Record:
        found = self.cloud.kinds["swift.container"].get(f"{project}/{container}")
        if found is None:
            raise Refusal(404, "The resource could not be found.")
        return found

    @route("GET", "/info")
    def info(self, _request: Request) -> Answer:
        return Answer(200, {"swift": {"version": "2.38.0", "max_file_size": 5368709122,
                                      "container_listing_limit": PAGE,
                                      "account_listing_limit": PAGE},
                            "bulk_delete": {"max_deletes_per_request": 10000}})

    @route("GET", "/v1/{account}")
    @route("HEAD", "/v1/{account}")
    def account(self, request: Request, account: str) -> Answer:
        project = self._account(request, account)
        names = [one for one in self.cloud.kinds["swift.container"].values()
                 if one["_project"] == project]
        body = [self._usage(name, project) for name in sorted(names, key=lambda one: one["name"])]
        return Answer(200, self._page(body, request),
                      {"X-Account-Container-Count": str(len(names))})

    @route("POST", "/v1/{account}")
    def bulk(self, request: Request, account: str) -> Answer:
        """Bulk delete: names of objects and containers, a line each."""
        project = self._account(request, account)
        need("bulk-delete" in request.query, 404, "The resource could not be found.")
        deleted = missing = 0
        for line in request.body.decode().splitlines():
            container, _, name = line.strip().lstrip("/").partition("/")
            id = f"{project}/{container}/{name}"
            kind = "swift.object" if name else "swift.container"
            if (id if name else f"{project}/{container}") in self.cloud.kinds[kind]:
                self.cloud.remove(kind, id if name else f"{project}/{container}")
                deleted += 1
            else:
                missing += 1
        return Answer(200, {"Number Deleted": deleted, "Number Not Found": missing, "Errors": [],
                            "Response Status": "200 OK", "Response Body": ""})

    @route("PUT", "/v1/{account}/{container}")
    def create(self, request: Request, account: str, container: str) -> Answer:
        made = self._make(self._account(request, account), container)
        return Answer(201 if made else 202)

    @route("DELETE", "/v1/{account}/{container}")
    def drop(self, request: Request, account: str, container: str) -> Answer:
        project = self._account(request, account)
        self._container(project, container)
        need(not self._in(project, container), 409, "There was a conflict.")
        self.cloud.remove("swift.container", f"{project}/{container}")
        return Answer(204)

    @route("GET", "/v1/{account}/{container}")
    @route("HEAD", "/v1/{account}/{container}")
    def listing(self, request: Request, account: str, container: str) -> Answer:
        project = self._account(request, account)
        usage = self._usage(self._container(project, container), project)
        headers = {"X-Container-Object-Count": str(usage["count"]),
                   "X-Container-Bytes-Used": str(usage["bytes"])}
        if request.method == "HEAD":
            return Answer(204, None, headers)
        found = [{"name": one["name"], "bytes": len(one["_bytes"]), "hash": one["etag"],
                  "last_modified": one["last_modified"],
                  **({"content_type": one["content_type"]} if one["content_type"] else {})}
                 for one in self._in(project, container)]
        return Answer(200, self._page(found, request), headers)

    @route("PUT", "/v1/{account}/{container}/{name+}")
    def upload(self, request: Request, account: str, container: str, name: str) -> Answer:
        project = self._account(request, account)
        self._container(project, container)
        need(not request.partial, 499, "Client Disconnect")
        body = request.body
        if source := unquote(request.headers.get("x-copy-from", "")).lstrip("/"):
            copied = self.cloud.kinds["swift.object"].get(f"{project}/{source}")
            need(copied is not None, 404, "The resource could not be found.")
            assert copied is not None
            body = bytes(copied["_bytes"])
        wanted = request.headers.get("etag", "").strip('"')
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        need(wanted in {"", etag}, 422, "Unprocessable Entity")
        absent = request.headers.get("if-none-match") == "*" and not self._rgw
        need(not absent or f"{project}/{container}/{name}" not in self.cloud.kinds["swift.object"],
             412, "A precondition for this request was not met.")
        meta = {key: value for key, value in request.headers.items()
                if key.startswith("x-object-meta-")}
        kind = request.headers.get("content-type") or (
            "" if self._rgw else "application/octet-stream")
        stored = self.put(project, container, name, body, meta, kind=kind)
        return Answer(201, None, {"Etag": stored["etag"]})

    @route("GET", "/v1/{account}/{container}/{name+}")
    @route("HEAD", "/v1/{account}/{container}/{name+}")
    def download(self, request: Request, account: str, container: str, name: str) -> Answer:
        stored = self._object(request, account, container, name)
        body, first, last = ranged(stored["_bytes"], request.headers.get("range", ""))
        headers = {"Etag": stored["etag"], "Accept-Ranges": "bytes", **stored["meta"],
                   "Content-Type": stored["content_type"] or "binary/octet-stream"}
        if last < 0:
            return Answer(200, body, headers)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(stored['_bytes'])}"
        return Answer(206, body, headers)

    @route("DELETE", "/v1/{account}/{container}/{name+}")
    def remove(self, request: Request, account: str, container: str, name: str) -> Answer:
        stored = self._object(request, account, container, name)
        self.cloud.remove("swift.object", stored["id"])
        return Answer(204)

    def _object(self, request: Request, account: str, container: str, name: str) -> Record:
        project = self._account(request, account)
        found = self.cloud.kinds["swift.object"].get(f"{project}/{container}/{name}")
        if found is None:
            raise Refusal(404, "The resource could not be found.")
        return found

    def _usage(self, container: Record, project: str) -> dict[str, Any]:
        held = self._in(project, container["name"])
        return {"name": container["name"], "count": len(held),
                "bytes": sum(len(one["_bytes"]) for one in held)}

    def _page(self, found: list[dict[str, Any]], request: Request) -> Any:
        prefix, marker = request.one("prefix"), request.one("marker")
        limit = min(int(request.one("limit", str(PAGE))),
                    self.cloud.settings.page_of("object-store"))
        delimiter = request.one("delimiter")
        kept: dict[str, dict[str, Any]] = {}
        for one in found:
            name = str(one["name"])
            if name.startswith(prefix) and name > marker:
                head, cut, _ = name[len(prefix):].partition(delimiter or "\0")
                if not cut:
                    kept[name] = one
                elif prefix + head + cut > marker:
                    kept[prefix + head + cut] = {"subdir": prefix + head + cut}
        names = list(kept)[:limit]
        if request.one("format") == "json" or "json" in request.headers.get("accept", ""):
            return [kept[name] for name in names]
        return "".join(f"{name}\n" for name in names).encode()


def ranged(body: bytes, wanted: str) -> tuple[bytes, int, int]:
    """The part of the body that a Range header asks for, its first and its last byte; (body, 0,
    -1) when it asks for none. Raises Refusal(416)."""
    if not wanted.startswith("bytes="):
        return body, 0, -1
    start, _, end = wanted.removeprefix("bytes=").partition("-")
    first = int(start) if start else max(0, len(body) - int(end))
    last = min(int(end), len(body) - 1) if start and end else len(body) - 1
    need(first <= last, 416, "Requested range not satisfiable")
    return body[first:last + 1], first, last


class Swift(Service):
    name = "object-store"
    types = ("object-store",)
    suffix = "/v1/AUTH_%(project_id)s"
    open = ("/info",)
    parts = (Objects,)

    def refused(self, request: Request, refusal: Refusal) -> Answer:
        text = f"<html><h1>{refusal.status}</h1><p>{refusal.message}</p></html>"
        return Answer(refusal.status, text.encode(), {"Content-Type": "text/html; charset=UTF-8"})

