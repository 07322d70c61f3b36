"""Restore a share: a new one from the snapshot, then who may mount it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from karbor.domain.errors import (
    CloudConflict,
    CloudForbidden,
    CloudNotFound,
    RemoteFailed,
    RequestRefused,
)
from karbor.domain.step import Again, Done, Failed, Outcome, Wait
from karbor.plugin.cosmetics import Cosmetics
from karbor.plugin.protection import Stage, Task, Work
from karbor.protections.cinder.backup import MARK
from karbor.protections.manila.snapshot import AT_REST, broken, facts, rules_of, share_of

UNDER_WAY = frozenset({"new", "queued_to_apply", "applying"})


class Share(Stage):
    """The new share, with the snapshot's files. It bears its mark in its metadata.

    Manila puts it where the snapshot is: type, share network and zone are those of the old share,
    and asking for others is refused, so they are not asked for. Nobody may mount it before the
    stage `restored`, and it is not public before that either.
    """

    name = "share"
    kind = "manila.share"
    ready: ClassVar[frozenset[str]] = frozenset({"available"})
    failed: ClassVar[frozenset[str]] = frozenset({"error", "error_deleting", "manage_error",
                                                  "error_deferred_deleting"})
    waits: ClassVar[str] = "volume"

    def create(self, work: Work) -> str:
        snapshot = work.kept("snapshot")
        share = snapshot["share"]
        made = work.cloud.api("manila").post("/shares", {"share": {
            "snapshot_id": snapshot["id"], "share_proto": share["share_proto"],
            "size": max(int(snapshot["size"]), int(share["size"])),
            "name": new_name(work.parameters, share) or f"restored {work.resource.id}",
            "description": share["description"], "is_public": False,
            "metadata": {**share["metadata"], MARK: work.mark}}})
        return str(made["share"]["id"])

    def find(self, work: Work) -> list[str]:
        return [str(share["id"])
                for share in work.cloud.api("manila").list("/shares/detail", "shares")
                if (share.get("metadata") or {}).get(MARK) == work.mark]

    def delete(self, work: Work, id: str) -> None:
        try:
            work.cloud.api("manila").delete(f"/shares/{id}")
        except CloudForbidden as error:
            # Manila answers 403 as well to whoever deletes a share that is still being made.
            status = str(share_of(work.cloud, id)["status"]).lower()
            if status == AT_REST or broken(status):
                raise
            raise CloudConflict(f"the share is {status}: {error.message}", service="manila",
                                request=error.request, request_id=error.request_id,
                                status=error.status) from error


def new_name(parameters: Mapping[str, Any], share: Mapping[str, Any]) -> str:
    """Return the name of the restored share; "" when neither anybody nor the old one says it."""
    return str(parameters.get("restore_name") or share["name"] or "")


class Restored(Task):
    """Lets in whom the old share let in, waits until the storage does, and gives the share the
    properties of the old one. `work.saved("restored", resource)["id"]` is the new share.

    Rules are asked for one by one, since Manila takes no more; those that are there already are
    seen first, so that a second entry asks for none twice.
    """

    name = "restored"

    def run(self, work: Work) -> Outcome:
        id = work.saved("share")["id"]
        wanted = work.kept("snapshot")["share"]
        refused = dict(work.handle.get("refused", {}))
        try:
            rules = {_rule(one): one for one in rules_of(work.cloud, id)}
            missing = [access_rule for access_rule in wanted["access_rules"]
                       if _rule(access_rule) not in rules and _rule(access_rule) not in refused]
            for one in missing:
                try:
                    work.cloud.api("manila").post(f"/shares/{id}/action", {"allow_access": {
                        **one, "metadata": dict(one["metadata"])}})
                except (RequestRefused, CloudForbidden) as error:
                    refused[_rule(one)] = error.message
            if missing or any(rule["state"] in UNDER_WAY for rule in rules.values()):
                return Again(work.cloud.interval("manila.share") if not missing else 0.0,
                             {"refused": refused},
                             wait=Wait("Manila to apply the access rules of the share", "volume"))
            share = share_of(work.cloud, id)
        except CloudNotFound as error:
            return Failed(error)
        if str(share["status"]).lower() != AT_REST:
            return Failed(RemoteFailed(
                f"the restored share {id} is {share['status']}", resource=work.resource.key,
                **{"service": "manila", **work.cloud.asked(id)}))
        handled = dict(refused)
        refused |= {name: f"Manila has put it into the state {one['state']}"
                    for name, one in rules.items() if one["state"] != "active"}
        refused |= {name: "Manila has made a new key for it"
                    for name, one in rules.items() if one.get("access_key")}
        manila = work.cloud.api("manila")
        cosmetics = Cosmetics(work, [
            *({"field": f"access rule {name}", "why": why} for name, why in refused.items()),
            *_differs(wanted, facts(share, ()))])
        if wanted["is_public"] and not share.get("is_public"):
            # many clouds let administrators alone make a share public
            cosmetics.request("public visibility", lambda: manila.put(
                f"/shares/{id}", {"share": {"is_public": True}}))
        # Last, since it removes the mark: the share is the user's from now on.
        cosmetics.request("metadata", lambda: manila.put(
            f"/shares/{id}/metadata", {"metadata": wanted["metadata"]}),
            "it still bears Karbor's mark")
        if cosmetics.postponed:
            return cosmetics.again({**work.handle, "refused": handled})
        told = cosmetics.not_restored
        return Done({"id": id, "name": str(share.get("name") or ""),
                     **({"not_restored": told} if told else {})})


def _rule(one: Mapping[str, Any]) -> str:
    return f"{one['access_type']} {one['access_to']} {one['access_level']}"


def _differs(wanted: Mapping[str, Any], now: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what Manila decides by itself, and has decided otherwise."""
    return [{"field": field.replace("_", " "),
             "why": f"it was to be {wanted[field] or 'none'} and is {now[field] or 'none'}"}
            for field in ("size", "share_proto", "share_type", "share_network_id",
                          "availability_zone") if wanted[field] != now[field]]
