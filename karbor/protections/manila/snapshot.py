"""A Manila snapshot that is the checkpoint: made of a share at rest, and looked at again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from karbor.domain.errors import (
    CloudError,
    CloudNotFound,
    CloudUnavailable,
    RemoteFailed,
    RequestRefused,
)
from karbor.domain.step import Again, Done, Failed, Outcome, Wait
from karbor.plugin.cloud import Cloud
from karbor.plugin.protection import Stage, Task, Work
from karbor.protections.cinder.backup import MARK
from karbor.protections.snapshot_evidence import SnapshotEvidence

SAME_STORAGE = ("a snapshot is kept by the storage that holds the share, and is lost together "
                "with it; while it exists, Manila does not delete the share")
UNPROVED = ("Manila says that the snapshot is available, with the size and the time that it had; "
            "its files cannot be read without making a share of it and mounting that, and "
            f"{SAME_STORAGE}")

AT_REST = "available"
METADATA = "2.73"       # the first microversion whose snapshots have metadata
HIDDEN = "******"       # what Manila shows of a rule that its owner has restricted
STUCK = frozenset({"deleting", "deferred_deleting", "deleted", "unmanaged", "inactive",
                   "awaiting_transfer"})


def share_of(cloud: Cloud, id: str) -> dict[str, Any]:
    """Return the share as Manila shows it now. Raises CloudNotFound."""
    found: dict[str, Any] = cloud.api("manila").get(f"/shares/{id}")["share"]
    return found


def rules_of(cloud: Cloud, id: str) -> list[dict[str, Any]]:
    """Return who may mount the share. Manila lists the rules of one share only."""
    return cloud.api("manila").list("/share-access-rules", "access_list", params={"share_id": id})


def broken(status: str) -> bool:
    """Return whether a share in this state will not come to rest by itself."""
    return "error" in status or status in STUCK


class Settled(Task):
    """Waits until nobody is working on the share, and keeps what a restore must know of it:
    `share`, with its access rules. Manila takes a snapshot of an available share only."""

    name = "settled"

    def run(self, work: Work) -> Outcome:
        try:
            share = share_of(work.cloud, work.resource.id)
        except CloudNotFound as error:
            return Failed(error)
        status = str(share["status"]).lower()
        if broken(status):
            return Failed(RemoteFailed(
                f"the share is {status}", service="manila", resource=work.resource.key,
                remedy="repair or delete it, or leave it out"))
        if status != AT_REST:
            return Again(work.cloud.interval("manila.share"), wait=Wait(
                f"the share to come to rest; it is {status}", "at_rest"))
        rules = rules_of(work.cloud, work.resource.id)
        told = not_kept(share, rules)
        return Done({"share": facts(share, rules), **({"not_kept": told} if told else {})})


def facts(share: Mapping[str, Any], rules: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what is kept of a share, to make one like it. `size` is in GiB."""
    return {
        "size": int(share["size"]),
        "name": share.get("name"),
        "description": share.get("description"),
        "share_proto": share.get("share_proto") or "",
        "share_type": share.get("share_type_name") or share.get("share_type") or "",
        "share_network_id": share.get("share_network_id") or "",
        "availability_zone": share.get("availability_zone") or "",
        "is_public": bool(share.get("is_public")),
        # What begins with two underscores is the scheduler's, and administrators' to set.
        "metadata": {key: value for key, value in (share.get("metadata") or {}).items()
                     if key != MARK and not key.startswith("__")},
        "access_rules": [
            {"access_type": rule["access_type"], "access_to": rule["access_to"],
             "access_level": rule["access_level"], "metadata": dict(rule.get("metadata") or {})}
            for rule in rules if _usable(rule)],
    }


def not_kept(share: Mapping[str, Any], rules: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return what a share is part of or has, and its copy will not."""
    told = []
    if share.get("share_group_id"):
        told.append({"field": "share group", "why": "a restored share belongs to none"})
    if share.get("has_replicas"):
        told.append({"field": "replicas", "why": "a restored share has none"})
    for rule in rules:
        if not _usable(rule):
            why = ("Manila does not show whom it lets in" if rule["access_to"] == HIDDEN
                   else f"it is in the state {rule['state']}")
            told.append({"field": f"access rule {rule['id']}", "why": why})
    return told


def _usable(rule: Mapping[str, Any]) -> bool:
    return (rule["access_to"] != HIDDEN
            and rule.get("state") not in ("error", "denying", "queued_to_deny"))


class KeptSnapshot(Stage):
    """Taken at the moment that all resources of the operation share, and left where it is.

    Its mark is in its metadata, which users can set and nobody else changes. Snapshots of a Manila
    before Zed have none: there the mark is the first word of the description, since a name is what
    people look for.
    """

    name = "snapshot"
    kind = "manila.snapshot"
    ready: ClassVar[frozenset[str]] = frozenset({"available"})
    failed: ClassVar[frozenset[str]] = frozenset({"error", "error_deleting", "manage_error",
                                                  "unmanage_error"})
    waits: ClassVar[str] = "snapshot"

    def create(self, work: Work) -> str:
        name = work.parameters.get("snapshot_name") or (
            f"karbor {work.resource.name or work.resource.id}")
        body = {"share_id": work.resource.id, "name": name[:255],
                "description": _description(work)}
        try:
            made = self._post(work, body)
        except RequestRefused as error:
            status = str(share_of(work.cloud, work.resource.id)["status"]).lower()
            if status == AT_REST or broken(status):
                raise
            # somebody began to work on it after it had been seen at rest: that passes
            raise CloudUnavailable(f"the share is {status}: {error.message}", service="manila",
                                   request=error.request, request_id=error.request_id,
                                   status=error.status) from error
        return str(made["snapshot"]["id"])

    @staticmethod
    def _post(work: Work, body: Mapping[str, Any]) -> Any:
        manila = work.cloud.api("manila")
        try:
            return manila.post("/snapshots", {"snapshot": {
                **body, "metadata": {MARK: work.mark}}}, version=METADATA)
        except CloudError as error:
            if error.status != 406:
                raise
        # An older Manila would take the metadata and drop them without a word.
        described = f"{work.mark} {body['description']}"[:255]
        return manila.post("/snapshots", {"snapshot": {**body, "description": described}})

    def find(self, work: Work) -> list[str]:
        listed = work.cloud.api("manila").list(
            "/snapshots/detail", "snapshots", params={"share_id": work.resource.id})
        return [str(snapshot["id"]) for snapshot in listed if work.mark in (
            (snapshot.get("metadata") or {}).get(MARK),
            *str(snapshot.get("description") or "").split(maxsplit=1)[:1])]

    def delete(self, work: Work, id: str) -> None:
        work.cloud.api("manila").delete(f"/snapshots/{id}")

    def finished(self, work: Work, id: str, seen: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what to save: `id`, `created_at` (Manila's time), `size` (GiB), `share_id` and
        `share`, all that is needed to make a share like it; and what a snapshot is not."""
        return {"id": id, "created_at": seen.get("created_at"), "size": int(seen["size"]),
                "share_id": work.resource.id, "share": {**work.saved("settled")["share"]},
                "not_kept": [{"field": "a copy elsewhere", "why": SAME_STORAGE}]}


def _description(work: Work) -> str:
    return str(work.parameters.get("description") or f"for checkpoint {work.checkpoint_id}")


def evidence() -> SnapshotEvidence:
    """Return the task that looks at the snapshot again."""
    return SnapshotEvidence("Manila", "share_id", UNPROVED)
