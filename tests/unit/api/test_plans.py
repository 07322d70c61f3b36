"""Plans, as clients of Karbor 1.x send and read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from karbor.domain.listing import Listing
from tests.unit.api.conftest import PROVIDER, Api, new_plan
from tests.unit.api.people import ADMIN, MINE, OTHER, READER, THEIRS

VOLUME = "OS::Cinder::Volume"
NOBODYS = "00000000-0000-4000-8000-000000000000"


def test_a_plan_is_told_as_karbor_1_told_it(api: Api) -> None:
    resources = [{"id": "v-1", "type": VOLUME, "name": "v1",
                  "extra_info": {"availability_zone": "az1"}},
                 {"id": "v-2", "type": VOLUME, "name": None}]
    made = api.make_plan(description="optional", resources=resources,
                         parameters={VOLUME: {"backup_mode": "full", "force": False}})
    id = made.pop("id")
    assert made == {
        "name": "My app", "description": "optional", "provider_id": PROVIDER,
        "status": "suspended", "resources": resources,
        "parameters": {VOLUME: {"backup_mode": "full", "force": "False"}}}
    assert api("GET", f"/plans/{id}").json["plan"] == {"id": id, **made}


def test_values_of_parameters_keep_their_types_for_those_who_use_them(api: Api) -> None:
    given = {VOLUME: {"force": True, "backup_name": "x", "backup_mode": 5},
             f"{VOLUME}#{NOBODYS}": None}
    api.make_plan(parameters=given)
    [plan] = api.wiring.plans.list(Listing(MINE))
    assert plan.parameters == given


def test_selectors_stand_for_resources(api: Api) -> None:
    chosen = [{"type": "OS::Nova::Server", "tags": ["web"]},
              {"type": VOLUME, "metadata": {"backup": "yes"}}]
    made = api.make_plan(resources=[], selectors=chosen)
    assert made["selectors"] == chosen
    assert made["resources"] == []
    assert "selectors" not in api.make_plan()


@pytest.mark.parametrize("wrong", [
    pytest.param({"name": ""}, id="no name"),
    pytest.param({"name": " "}, id="blank name"),
    pytest.param({"name": None}, id="null name"),
    pytest.param({"name": "x" * 256}, id="long name"),
    pytest.param({"name": "a\x00b"}, id="NUL"),
    pytest.param({"description": "a\nb"}, id="description of two lines"),
    pytest.param({"provider_id": "x"}, id="provider is no uuid"),
    pytest.param({"provider_id": NOBODYS}, id="unknown provider"),
    pytest.param({"parameters": None}, id="null parameters"),
    pytest.param({"parameters": {"OS::None::Such": {}}}, id="unknown type"),
    pytest.param({"parameters": {f"{VOLUME}#x": {}}}, id="parameters of no uuid"),
    pytest.param({"parameters": {VOLUME: {"nosuch": "1"}}}, id="unknown option"),
    pytest.param({"parameters": {VOLUME: {"force": 1.5}}}, id="option is a fraction"),
    pytest.param({"parameters": {"a/b": {}}}, id="forbidden character"),
    pytest.param({"resources": []}, id="no resources"),
    pytest.param({"resources": [{"id": "1", "type": VOLUME}]}, id="resource without name"),
    pytest.param({"status": "started"}, id="unknown member"),
    pytest.param({"selectors": [{"type": VOLUME}]}, id="selector of nothing"),
    pytest.param({"selectors": [{"type": VOLUME, "tags": ["a"], "metadata": {"a": "b"}}]},
                 id="selector of both"),
    pytest.param({"selectors": [{"type": "x", "tags": ["a"]}]}, id="selector of no type"),
])
def test_what_means_nothing_is_refused(api: Api, wrong: dict[str, Any]) -> None:
    answer = api("POST", "/plans", {"plan": new_plan(**wrong)}, status=400)
    assert answer.json["badRequest"]["code"] == 400
    assert api("GET", "/plans").json == {"plans": []}


def test_a_provider_may_leave_open_what_a_type_takes(api: Api) -> None:
    made = api.make_plan(parameters={"OS::Neutron::Network": {"x": 1},
                                     "OS::Nova::Server": {"y": 2}})
    assert made["parameters"] == {"OS::Neutron::Network": {"x": "1"},
                                  "OS::Nova::Server": {"y": "2"}}


def test_a_plan_is_changed_member_by_member(api: Api) -> None:
    id = api.make_plan(description="old")["id"]
    changed = api("PUT", f"/plans/{id}", {"plan": {"name": "new", "description": None}}).json
    assert (changed["plan"]["name"], changed["plan"]["description"]) == ("new", None)
    assert len(changed["plan"]["resources"]) == 1
    resources = [{"id": "s", "type": "OS::Nova::Server", "name": "s"}]
    api("PUT", f"/plans/{id}", {"plan": {"resources": resources}})
    assert api("GET", f"/plans/{id}").json["plan"]["resources"] == resources


@pytest.mark.parametrize("change", [
    {}, {"provider_id": PROVIDER}, {"parameters": {}}, {"name": None}, {"resources": []}])
def test_changes_that_cannot_be(api: Api, change: dict[str, Any]) -> None:
    id = api.make_plan()["id"]
    api("PUT", f"/plans/{id}", {"plan": change}, status=400)


def test_a_started_plan_stands_fast_until_it_is_suspended(api: Api) -> None:
    id = api.make_plan()["id"]
    api("PUT", f"/plans/{id}", {"plan": {"status": "started"}})
    refused = api("PUT", f"/plans/{id}", {"plan": {"name": "new"}}, status=400).json
    assert "set its status to suspended first" in refused["badRequest"]["message"]
    api("PUT", f"/plans/{id}", {"plan": {"status": "suspended", "name": "new"}})
    assert api("GET", f"/plans/{id}").json["plan"]["name"] == "new"


def test_a_deleted_plan_is_gone(api: Api) -> None:
    id = api.make_plan()["id"]
    answer = api("DELETE", f"/plans/{id}")
    assert answer.content == b""
    assert api("GET", f"/plans/{id}", status=404).json == {"itemNotFound": {
        "code": 404, "message": f"Plan {id} could not be found."}}
    api("DELETE", f"/plans/{id}", status=404)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_plans_of_others_do_not_exist_but_for_administrators(api: Api, method: str) -> None:
    id = api.of(THEIRS).make_plan()["id"]
    body = {"plan": {"name": "taken"}} if method == "PUT" else None
    refused = api(method, f"/plans/{id}", body, status=404).json
    absent = api(method, f"/plans/{NOBODYS}", body, status=404).json
    assert str(refused).replace(id, NOBODYS) == str(absent)
    api.of(ADMIN)(method, f"/plans/{id}", body)


def test_an_id_is_a_uuid(api: Api) -> None:
    api("GET", "/plans/x", status=400)
    id = api.make_plan()["id"]
    assert api("GET", f"/plans/{id}.json").json["plan"]["id"] == id


def test_the_list_is_of_the_project(api: Api) -> None:
    mine, theirs = api.make_plan(name="mine")["id"], api.of(THEIRS).make_plan(name="theirs")["id"]

    def ids(who: Api, query: str) -> set[str]:
        return {one["id"] for one in who("GET", "/plans", query_string=query).json["plans"]}

    admin = api.of(ADMIN)
    assert ids(api, "") == ids(api, "all_tenants=1") == {mine}
    assert ids(api, f"all_tenants=1&project_id={OTHER}") == {mine}
    assert ids(admin, "") == ids(admin, f"project_id={OTHER}") == {mine}
    assert ids(admin, "all_tenants=True") == {mine, theirs}
    assert ids(admin, f"all_tenants=1&project_id={OTHER}") == {theirs}
    assert ids(api.of(READER), "") == {mine}


def test_the_list_is_filtered_by_text_never_by_patterns(api: Api) -> None:
    for name in ("alpha", "a%a", "123", "Beta"):
        api.make_plan(name=name)

    def names(query: str) -> set[str]:
        return {one["name"] for one in api("GET", "/plans", query_string=query).json["plans"]}

    assert names("name=lph") == {"alpha"}
    assert names("name=%25") == {"a%a"}
    assert names("name=123") == {"123"}
    assert names("name=.*") == names("name=[") == set()
    assert names("description=x") == set()
    assert names("status=started") == set()
    assert names("status=suspended&nosuch=1&limit=3") == {"123", "Beta", "a%a"}


def test_the_quota_is_kept(serve: Callable[..., Api]) -> None:
    api = serve(plans=1)
    id = api.make_plan()["id"]
    answer = api("POST", "/plans", {"plan": new_plan()}, status=413)
    assert answer.headers["Retry-After"] == "0"
    assert answer.json["overLimit"]["retryAfter"] == "0"
    assert answer.json["overLimit"]["message"].startswith(
        "Maximum number of plans allowed (1) exceeded")
    api.of(THEIRS).make_plan()
    api("DELETE", f"/plans/{id}")
    api.make_plan()


@pytest.mark.parametrize(("given", "said"), [
    ({"force": "maybe"}, "force must be a boolean"), ({"force": -1}, "force must be a boolean"),
    ({"backup_mode": True}, "backup_mode must be a string")])
def test_a_value_that_no_run_could_take_is_refused(api: Api, given: dict[str, Any], said: str
                                                   ) -> None:
    refused = api("POST", "/plans", {"plan": new_plan(parameters={
        "OS::Cinder::Volume": given})}, status=400).json["badRequest"]["message"]
    assert said in refused
    # Clients of Karbor 1.x send every value as text.
    api.make_plan(parameters={"OS::Cinder::Volume": {"force": "True", "backup_mode": "full"}})
