"""Checkpoints as clients of Karbor 1.x read them."""

from __future__ import annotations

import json

from karbor.api.v1.checkpoints import packed, view
from karbor.domain.checkpoint_record import CheckpointRecord, RecordStatus
from karbor.domain.resource import IMAGE, PROJECT, SERVER, VOLUME, Resource, ResourceGraph

P, S = Resource(PROJECT, "p", "shop"), Resource(SERVER, "s", "web")
V, D = Resource(VOLUME, "v", "data"), Resource(IMAGE, "i", "disk", within="s")
CHILDREN = {P.key: [S, V], S.key: [D, V]}


def graph() -> ResourceGraph:
    return ResourceGraph.build([P], lambda level: {
        one.key: CHILDREN[one.key] for one in level if one.key in CHILDREN})


def test_a_graph_is_packed_so_that_the_dashboard_can_rebuild_it() -> None:
    nodes, adjacency = packed(graph())
    assert sorted(one[:3] for one in nodes.values()) == sorted(
        [[one.type, one.id, one.name] for one in (P, S, V, D)])
    seen: set[str] = set()
    for parent, children in adjacency:      # what karbor-dashboard does, in one pass
        for child in children:
            assert child in seen or child not in {one for one, _ in adjacency}
        seen.add(parent)
    [root] = set(nodes) - {child for _, children in adjacency for child in children}
    assert nodes[root][0] == PROJECT
    assert packed(None) == [{}, []]


def test_what_clients_parse_is_json_in_texts() -> None:
    shown = view(CheckpointRecord(
        "c", "p", "prov", "shop", RecordStatus.PROTECTING, 1_700_000_000.0, plan_id="plan",
        origin={"created_by": "manual", "extra_info": {"why": "upgrade"},
                "plan": {"id": "plan", "name": "shop", "resources": [
                    {"id": "v", "type": VOLUME, "name": "data", "extra_info": {"az": "1"}},
                    {"id": "s", "type": SERVER, "name": "web"}]}}))
    assert json.loads(shown.resource_graph) == [{}, []]     # null makes the old command crash
    assert json.loads(shown.extra_info) == {"created_by": "manual", "why": "upgrade"}
    plan = shown.protection_plan
    assert (plan["id"], plan["name"], plan["provider_id"]) == ("plan", "shop", "prov")
    assert [one["extra_info"] for one in plan["resources"]] == ['{"az": "1"}', None]
    assert shown.created_at == "2023-11-14"


def test_one_that_a_command_made_names_what_it_holds() -> None:
    shown = view(CheckpointRecord("c", "p", "prov", "shop", RecordStatus.AVAILABLE, 0.0,
                                  graph=graph().to_dict()))
    assert {one["id"] for one in shown.protection_plan["resources"]} == {"p", "s", "v", "i"}
    assert shown.protection_plan["name"] == "shop"
