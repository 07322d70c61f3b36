"""Every operation of the API, those that will be added too, asked by everybody everywhere."""

from __future__ import annotations

import pytest

from karbor.api import openapi
from karbor.api.endpoints import PREFIX
from karbor.api.resources import RESOURCES
from karbor.api.route_declaration import UUID, Route
from tests.unit.api.conftest import Api
from tests.unit.api.people import ADMIN, MEMBER, MINE, OTHER, READER, Person

ROUTES = [route for resource in RESOURCES for route in resource.routes()]
FOR_ADMINISTRATORS = {"service:get_all", "service:update", "quota:update", "quota:delete",
                      "quota_class:get", "quota_class:update"}
EVERYBODY = [Person(role, project) for project in (MINE, OTHER)
             for role in ("nobody", "reader", "member", "admin")]
ID = "33333333-3333-4333-8333-333333333333"


def least_role(route: Route) -> str:
    """By the sense of the thing, not by its rule: who looks is a reader, who changes a member."""
    if route.rule in FOR_ADMINISTRATORS:
        return "admin"
    return "reader" if route.method == "GET" else "member"


def path_of(route: Route, project: str) -> str:
    values = {name: ID if kind == UUID else "text" for name, kind in route.parameters.items()}
    if route.project_in:
        values[route.project_in] = project
    return route.path.format(**values)


def name_of(route: Route) -> str:
    return f"{route.method} {route.path}"


@pytest.mark.parametrize("route", ROUTES, ids=name_of)
def test_who_may_ask(api: Api, route: Route) -> None:
    documented = {int(one) for one in openapi.document(RESOURCES)["paths"][
        PREFIX + route.path][route.method.lower()]["responses"]}
    body = {} if route.body else None
    ranks = ["nobody", "reader", "member", "admin"]
    for who in EVERYBODY:
        for project in (MINE, OTHER):
            answer = api.of(who)(route.method, path_of(route, project), body, project=project,
                                 status=None)
            case = f"{who} at {project}: {answer.status_code} {answer.text}"
            assert answer.status_code in documented, case
            if who.project_id != project:
                assert answer.status_code == 400, case
                assert "Malformed request url" in answer.text, case
            elif ranks.index(who.role) < ranks.index(least_role(route)):
                assert answer.status_code == 403, case
                assert answer.json["forbidden"]["code"] == 403, case
            else:
                assert answer.status_code not in (401, 403), case
                assert "Malformed request url" not in answer.text, case


@pytest.mark.parametrize("route", ROUTES, ids=name_of)
def test_nobody_asks_without_a_good_token(api: Api, route: Route) -> None:
    nobody = api.of(None)
    nobody(route.method, path_of(route, MINE), status=401)
    nobody(route.method, path_of(route, MINE), status=401, headers={"X-Auth-Token": "stolen"})


@pytest.mark.parametrize("route", ROUTES, ids=name_of)
def test_tokens_of_the_system_reach_what_is_about_the_system_only(api: Api, route: Route) -> None:
    path, body = path_of(route, MINE), {} if route.body else None
    for role in ("reader", "admin"):
        answer = api.of(Person(role, "", "system"))(route.method, path, body, project=MINE,
                                                    status=None)
        about_the_system = route.rule.split(":")[0] in ("service", "quota", "quota_class")
        if not about_the_system:
            assert answer.status_code == 400, answer.text
        elif role == "reader" and route.method != "GET":
            assert answer.status_code == 403, answer.text
        else:
            assert answer.status_code in ((200, 404) if body is None else (400,)), answer.text
    domain = api.of(Person("admin", "", "domain"))
    domain(route.method, path, body, project=MINE, status=400)


@pytest.mark.parametrize("route", [one for one in ROUTES if one.body], ids=name_of)
@pytest.mark.parametrize(("raw", "kind"), [
    pytest.param("", "application/json", id="nothing"),
    pytest.param("{", "application/json", id="broken"),
    pytest.param("[]", "application/json", id="a list"),
    pytest.param("{}", "application/json", id="empty"),
    pytest.param("{}", "text/plain", id="text"),
    pytest.param("{}", None, id="no type"),
    pytest.param('{"\\ud800": 1}', "application/json", id="half a character"),
    pytest.param("[" * 100_000, "application/json", id="deep"),
    pytest.param(b"\xff\xfe", "application/json", id="no UTF-8"),
])
def test_bodies_that_are_none(api: Api, route: Route, raw: str | bytes, kind: str | None) -> None:
    headers = {"Content-Type": kind} if kind else {}
    answer = api.of(ADMIN)(route.method, path_of(route, MINE), body=raw, status=400,
                           headers=headers)
    assert answer.json["badRequest"]["message"]


def test_the_people_of_the_walk_are_different() -> None:
    assert len({one.token for one in (*EVERYBODY, READER, MEMBER, ADMIN)}) == len(EVERYBODY)
