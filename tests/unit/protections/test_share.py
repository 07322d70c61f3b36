"""A share is kept as a snapshot, and every word about it is true."""

from __future__ import annotations

from typing import Any

import pytest

from karbor.domain.errors import (
    CloudConflict,
    CloudError,
    CloudForbidden,
    CloudUnavailable,
    ObjectDamaged,
    ObjectMissing,
    RemoteFailed,
)
from karbor.domain.resource import SHARE, Resource, ResourceGraph
from karbor.domain.step import Again, Done, Failed, Hook
from karbor.plugin.protection import Target
from karbor.protections.manila.restore import Restored, Share
from karbor.protections.manila.share_plugin import ShareSnapshot
from karbor.protections.manila.snapshot import KeptSnapshot, Settled, evidence, facts
from karbor.protections.snapshot_removal import TRIES, SnapshotRemoval
from tests.unit.protections.scripted import ScriptedCloud, StepOf

PLUGIN = ShareSnapshot()
REMOVAL = SnapshotRemoval("manila", "share")
ABLE = {"status": "available", "size": 2, "share_type": "gold", "snapshot_support": True,
        "create_share_from_snapshot_support": True}
RESOURCE = Resource(SHARE, "s", "files", facts=ABLE)


def share(**more: Any) -> dict[str, Any]:
    return {"id": "s", "status": "available", "size": 2, "name": "files", "description": "ours",
            "share_proto": "NFS", "share_type": "type-id", "share_type_name": "gold",
            "share_network_id": None, "availability_zone": "nova", "is_public": False,
            "metadata": {"role": "orders"}, "has_replicas": False, "share_group_id": None, **more}


def rule(to: str, **more: Any) -> dict[str, Any]:
    return {"id": f"rule-{to}", "access_type": "ip", "access_to": to, "access_level": "rw",
            "state": "active", "access_key": None, "metadata": {}, **more}


def snapshot(**more: Any) -> dict[str, Any]:
    return {"id": "snap", "share_id": "s", "status": "available", "size": 2, "name": "karbor",
            "created_at": "2026-01-01T00:00:00", "metadata": {}, "description": "d", **more}


KEPT = {"id": "snap", "created_at": "2026-01-01T00:00:00", "size": 2, "share_id": "s",
        "share": facts(share(), [rule("10.0.0.0/8"), rule("10.1.1.1", access_level="ro")])}


# ---------------------------------------------------------------------- protect
def settle(seen: Any, rules: Any = ()) -> Any:
    return Settled().run(StepOf(RESOURCE, ScriptedCloud(manila={
        "GET /shares/s": seen, "LIST /share-access-rules": rules})))


def test_what_a_restore_needs_is_kept_and_the_rest_is_told() -> None:
    rules = [rule("10.0.0.0/8", metadata={"why": "web"}), rule("******"),
             rule("10.9.9.9", state="error")]
    done = settle({"share": share(has_replicas=True, share_group_id="g", metadata={
        "role": "orders", "karbor_mark": "old", "__affinity_same_host": "x"})}, rules)
    assert done.saved["share"] == {
        "size": 2, "name": "files", "description": "ours", "share_proto": "NFS",
        "share_type": "gold", "share_network_id": "", "availability_zone": "nova",
        "is_public": False, "metadata": {"role": "orders"}, "access_rules": [
            {"access_type": "ip", "access_to": "10.0.0.0/8", "access_level": "rw",
             "metadata": {"why": "web"}}]}
    assert [one["field"] for one in done.saved["not_kept"]] == [
        "share group", "replicas", "access rule rule-******", "access rule rule-10.9.9.9"]


@pytest.mark.parametrize(("status", "outcome"), [
    ("extending", Again), ("creating_from_snapshot", Again), ("backup_creating", Again),
    ("error", Failed), ("shrinking_possible_data_loss_error", Failed), ("deleting", Failed),
    ("awaiting_transfer", Failed)])
def test_a_share_is_waited_for_only_while_that_may_help(status: str, outcome: type) -> None:
    assert isinstance(settle({"share": share(status=status)}), outcome)


def test_a_snapshot_bears_the_mark_from_its_request_on_and_is_found_by_it() -> None:
    made: list[dict[str, Any]] = [snapshot(id="other")]

    def create(body: Any) -> Any:
        made.append(snapshot(**body["snapshot"]))
        return {"snapshot": {"id": "snap"}}
    cloud = ScriptedCloud(manila={"POST /snapshots": create, "LIST /snapshots/detail":
                                  lambda params: made})
    work = StepOf(RESOURCE, cloud, saved={"settled": {"share": KEPT["share"]}})
    assert KeptSnapshot().find(work) == []
    assert KeptSnapshot().create(work) == "snap"
    assert KeptSnapshot().find(work) == ["snap"]
    assert made[1]["metadata"] == {"karbor_mark": work.mark}
    assert (made[1]["name"], made[1]["description"]) == ("karbor files",
                                                         "for checkpoint checkpoint-1")
    saved = KeptSnapshot().finished(work, "snap", snapshot())
    assert {name: saved[name] for name in KEPT} == KEPT
    assert "lost together" in saved["not_kept"][0]["why"]


def test_where_snapshots_have_no_metadata_the_description_bears_the_mark() -> None:
    made: list[dict[str, Any]] = []

    def create(body: Any) -> Any:
        if "metadata" in body["snapshot"]:
            raise CloudError("manila answered 406", status=406)
        made.append({**body["snapshot"], "id": "snap"})
        return {"snapshot": {"id": "snap"}}
    cloud = ScriptedCloud(manila={"POST /snapshots": create, "LIST /snapshots/detail":
                                  lambda params: made})
    work = StepOf(RESOURCE, cloud, parameters={"snapshot_name": "mine", "description": "x" * 255})
    assert KeptSnapshot().create(work) == "snap"
    assert KeptSnapshot().find(work) == ["snap"]
    assert made[0]["name"] == "mine"
    assert made[0]["description"].startswith(f"{work.mark} xxx")
    assert len(made[0]["description"]) == 255


@pytest.mark.parametrize(("status", "error"), [
    ("extending", CloudUnavailable), ("available", CloudConflict), ("error", CloudConflict)])
def test_a_snapshot_refused_because_of_a_passing_state_is_tried_again(
        status: str, error: type[CloudError]) -> None:
    cloud = ScriptedCloud(manila={"POST /snapshots": CloudConflict("share is busy", status=400),
                                  "GET /shares/s": {"share": share(status=status)}})
    with pytest.raises(error, match="busy"):
        KeptSnapshot().create(StepOf(RESOURCE, cloud))


# ---------------------------------------------------------------------- verify
def look(seen: Any) -> Any:
    return evidence().run(StepOf(RESOURCE, ScriptedCloud({"manila.snapshot#snap": seen}),
                                 kept={"snapshot": KEPT}))


def test_the_evidence_is_what_manila_says_and_no_more() -> None:
    done = look(snapshot())
    assert done.saved["evidence"] == "status"
    assert "cannot be read without" in done.saved["unproved"]
    assert isinstance(look(snapshot(status="restoring")), Again)


@pytest.mark.parametrize(("seen", "error", "words"), [
    (None, ObjectMissing, "any more"),
    (snapshot(status="error"), ObjectDamaged, "is error"),
    (snapshot(size=3), ObjectDamaged, "size is 3 instead of 2"),
    (snapshot(share_id="t"), ObjectDamaged, "share_id is t"),
    (snapshot(created_at="later"), ObjectDamaged, "created_at is later")])
def test_a_snapshot_that_is_not_the_one_is_damage(seen: Any, error: type, words: str) -> None:
    outcome = look(seen)
    assert isinstance(outcome.error, error)
    assert words in outcome.error.message


# ---------------------------------------------------------------------- restore
def test_the_new_share_is_marked_and_nobody_may_mount_it_yet() -> None:
    made: list[Any] = []

    def create(body: Any) -> Any:
        made.append(body["share"])
        return {"share": {"id": "new"}}
    cloud = ScriptedCloud(manila={"POST /shares": create, "LIST /shares/detail": lambda params: [
        {**share(), "id": "new", "metadata": one["metadata"]} for one in made]})
    public = {**KEPT, "share": {**KEPT["share"], "is_public": True}}
    work = StepOf(RESOURCE, cloud, kept={"snapshot": public}, parameters={"restore_name": "copy"})
    assert Share().find(work) == []
    assert Share().create(work) == "new"
    assert Share().find(work) == ["new"]
    assert made == [{
        "snapshot_id": "snap", "share_proto": "NFS", "size": 2, "name": "copy",
        "description": "ours", "is_public": False,
        "metadata": {"role": "orders", "karbor_mark": work.mark}}]


def test_a_share_that_is_still_being_made_can_be_deleted_later() -> None:
    script = {"DELETE /shares/new": CloudForbidden("status must be available", status=403),
              "GET /shares/new": {"share": share(status="creating_from_snapshot")}}
    with pytest.raises(CloudConflict, match="creating_from_snapshot"):
        Share().delete(StepOf(RESOURCE, ScriptedCloud(manila=script)), "new")
    script["GET /shares/new"] = {"share": share()}
    with pytest.raises(CloudForbidden):
        Share().delete(StepOf(RESOURCE, ScriptedCloud(manila=script)), "new")


class Restoring:
    """Manila while `Restored` runs; `refuse` are addresses that it lets nobody in from."""

    def __init__(self, *rules: dict[str, Any], refuse: tuple[str, ...] = (), **more: Any) -> None:
        self.rules = list(rules)
        self.refuse = refuse
        self.handle: Any = {}
        self.public = more.pop("public", False)
        self.cloud = ScriptedCloud(manila={
            "LIST /share-access-rules": lambda params: self.rules,
            "POST /shares/new/action": self.allow,
            "GET /shares/new": {"share": share(id="new", **more)},
            "PUT /shares/new": CloudForbidden("only administrators may"),
            "PUT /shares/new/metadata": {}})

    def allow(self, body: Any) -> Any:
        wanted = body["allow_access"]
        if wanted["access_to"] in self.refuse:
            raise CloudConflict("not with this storage", status=400)
        self.rules.append(rule(**{"state": "queued_to_apply", **wanted, "to": ""}))
        return {}

    def entry(self) -> Any:
        kept = {**KEPT, "share": {**KEPT["share"], "is_public": self.public}}
        outcome = Restored().run(StepOf(RESOURCE, self.cloud, kept={"snapshot": kept}, saved={
            "share": {"id": "new"}}, handle=self.handle))
        if isinstance(outcome, Again):
            self.handle = outcome.handle
        return outcome

    def applied(self, state: str = "active") -> None:
        for one in self.rules:
            one["state"] = state

    @property
    def asked(self) -> list[str]:
        return [given["allow_access"]["access_to"]
                for request, given in self.cloud.apis["manila"].sent if "action" in request]


def test_whoever_was_let_in_is_let_in_again_and_the_mark_goes_last() -> None:
    restoring = Restoring(rule("10.0.0.0/8"))       # the process died after the first was asked for
    assert isinstance(restoring.entry(), Again)
    assert isinstance(restoring.entry(), Again)     # not applied yet
    restoring.applied()
    done = restoring.entry()
    assert done == Done({"id": "new", "name": "files"})
    assert restoring.asked == ["10.1.1.1"]
    assert restoring.cloud.apis["manila"].sent[-1] == (
        "PUT /shares/new/metadata", {"metadata": {"role": "orders"}})


def test_what_manila_does_otherwise_is_told_field_by_field() -> None:
    restoring = Restoring(refuse=("10.1.1.1",), public=True, share_type_name="silver")
    restoring.entry()
    restoring.applied("error")
    restoring.rules[0]["access_key"] = "secret-key"
    done = restoring.entry()
    assert [(one["field"], one["why"]) for one in done.saved["not_restored"]] == [
        ("access rule ip 10.1.1.1 ro", "not with this storage"),
        ("access rule ip 10.0.0.0/8 rw", "Manila has made a new key for it"),
        ("share type", "it was to be gold and is silver"),
        ("public visibility", "only administrators may")]
    assert restoring.asked == ["10.0.0.0/8", "10.1.1.1"]
    assert "secret-key" not in str(done)


def test_a_restored_share_that_breaks_is_no_success() -> None:
    restoring = Restoring(status="error")
    restoring.entry()
    restoring.applied()
    assert isinstance(restoring.entry().error, RemoteFailed)


# ---------------------------------------------------------------------- delete
def remove(handle: Any = None, seen: Any = None, answer: Any = None) -> Any:
    cloud = ScriptedCloud({"manila.snapshot#snap": seen},
                          manila={"DELETE /snapshots/snap": answer or (lambda given: None)})
    return REMOVAL.run(StepOf(RESOURCE, cloud, kept={"snapshot": {"id": "snap"}}, handle=handle))


def test_a_snapshot_is_deleted_and_seen_gone() -> None:
    assert remove() == Again(0.0, {"asked": 1})
    assert isinstance(remove({"asked": 1}, snapshot(status="deleting")), Again)
    assert remove({"asked": 1}) == Done({"deleted": "snap"})
    assert REMOVAL.run(StepOf(RESOURCE, ScriptedCloud())) == Done()     # there never was one


@pytest.mark.parametrize(("handle", "seen", "answer"), [
    ({"asked": TRIES}, snapshot(status="error_deleting"), None),
    (None, snapshot(), CloudConflict("it has clones", status=409))])
def test_a_snapshot_that_manila_keeps_is_a_failure_with_what_to_do(
        handle: Any, seen: Any, answer: Any) -> None:
    outcome = remove(handle, seen, answer)
    assert outcome.error.message.startswith("Manila does not delete snapshot snap: it ")
    assert "shares made from it" in outcome.error.remedy


# ---------------------------------------------------------------------- obstacles
def quota(**limits: tuple[int, int]) -> dict[str, Any]:
    return {"quota_set": {name: {"limit": limit, "in_use": used, "reserved": 0}
                          for name, (limit, used) in limits.items()}}


def obstacles(resources: list[Resource], answer: Any) -> tuple[list[str], list[str]]:
    cloud = ScriptedCloud(manila={"GET /quota-sets/project/detail": answer})
    return [one.what for one in PLUGIN.protect_obstacles(resources, cloud)], cloud.log


@pytest.mark.parametrize(("facts", "words"), [
    ({"status": "error"}, "it is in the state error"),
    ({"snapshot_support": False}, "cannot have snapshots"),
    ({"create_share_from_snapshot_support": False}, "no share can be made from its snapshots")])
def test_what_cannot_be_kept_is_found_beforehand(facts: dict[str, Any], words: str) -> None:
    found, _ = obstacles([Resource(SHARE, "s", "files", facts={**ABLE, **facts})], quota())
    assert len(found) == 1
    assert words in found[0]


def test_quotas_are_asked_for_once_per_type_whatever_the_number_of_shares() -> None:
    def answer(params: Any) -> Any:
        return (quota(snapshots=(20, 9), snapshot_gigabytes=(-1, 0)) if not params else
                quota(snapshots=(99, 0), snapshot_gigabytes=(30, 11)))
    many = [Resource(SHARE, f"s{n}", f"files-{n}", facts=ABLE) for n in range(10)]
    found, asked = obstacles(many, answer)
    whose = "snapshot_gigabytes of share type gold"
    assert found == [f"Manila's quota of {whose} has 19 left of 30, and 20 are needed"]
    assert asked == ["manila GET /quota-sets/project/detail"] * 2
    found, _ = obstacles([*many, *(Resource(SHARE, id, id, facts=ABLE) for id in "ab")], answer)
    assert found[0] == "Manila's quota of snapshots has 11 left of 20, and 12 are needed"


def test_a_restore_needs_its_snapshots_and_room() -> None:
    kept = {"s": KEPT, "lost": {**KEPT, "id": "gone"}, "never": {}}
    resources = [Resource(SHARE, id, id) for id in kept]
    cloud = ScriptedCloud(manila={
        "LIST /snapshots/detail": [snapshot()],
        "GET /quota-sets/project/detail": quota(shares=(5, 4), gigabytes=(100, 0))})
    target = Target(cloud, ResourceGraph.build(resources, lambda level: {}),
                    lambda stage, one: kept[one.id], lambda one: {"restore_name": "copy"})
    found = [one.what for one in PLUGIN.restore_obstacles(resources, target)]
    assert found == [
        "snapshot gone of share lost is gone", "the checkpoint has no snapshot of share never",
        "Manila's quota of shares has 1 left of 5, and 2 are needed",
        "Manila's quota of shares of share type gold has 1 left of 5, and 2 are needed"]
    assert PLUGIN.restore_preview(resources[0], target)[0] == (
        "create share copy (NFS, 2 GiB) of snapshot snap, and its access rules (2)")


def test_it_says_what_a_snapshot_is_not_and_takes_the_options_of_karbor_1() -> None:
    assert "lost together" in PLUGIN.protect_preview(RESOURCE)[0]
    assert set(PLUGIN.options_schema("protect")["properties"]) == {
        "snapshot_name", "description", "force"}
    assert set(PLUGIN.options_schema("restore")["properties"]) == {"restore_name"}
    assert set(PLUGIN.protect(RESOURCE)) == {Hook.PREPARE_BEGIN, Hook.PREPARE_FINISH}
