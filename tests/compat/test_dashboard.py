"""karbor-dashboard 1.5.1: the calls of its own module, on what its pages show."""

from __future__ import annotations

import json

import pytest

from tests.compat.clients import ClientError
from tests.compat.conftest import VOLUME, World, over, until

WEEKLY = "BEGIN:VEVENT\r\nRRULE:FREQ=WEEKLY\r\nEND:VEVENT\r\n"


def test_its_pages_of_plans_and_checkpoints(world: World) -> None:
    pages, provider = world.owner.dashboard, world.service.facts
    volume = world.volumes[0]
    made = [pages.plan_create(f"page-{letter}", provider, [volume], {}) for letter in "cab"]
    first, more, before = pages.plan_list_paged(search_opts={"name": "page-"}, paginate=True,
                                                sort_key="name", sort_dir="asc")
    assert [one["name"] for one in first] == ["page-a", "page-b"]
    assert (more, before) == (True, False)
    second, more, _ = pages.plan_list_paged(search_opts={"name": "page-"}, paginate=True,
                                            marker=first[-1]["id"], sort_key="name", sort_dir="asc")
    assert [one["name"] for one in second] == ["page-c"]
    assert not more
    plan = pages.plan_get(made[0]["id"])
    assert plan["name"] == "page-c"
    assert pages.plan_update(plan["id"], {"description": "of a page"})["description"] == "of a page"

    checkpoint = pages.checkpoint_create(provider, plan["id"])
    world.settled(provider, checkpoint["id"])
    listed, _, _ = pages.checkpoint_list_paged(provider, search_opts={"plan_id": plan["id"]},
                                               paginate=True)
    assert [one["id"] for one in listed] == [checkpoint["id"]]
    shown = pages.checkpoint_get(provider, checkpoint["id"])
    assert shown["protection_plan"]["name"] == "page-c"
    # The page of a checkpoint draws the tree of its resources.
    assert world.owner.clients.ask(do="graph", **{"as": "owner"}, text=shown["resource_graph"])[
        "value"] == [[VOLUME, volume["id"], "one", []]]
    assert json.loads(shown["extra_info"])["created_by"] == "manual"

    restore = pages.restore_create(provider, checkpoint["id"], None, {}, None)
    until(lambda: pages.restore_get(restore["id"]), over)
    listed, _, _ = pages.restore_list_paged(paginate=True)
    assert listed
    pages.checkpoint_delete(provider, checkpoint["id"])
    world.settled(provider, checkpoint["id"])
    for one in made:
        pages.plan_delete(one["id"])
    assert pages.plan_list(search_opts={"name": "page-"}) == []


def test_what_it_lets_one_choose(world: World) -> None:
    pages = world.owner.dashboard
    assert {one["id"] for one in pages.provider_list()} == {world.service.real,
                                                            world.service.facts}
    listed, _, _ = pages.provider_list_paged(paginate=True)
    assert len(listed) == 2
    assert pages.provider_get(world.service.facts)["name"] == "facts"
    types = [one["protectable_type"] for one in pages.protectable_list()]
    assert VOLUME in types
    assert pages.protectable_get(VOLUME)["name"] == VOLUME
    # Its dialogue begins with the project and asks for each of its dependents.
    [project] = pages.protectable_list_instances("OS::Keystone::Project")
    for one in project["dependent_resources"]:
        assert pages.protectable_get_instance(one["type"], one["id"])["id"] == one["id"]
    listed, _, _ = pages.protectable_list_instances_paged(VOLUME, paginate=True)
    assert {one["type"] for one in listed} == {VOLUME}


def test_its_pages_of_schedules(world: World) -> None:
    pages, plan = world.owner.dashboard, world.plan()
    trigger = pages.trigger_create("page", "time", properties={
        "format": "calendar", "pattern": WEEKLY, "start_time": "2030-01-01 00:00:00"})
    assert pages.trigger_get(trigger["id"])["name"] == "page"
    assert [one["id"] for one in pages.trigger_list(search_opts={"name": "page"})] == [
        trigger["id"]]
    listed, _, _ = pages.trigger_list_paged(paginate=True)
    assert trigger["id"] in [one["id"] for one in listed]
    made = pages.scheduled_operation_create(
        "page", "protect", trigger["id"],
        {"provider_id": plan["provider_id"], "plan_id": plan["id"]})
    assert pages.scheduled_operation_get(made["id"])["name"] == "page"
    assert made["id"] in [one["id"] for one in pages.scheduled_operation_list()]
    listed, _, _ = pages.scheduled_operation_list_paged(paginate=True)
    assert made["id"] in [one["id"] for one in listed]
    pages.scheduled_operation_delete(made["id"])
    pages.trigger_delete(trigger["id"])
    with pytest.raises(ClientError, match="NotFound"):
        pages.trigger_get(trigger["id"])
    pages.plan_delete(plan["id"])
