"""The Python client: every call it has, on a real volume."""

from __future__ import annotations

import datetime
import json
import uuid

import pytest

from tests.compat.clients import ClientError
from tests.compat.conftest import VOLUME, World, over, until

NOBODY = str(uuid.uuid4())
TYPES = {"OS::Keystone::Project", "OS::Nova::Server", VOLUME, "OS::Glance::Image",
         "OS::Manila::Share", "OS::Neutron::Network", "OS::Trove::Instance",
         "OS::Kubernetes::Pod"}


def test_providers(world: World) -> None:
    providers = world.owner.client.providers
    listed = providers.list()
    assert [one["id"] for one in listed] == sorted([world.service.real, world.service.facts])
    assert [one["id"] for one in providers.list(search_opts={"name": "real"})] == [
        world.service.real]
    first, second = listed
    assert providers.list(limit=1) == [first]
    assert providers.list(limit=1, marker=first["id"]) == [second]
    shown = providers.get(world.service.real)
    assert shown["name"] == "real"
    schemas = shown["extended_info_schema"]
    assert {"options_schema", "restore_schema", "saved_info_schema"} <= set(schemas)
    assert schemas["options_schema"][VOLUME]["properties"]
    with pytest.raises(ClientError, match="NotFound"):
        providers.get(NOBODY)
    with pytest.raises(ClientError, match="BadRequest"):
        providers.get("no-uuid")


def test_protectables(world: World) -> None:
    protectables = world.owner.client.protectables
    assert {one["protectable_type"] for one in protectables.list()} == TYPES
    assert set(protectables.get("OS::Nova::Server")["dependent_types"]) == {
        VOLUME, "OS::Glance::Image", "OS::Neutron::Network"}     # the last is new
    with pytest.raises(ClientError, match="BadRequest"):
        protectables.get("OS::No::Thing")


def test_instances(world: World) -> None:
    protectables = world.owner.client.protectables
    first, second = world.volumes
    listed = protectables.list_instances(VOLUME, search_opts={"type": VOLUME}, sort="name:asc")
    assert [(one["id"], one["name"]) for one in listed] == [
        (first["id"], "one"), (second["id"], "two")]
    assert listed[0]["extra_info"] == {"availability_zone": "nova"}
    assert listed[0]["dependent_resources"] == []
    assert protectables.list_instances(VOLUME, limit=1, marker=first["id"], sort_key="name",
                                       sort_dir="asc") == [listed[1]]
    shown = protectables.get_instance(VOLUME, first["id"],
                                      search_opts={"parameters": {"name": "one"}})
    assert shown == listed[0]
    with pytest.raises(ClientError, match="NotFound"):
        protectables.get_instance(VOLUME, NOBODY)
    with pytest.raises(ClientError, match="NotFound"):
        world.other.client.protectables.get_instance(VOLUME, first["id"])
    [project] = protectables.list_instances("OS::Keystone::Project")
    assert project["id"] == world.owner.project_id
    assert {first["id"], second["id"]} <= {one["id"] for one in project["dependent_resources"]}


def test_plans(world: World) -> None:
    plans = world.owner.client.plans
    first, second = world.volumes
    with_extra = {**second, "extra_info": {"availability_zone": "nova"}}
    made = plans.create("a plan", world.service.real, [first, with_extra],
                        {VOLUME: {"backup_mode": "full"}}, description="nightly")
    assert made["status"] == "suspended"
    assert made["resources"] == [first, with_extra]
    assert made["parameters"] == {VOLUME: {"backup_mode": "full"}}
    assert plans.get(made["id"]) == made
    changed = plans.update(made["id"], {"name": "another", "description": "weekly",
                                        "resources": [second]})
    assert (changed["name"], changed["description"], changed["resources"]) == (
        "another", "weekly", [second])
    assert plans.update(made["id"], {"status": "started"})["status"] == "started"
    with pytest.raises(ClientError, match="BadRequest"):
        plans.update(made["id"], {"name": "not while it is started"})
    assert plans.update(made["id"], {"status": "suspended"})["status"] == "suspended"
    with pytest.raises(ClientError, match="NotFound"):
        world.other.client.plans.get(made["id"])
    assert plans.find(name="another")["id"] == made["id"]
    plans.delete(made["id"])
    with pytest.raises(ClientError, match="NotFound"):
        plans.get(made["id"])
    with pytest.raises(ClientError, match="NotFound"):
        plans.delete(made["id"])


@pytest.mark.parametrize("wrong", [
    {"provider_id": NOBODY}, {"resources": []}, {"name": ""},
    {"parameters": {VOLUME: {"no_such_option": 1}}}, {"parameters": {"OS::No::Thing": {}}}])
def test_a_plan_that_makes_no_sense_is_a_bad_request(world: World, wrong: dict[str, object]
                                                     ) -> None:
    given = {"name": "p", "provider_id": world.service.real, "resources": [world.volumes[0]],
             "parameters": {}, **wrong}
    with pytest.raises(ClientError) as refused:
        world.owner.client.plans.create(**given)
    assert (refused.value.kind, refused.value.code) == ("BadRequest", 400)
    assert refused.value.module == "karborclient.common.apiclient.exceptions"


def test_lists_of_plans(world: World) -> None:
    plans = world.owner.client.plans
    made = [world.plan(name=f"list-{letter}", description="of the lists") for letter in "bac"]
    b, a, c = (one["id"] for one in made)

    def ids(person: str = "owner", **search: object) -> list[str]:
        opts = {"name": "list-", **search.pop("search_opts", {})}      # type: ignore[dict-item]
        return [one["id"] for one in getattr(world, person).client.plans.list(
            search_opts=opts, **search)]

    assert ids() == [c, a, b]
    assert ids(sort="name:asc") == [a, b, c]
    assert ids(sort_key="name", sort_dir="desc") == [c, b, a]
    assert ids(sort="name:asc", limit=2) == [a, b]
    assert ids(sort="name:asc", limit=2, marker=b) == [c]
    assert ids(search_opts={"name": "list-a"}) == [a]
    assert ids(search_opts={"description": "lists", "status": "suspended"}) == [c, a, b]
    assert ids(search_opts={"status": "started"}) == []
    assert ids("other") == ids("admin") == ids("other", search_opts={"all_tenants": 1}) == []
    assert ids("admin", search_opts={"all_tenants": 1}) == [c, a, b]
    assert ids("admin", search_opts={"all_tenants": True,
                                     "project_id": world.other.project_id}) == []
    with pytest.raises(ClientError, match="NotFound"):
        ids(marker=NOBODY)
    with pytest.raises(ClientError, match="BadRequest"):
        ids(limit=-1)
    for one in made:
        plans.delete(one["id"])


def test_a_volume_is_protected_restored_verified_and_deleted(world: World) -> None:
    """The one that moves bytes; everything that a client reads on the way."""
    client, provider = world.owner.client, world.service.real
    plan = world.plan(provider)
    made = client.checkpoints.create(provider, plan["id"], {"why": "before the upgrade"})
    assert made["status"] == "protecting"
    assert made["project_id"] == world.owner.project_id
    assert made["protection_plan"]["name"] == plan["name"]
    assert isinstance(json.loads(made["resource_graph"]), list)
    assert json.loads(made["extra_info"]) == {"created_by": "manual", "why": "before the upgrade"}
    with pytest.raises(ClientError, match="BadRequest"):
        client.checkpoints.reset_state(provider, made["id"], "available")
    found = world.settled(provider, made["id"])
    assert (found["status"], found["reason"]) == ("available", "")
    volume = world.volumes[0]
    assert json.loads(found["resource_graph"]) == [{"0x0": [VOLUME, volume["id"], "one", None]},
                                                   []]
    assert found["protection_plan"] == {
        "id": plan["id"], "name": plan["name"], "provider_id": provider,
        "resources": [{**volume, "extra_info": None}]}
    assert found["created_at"] == datetime.datetime.now(datetime.UTC).date().isoformat()

    verification = client.verifications.create(provider, found["id"], {})
    restore = client.restores.create(
        provider, found["id"], None, {f"{VOLUME}#{volume['id']}": {"restore_name": "restored"}},
        None)
    assert restore["status"] == verification["status"] == "in_progress"
    restored = until(lambda: client.restores.get(restore["id"]), over)
    assert (restored["status"], restored["resources_reason"]) == ("success", {})
    [(key, status)] = restored["resources_status"].items()
    type, new_id = key.split("#")
    assert (type, status) == (VOLUME, "available")
    assert new_id != volume["id"]
    assert client.protectables.get_instance(VOLUME, new_id)["name"] == "restored"
    verified = until(lambda: client.verifications.get(verification["id"]), over)
    assert verified["status"] == "success"
    assert verified["resources_status"] == {f"{VOLUME}#{volume['id']}": "available"}
    assert set(verified["resources_reason"]) <= {f"{VOLUME}#{volume['id']}"}

    for one, kind in ((restore, client.restores), (verification, client.verifications)):
        assert one["id"] in [each["id"] for each in kind.list(search_opts={"status": "success"})]
        assert one["id"] not in [each["id"] for each in kind.list(search_opts={"status": "fail"})]
        assert kind.list(limit=1, sort="created_at:desc")[0]["id"] == one["id"]
        with pytest.raises(ClientError, match="NotFound"):
            kind.get(NOBODY)
    with pytest.raises(ClientError, match="NotFound"):
        world.other.client.restores.get(restore["id"])

    client.checkpoints.delete(provider, found["id"])
    gone = world.settled(provider, found["id"])
    assert gone["status"] == "deleted"
    assert found["id"] not in [one["id"] for one in client.checkpoints.list(provider)]
    with pytest.raises(ClientError, match="BadRequest"):
        client.checkpoints.delete(provider, found["id"])
    logs = client.operation_logs.list(search_opts={"checkpoint_id": found["id"]})
    assert {(one["operation_type"], one["status"]) for one in logs} == {
        ("protect", "available"), ("restore", "success"), ("verify", "success"),
        ("delete", "deleted")}
    client.plans.delete(plan["id"])


def test_checkpoints(world: World) -> None:
    client, provider = world.owner.client, world.service.facts
    plan, another = world.plan(), world.plan()
    ids = [client.checkpoints.create(provider, one["id"])["id"] for one in (plan, plan, another)]
    for one in ids:
        assert world.settled(provider, one)["status"] == "available"
    old, new, of_another = ids
    today = datetime.datetime.now(datetime.UTC).date()
    yesterday = str(today - datetime.timedelta(days=1))

    def found(**search: object) -> list[str]:
        return [one["id"] for one in client.checkpoints.list(provider, **search)
                if one["id"] in ids]

    assert found() == [of_another, new, old]
    assert found(search_opts={"plan_id": plan["id"]}) == [new, old]
    assert found(search_opts={"plan_id": plan["id"]}, limit=1, marker=new) == [old]
    assert found(search_opts={"plan_id": plan["id"]}, sort="id:asc") == [old, new]
    assert found(search_opts={"start_date": yesterday}) == [of_another, new, old]
    assert found(search_opts={"start_date": yesterday, "end_date": yesterday}) == []
    assert found(search_opts={"end_date": yesterday}) == []
    with pytest.raises(ClientError, match="BadRequest"):
        found(search_opts={"start_date": "yesterday"})
    assert world.other.client.checkpoints.list(provider) == []
    with pytest.raises(ClientError, match="NotFound"):
        client.checkpoints.list(NOBODY)
    with pytest.raises(ClientError, match="NotFound"):
        client.checkpoints.get(provider, NOBODY)

    client.checkpoints.reset_state(provider, old, "error")
    assert client.checkpoints.get(provider, old)["status"] == "error"
    client.checkpoints.reset_state(provider, old, "available")
    assert client.checkpoints.get(provider, old)["status"] == "available"
    for checkpoint_id, state, kind in ((NOBODY, "error", "NotFound"), (old, "no", "BadRequest")):
        with pytest.raises(ClientError, match=kind):
            client.checkpoints.reset_state(provider, checkpoint_id, state)
    with pytest.raises(ClientError, match="Forbidden"):
        world.admin.client.checkpoints.reset_state(provider, old, "error")
    for one in ids:
        client.checkpoints.delete(provider, one)
    for one in ids:
        assert world.settled(provider, one)["status"] == "deleted"
    assert found() == []
    for one in (plan, another):
        client.plans.delete(one["id"])


def test_what_cannot_be_asked_of_a_checkpoint(world: World) -> None:
    client, provider = world.owner.client, world.service.facts
    plan = world.plan()
    with pytest.raises(ClientError, match=r"BadRequest.*Invalid plan"):
        client.checkpoints.create(world.service.real, plan["id"])
    for call in (lambda: client.checkpoints.create(provider, NOBODY),
                 lambda: world.other.client.checkpoints.create(provider, plan["id"]),
                 lambda: client.checkpoints.delete(provider, NOBODY),
                 lambda: client.restores.create(provider, NOBODY, None, {}, None),
                 lambda: client.verifications.create(provider, NOBODY, {})):
        with pytest.raises(ClientError, match="NotFound"):
            call()
    client.plans.delete(plan["id"])


def test_operation_logs(world: World) -> None:
    client = world.owner.client
    plan = world.plan()
    checkpoint = world.checkpoint(plan)
    logs = client.operation_logs
    [one] = logs.list(search_opts={"plan_id": plan["id"], "status": "available"})
    assert logs.list(search_opts={"plan_id": plan["id"], "status": "error"}) == []
    assert (one["operation_type"], one["checkpoint_id"], one["plan_id"], one["provider_id"]) == (
        "protect", checkpoint["id"], plan["id"], world.service.facts)
    assert one["started_at"] < one["ended_at"]
    assert logs.get(one["id"])["id"] == one["id"]
    assert len(logs.list(limit=1)) == 1
    assert one["id"] not in [each["id"] for each in world.other.client.operation_logs.list()]
    assert one["id"] in [each["id"] for each in world.admin.client.operation_logs.list(
        search_opts={"all_tenants": 1, "project_id": world.owner.project_id})]
    for person, id in ((world.owner, NOBODY), (world.other, one["id"])):
        with pytest.raises(ClientError, match=r"NotFound.*OperationLog"):
            person.client.operation_logs.get(id)
    client.plans.delete(plan["id"])


def test_quotas(world: World) -> None:
    quotas, mine = world.admin.client.quotas, world.other.client.quotas
    project = world.other.project_id
    assert mine.get(project, False) == {"plans": 50, "checkpoints": -1, "id": project}
    assert mine.defaults(project) == {"plans": 50, "checkpoints": -1, "id": project}
    assert quotas.update(project, {"plans": 0}) == {"plans": 0, "checkpoints": -1}
    assert mine.get(project, True)["plans"] == {"limit": 0, "in_use": 0, "reserved": 0}
    with pytest.raises(ClientError) as refused:
        world.other.client.plans.create("p", world.service.facts, [world.volumes[0]], {})
    assert (refused.value.kind, refused.value.code) == ("RequestEntityTooLarge", 413)
    assert quotas.update(project, {"plans": None})["plans"] == 50
    for call in (lambda: mine.update(project, {"plans": 7}),
                 lambda: mine.get(world.owner.project_id, False),
                 lambda: world.other.client.quota_classes.update("gold", {"plans": 7})):
        with pytest.raises(ClientError, match="Forbidden"):
            call()
    with pytest.raises(ClientError, match="BadRequest"):
        quotas.update(project, {"plans": -2})


def test_quota_classes(world: World) -> None:
    classes = world.admin.client.quota_classes
    assert classes.update("gold", {"plans": 7}) == {"plans": 7, "checkpoints": -1}
    assert classes.get("gold") == {"plans": 7, "checkpoints": -1, "id": "gold"}
