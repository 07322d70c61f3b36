"""Shares on the real Manila. Its driver stores nothing, so that files cannot be compared: what
Manila itself knows of a share can."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from karbor_testing.bank import MemoryBank

from karbor.clients.cloud import OpenStackCloud
from karbor.clients.connect import connect
from karbor.domain.errors import ObjectMissing
from karbor.domain.resource import Resource, ResourceGraph
from karbor.domain.step import Failed, Hook
from karbor.plugin.protectable import DiscoveryLists
from karbor.plugin.protection import Stage, Target
from karbor.protectables.share import Shares
from karbor.protections.manila.restore import Share
from karbor.protections.manila.share_plugin import ShareSnapshot
from karbor.protections.manila.snapshot import evidence
from tests.cloud.by_hand import ByHand
from tests.cloud.conftest import Cloud
from tests.cloud.small_application import until

PLUGIN = ShareSnapshot()
NAME = "karbor-share-test"
RULES = [("192.0.2.0/24", "rw"), ("198.51.100.7", "ro")]


def of_test(mine: OpenStackCloud, kind: str) -> set[str]:
    return {one["id"] for one in mine.api("manila").list(f"/{kind}/detail", kind)
            if str(one["name"]).startswith(NAME)}


@pytest.fixture
def mine(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenStackCloud]:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(cloud.clouds_yaml))
    with connect("demo2") as opened:
        yield opened
        for id in of_test(opened, "snapshots"):
            opened.api("manila").delete(f"/snapshots/{id}")
        until("snapshots gone", lambda: not of_test(opened, "snapshots"))
        for id in of_test(opened, "shares"):
            opened.api("manila").delete(f"/shares/{id}")


def shown(mine: OpenStackCloud, id: str) -> dict[str, Any]:
    return dict(mine.api("manila").get(f"/shares/{id}")["share"])


def rules(mine: OpenStackCloud, id: str) -> list[tuple[str, str, dict[str, str]]]:
    listed = mine.api("manila").list("/share-access-rules", "access_list", params={"share_id": id})
    return sorted((one["access_to"], one["access_level"], one["metadata"]) for one in listed)


@pytest.fixture
def share(mine: OpenStackCloud) -> str:
    manila = mine.api("manila")
    made = manila.post("/shares", {"share": {
        "share_proto": "NFS", "size": 1, "name": NAME, "description": "of the shop",
        "metadata": {"role": "orders"}}})["share"]["id"]
    until("share available", lambda: shown(mine, made)["status"] == "available")
    for to, level in RULES:
        manila.post(f"/shares/{made}/action", {"allow_access": {
            "access_type": "ip", "access_to": to, "access_level": level,
            "metadata": {"why": "test"}}})
    return str(made)


def found(mine: OpenStackCloud, id: str) -> Resource:
    return next(one for one in Shares().list(DiscoveryLists(mine)) if one.id == id)


def adopted(run: ByHand, stage: Stage) -> None:
    """The answer to its first request is lost, as when a process dies there."""
    first = run.entry(stage)
    assert not isinstance(first, Failed)
    again = run.entry(stage, entered_before=True)
    assert again.handle["id"] == first.handle["id"]     # type: ignore[union-attr,index]
    run.handles[stage.name] = again.handle              # type: ignore[union-attr]


def test_a_share_is_kept_restored_and_deleted(mine: OpenStackCloud, share: str) -> None:
    resource = found(mine, share)
    assert list(PLUGIN.protect_obstacles([resource], mine)) == []
    kept = ByHand(mine, resource, MemoryBank(), parameters={"snapshot_name": f"{NAME}-snapshot"})
    settled, = PLUGIN.protect(resource)[Hook.PREPARE_BEGIN]
    snapshot, = PLUGIN.protect(resource)[Hook.PREPARE_FINISH]
    kept.stage(settled)
    adopted(kept, snapshot)     # type: ignore[arg-type]
    kept.stage(snapshot)
    kept.run(PLUGIN.verify(resource))
    assert kept.saved_ones["looked_at"]["evidence"] == "status"

    target = Target(mine, ResourceGraph.build([resource], lambda level: {}),
                    lambda stage, _resource: kept.saved_ones.get(stage, {}), lambda _resource: {})
    assert list(PLUGIN.restore_obstacles([resource], target)) == []
    run = ByHand(mine, resource, MemoryBank(), kept=kept.saved_ones,
                 parameters={"restore_name": f"{NAME}-copy"})
    made, finished = PLUGIN.restore(resource)[Hook.MAIN]
    adopted(run, made)          # type: ignore[arg-type]
    run.stage(made)
    new = run.stage(finished)
    assert new == {"id": new["id"], "name": f"{NAME}-copy"}     # nothing that is not restored
    original, copy = shown(mine, share), shown(mine, str(new["id"]))
    assert copy["snapshot_id"] == kept.saved_ones["snapshot"]["id"]
    for field in ("description", "size", "share_proto", "share_type", "share_network_id",
                  "availability_zone", "metadata", "is_public"):
        assert copy[field] == original[field], field
    assert rules(mine, str(new["id"])) == rules(mine, share) == [
        (to, level, {"why": "test"}) for to, level in RULES]

    # One that is undone while Manila is still making it, of which nobody knows the id.
    cut_off = ByHand(mine, resource, MemoryBank(), kept=kept.saved_ones)
    cut_off.entry(Share())
    cut_off.undo(Share())
    assert of_test(mine, "shares") == {share, new["id"]}

    gone = ByHand(mine, resource, MemoryBank(), kept=kept.saved_ones)
    for _ in range(2):
        gone.run(PLUGIN.remove(resource))
        assert gone.saved_ones["snapshot_removed"] == {
            "deleted": kept.saved_ones["snapshot"]["id"]}
    assert "is gone" in str(PLUGIN.restore_obstacles([resource], target))
    outcome = ByHand(mine, resource, MemoryBank(), kept=kept.saved_ones).entry(evidence())
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, ObjectMissing)
