"""Manila: shares, their snapshots, who may mount them, and what a project may use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from karbor_testing.openstack.cloud import Cloud, Record, need
from karbor_testing.openstack.exchange import Answer, Refusal, Request
from karbor_testing.openstack.service import Part, Service, faultname, route, shown, unauthorized

NEWEST = 99
METADATA = 73       # of snapshots

SHARE = ("id", "size", "availability_zone", "created_at", "status", "name", "description",
         "project_id", "snapshot_id", "share_network_id", "share_proto", "metadata", "share_type",
         "share_type_name", "is_public", "snapshot_support", "create_share_from_snapshot_support",
         "has_replicas", "share_group_id", "access_rules_status")
SNAPSHOT = ("id", "share_id", "share_size", "created_at", "status", "name", "description", "size",
            "share_proto", "user_id", "project_id")
RULE = ("id", "access_type", "access_to", "access_level", "access_key", "state", "metadata")


def microversion(request: Request) -> int:
    """The minor number asked for: `X-OpenStack-Manila-API-Version: 2.73` is 73."""
    asked = request.headers.get("x-openstack-manila-api-version", "2.0")
    return int(asked.partition(".")[2] or 0)


class Shares(Part):
    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        cloud.on_populated.append(self.populate)

    def populate(self, projects: Mapping[str, str]) -> None:
        for name, able in (("default", True), ("plain", False)):
            self.cloud.add("manila.type", {"name": name, "_able": able, "_public": True},
                           projects["admin"])

    @route("POST", "/v2/shares")
    def create(self, request: Request) -> Answer:
        wanted = request.member("share")
        source = self._source(wanted, request)
        size = int(wanted["size"])
        need(source is None or size >= source["size"], 400,
             f"Share size '{size}' must be equal or greater than snapshot size.")
        kind = self._type(wanted.get("share_type") or (source or {}).get("_type") or "default")
        self._quota(request, size)
        share = self.cloud.add("manila.share", {
            "size": size, "availability_zone": "nova", "created_at": self.cloud.stamp(),
            "status": "creating_from_snapshot" if source else "creating",
            "name": wanted.get("name"), "description": wanted.get("description"),
            "project_id": request.project_id, "snapshot_id": wanted.get("snapshot_id"),
            "share_network_id": wanted.get("share_network_id"),
            "share_proto": wanted["share_proto"].upper(),
            "metadata": dict(wanted.get("metadata") or {}), "share_type": kind["id"],
            "share_type_name": kind["name"], "is_public": bool(wanted.get("is_public")),
            "snapshot_support": kind["_able"],
            "create_share_from_snapshot_support": kind["_able"], "has_replicas": False,
            "share_group_id": None, "access_rules_status": "active",
            "_bytes": source["_bytes"] if source else b""}, request.project_id)
        self.cloud.change("manila.share", [share], lambda: share.update(status="available"))
        return Answer(200, {"share": shown(share, SHARE)})

    def _source(self, wanted: Mapping[str, Any], request: Request) -> Record | None:
        if not wanted.get("snapshot_id"):
            return None
        snapshot = self.own("manila.snapshot", str(wanted["snapshot_id"]), request, "Snapshot")
        need(snapshot["status"] == "available", 400,
             "Invalid share snapshot: status must be 'available'.")
        parent = self.own("manila.share", snapshot["share_id"], request, "Share")
        need(parent["create_share_from_snapshot_support"], 400,
             f"A new share may not be created from snapshot '{snapshot['id']}', because the "
             "snapshot's parent share does not have that capability.")
        return snapshot

    def _type(self, name: str) -> Record:
        for one in self.cloud.kinds["manila.type"].values():
            if name in (one["id"], one["name"]):
                return one
        raise Refusal(404, "Share type not found.")

    def _quota(self, request: Request, size: int) -> None:
        mine = [one for one in self.cloud.kinds["manila.share"].values()
                if one["_project"] == request.project_id]
        if self.cloud.over_quota("manila.shares", 1, len(mine)):
            raise Refusal(413, "ShareLimitExceeded: Maximum number of shares allowed exceeded.")
        if self.cloud.over_quota("manila.gigabytes", size, sum(one["size"] for one in mine)):
            raise Refusal(413, "ShareSizeExceedsAvailableQuota: Requested share exceeds allowed "
                               "gigabytes quota.")

    @route("GET", "/v2/shares/detail")
    def listing(self, request: Request) -> Answer:
        found = [shown(one, SHARE) for one in self.visible("manila.share", request)]
        return Answer(200, {"shares": found})

    @route("GET", "/v2/shares/{id}")
    def show(self, request: Request, id: str) -> Answer:
        share = self.own("manila.share", id, request, "Share")
        need(self.cloud.look(share), 404, f"Share {id} could not be found.")
        return Answer(200, {"share": shown(share, SHARE)})

    @route("PUT", "/v2/shares/{id}")
    def update(self, request: Request, id: str) -> Answer:
        share = self.own("manila.share", id, request, "Share")
        wanted = request.member("share")
        need(not wanted.get("is_public") or request.admin, 403,
             "Policy doesn't allow share:set_public_share to be performed.")
        names = {"display_name": "name", "display_description": "description",
                 "is_public": "is_public"}
        share.update({names[name]: value for name, value in wanted.items() if name in names})
        return Answer(200, {"share": shown(share, SHARE)})

    @route("PUT", "/v2/shares/{id}/metadata")
    def metadata(self, request: Request, id: str) -> Answer:
        share = self.own("manila.share", id, request, "Share")
        share["metadata"] = request.member("metadata")
        return Answer(200, {"metadata": share["metadata"]})

    @route("DELETE", "/v2/shares/{id}")
    def delete(self, request: Request, id: str) -> Answer:
        share = self.own("manila.share", id, request, "Share")
        need(share["status"] in {"available", "error", "inactive"}, 403, "Invalid share: Share "
             "status must be one of ('available', 'error', 'inactive').")
        need(not any(one["share_id"] == id for one in self.cloud.kinds["manila.snapshot"].values()),
             403, "Invalid share: Share still has 1 dependent snapshots.")
        share["status"] = "deleting"

        def done() -> None:
            for one in [one for one in self.cloud.kinds["manila.rule"].values()
                        if one["_share"] == id]:
                self.cloud.remove("manila.rule", one["id"])
            self.cloud.remove("manila.share", id)

        self.cloud.change("manila.share.delete", [share], done)
        return Answer(202)

    @route("POST", "/v2/shares/{id}/action")
    def action(self, request: Request, id: str) -> Answer:
        share = self.own("manila.share", id, request, "Share")
        wanted = request.member("allow_access")
        need(share["status"] == "available", 400, f"Share {id} is {share['status']}.")
        need(not any(one["_share"] == id and one["access_to"] == wanted["access_to"]
                     for one in self.cloud.kinds["manila.rule"].values()), 400,
             f"Share access {wanted['access_type']}:{wanted['access_to']} exists.")
        rule = self.cloud.add("manila.rule", {
            "access_type": wanted["access_type"], "access_to": wanted["access_to"],
            "access_level": wanted.get("access_level") or "rw", "access_key": None,
            "state": "queued_to_apply", "metadata": dict(wanted.get("metadata") or {}),
            "_share": id}, request.project_id)
        self.cloud.change("manila.rule", [rule], lambda: rule.update(state="active"),
                          lambda status, _reason: rule.update(state=status))
        return Answer(200, {"access": shown(rule, RULE)})

    @route("GET", "/v2/share-access-rules")
    def rules(self, request: Request) -> Answer:
        share = self.own("manila.share", request.one("share_id"), request, "Share")
        found = [one for one in self.cloud.kinds["manila.rule"].values()
                 if one["_share"] == share["id"] and self.cloud.look(one)]
        return Answer(200, {"access_list": [shown(one, RULE) for one in found]})


class Snapshots(Part):
    @route("POST", "/v2/snapshots")
    def create(self, request: Request) -> Answer:
        wanted = request.member("snapshot")
        share = self.own("manila.share", str(wanted.get("share_id")), request, "Share")
        need(share["snapshot_support"], 422, f"Snapshots cannot be created for share "
             f"'{share['id']}' since it does not have that capability.")
        need(share["status"] == "available", 400,
             "Invalid share: Source share status must be available.")
        mine = [one for one in self.cloud.kinds["manila.snapshot"].values()
                if one["_project"] == request.project_id]
        if self.cloud.over_quota("manila.snapshots", 1, len(mine)):
            raise Refusal(413, "SnapshotLimitExceeded: Maximum number of snapshots allowed "
                               "exceeded.")
        able = microversion(request) >= METADATA
        snapshot = self.cloud.add("manila.snapshot", {
            "share_id": share["id"], "share_size": share["size"], "size": share["size"],
            "created_at": self.cloud.stamp(), "status": "creating", "name": wanted.get("name"),
            "description": wanted.get("description"), "share_proto": share["share_proto"],
            "user_id": request.user_id, "project_id": request.project_id,
            "metadata": dict(wanted.get("metadata") or {}) if able else {},
            "_type": share["share_type"], "_bytes": bytes(share["_bytes"])}, request.project_id)
        self.cloud.change("manila.snapshot", [snapshot],
                          lambda: snapshot.update(status="available"))
        return Answer(202, {"snapshot": self._view(snapshot, request)})

    @route("GET", "/v2/snapshots/detail")
    def listing(self, request: Request) -> Answer:
        found = [self._view(one, request) for one in self.visible("manila.snapshot", request)
                 if request.one("share_id", one["share_id"]) == one["share_id"]]
        return Answer(200, {"snapshots": found})

    @route("GET", "/v2/snapshots/{id}")
    def show(self, request: Request, id: str) -> Answer:
        snapshot = self.own("manila.snapshot", id, request, "Share snapshot")
        need(self.cloud.look(snapshot), 404, f"Share snapshot {id} could not be found.")
        return Answer(200, {"snapshot": self._view(snapshot, request)})

    @route("DELETE", "/v2/snapshots/{id}")
    def delete(self, request: Request, id: str) -> Answer:
        snapshot = self.own("manila.snapshot", id, request, "Share snapshot")
        need(snapshot["status"] in {"available", "error"}, 400,
             "Invalid share snapshot: Share Snapshot status must be one of available, error.")
        snapshot["status"] = "deleting"
        self.cloud.change("manila.snapshot.delete", [snapshot],
                          lambda: self.cloud.remove("manila.snapshot", id))
        return Answer(202)

    @staticmethod
    def _view(snapshot: Record, request: Request) -> dict[str, Any]:
        metadata = {"metadata": snapshot["metadata"]} if microversion(request) >= METADATA else {}
        return shown(snapshot, SNAPSHOT) | metadata


class Allowances(Part):
    """Quotas and versions."""

    @route("GET", "/v2")
    def versions(self, request: Request) -> Answer:
        return Answer(200, {"versions": [{
            "id": "v2.0", "status": "CURRENT", "version": f"2.{NEWEST}", "min_version": "2.0",
            "links": [{"rel": "self", "href": f"{request.root}/v2/"}]}]})

    @route("GET", "/v2/quota-sets/{project}/detail")
    def quotas(self, request: Request, project: str) -> Answer:
        need(project == request.project_id or request.admin, 403,
             "Policy doesn't allow quota_set:show to be performed.")
        shares, snapshots = ([one for one in self.cloud.kinds[kind].values()
                              if one["_project"] == project]
                             for kind in ("manila.share", "manila.snapshot"))
        used = {"shares": len(shares), "gigabytes": sum(share["size"] for share in shares),
                "snapshots": len(snapshots),
                "snapshot_gigabytes": sum(snapshot["size"] for snapshot in snapshots)}
        limit = self.cloud.settings.quotas.get
        return Answer(200, {"quota_set": {"id": project, **{
            name: {"limit": limit(f"manila.{name}", -1), "in_use": count, "reserved": 0}
            for name, count in used.items()}}})


class Manila(Service):
    name = "share"
    types = ("shared-file-system", "sharev2")
    suffix = "/v2"
    open = ("/", "/v2/?")
    parts = (Shares, Snapshots, Allowances)

    def finish(self, request: Request, answer: Answer) -> Answer:
        answer.headers.setdefault("X-OpenStack-Manila-API-Version", f"2.{microversion(request)}")
        return answer

    def refused(self, request: Request, refusal: Refusal) -> Answer:
        if refusal.status == 401:
            return unauthorized(self.cloud.root, refusal.message)
        return Answer(refusal.status, {faultname(refusal): {"code": refusal.status,
                                                            "message": refusal.message}})
