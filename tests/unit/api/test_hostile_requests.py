"""Whatever a client sends, it is never a 500: bytes that are no UTF-8, in every place; JSON that
nests, repeats itself or has what no database holds; types of services that the cloud lacks."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import example, given
from hypothesis import strategies as st

from karbor.api.application import make_app
from karbor.api.bodies import DEPTH, deeper_than
from karbor.api.resources import RESOURCES
from karbor.api.route_declaration import UUID, Route
from karbor.domain.resource import TYPES
from karbor.store.connect import connect, writing
from karbor.store.plan_tables import PLANS
from karbor.store.shallow_json import LEFT_OUT
from tests.unit.api.conftest import Api, configured, new_plan, wiring_of
from tests.unit.api.hostile import send
from tests.unit.api.people import MINE, fake_keystone
from tests.unit.api.test_schedules import ScheduleService

ROUTES = [route for resource in RESOURCES for route in resource.routes()]
ABSENT = "33333333-3333-4333-8333-333333333333"
BAD = ["\xff", "\xed\xa0\x80", "\x00", "%00", "%ED%A0%80", "%F0%9F%98%80", "%FF%FE", "9" * 400,
       "-" + "9" * 30, "1e400", "%EF%BC%91", "'", "%5B" * 2000, "../..", "NaN", "%"]
KINDS = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
         "application/json; charset=utf-16", "application/json-patch+json", "*/*", "", None,
         "application/json, text/plain"]
BODIES = [b"\xff", b'{"plan":"\xff"}', b'{"\xff":1}', b'{"plan":{"name":"\\ud800"}}',
          b"[" * 100_000, b'{"a":' * 50_000, b"1e999999", b"9" * 5000, b"\xef\xbb\xbf{}",
          "{}".encode("utf-16"),
          b"\x00", b"null", b'{"plan":{},"plan":[]}', b'"\xed\xa0\x80"', b"]", b'{"a":"\\u0000"}']
HEADERS = ["HTTP_ACCEPT", "HTTP_X_OPENSTACK_REQUEST_ID", "HTTP_LAST_EVENT_ID", "HTTP_HOST",
           "HTTP_X_FORWARDED_FOR", "HTTP_X_ROLES", "HTTP_RANGE", "CONTENT_LENGTH",
           "HTTP_X_OPENSTACK_NOVA_API_VERSION", "HTTP_EXPECT", "HTTP_TRANSFER_ENCODING"]


@pytest.fixture(scope="module")
def on_sqlite(request: pytest.FixtureRequest, empty_database: Path) -> Iterator[Api]:
    with application(request, empty_database, "sqlite") as made:
        yield made


@contextmanager
def application(request: pytest.FixtureRequest, empty: Path, kind: str) -> Iterator[Api]:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        if kind == "postgresql":
            url = request.getfixturevalue("postgresql").database()
        else:
            shutil.copy(empty, place / "karbor.sqlite")
            url = f"sqlite:///{place / 'karbor.sqlite'}"
        engine = connect(url)
        conf = configured(place)
        wiring = wiring_of(conf, engine, ScheduleService(conf, engine))
        yield Api(make_app(conf, wiring, fake_keystone), wiring)
        engine.dispose()


def values(route: Route) -> dict[str, str]:
    found = {name: ABSENT if kind == UUID else "x" for name, kind in route.parameters.items()}
    if "protectable_type" in found:
        found["protectable_type"] = "OS::Nova::Server"
    if route.project_in:
        found[route.project_in] = MINE
    return found


def name_of(route: Route) -> str:
    return f"{route.method} {route.path}"


@pytest.mark.parametrize("route", ROUTES, ids=name_of)
def test_bytes_that_mean_nothing(on_sqlite: Api, route: Route) -> None:
    known = values(route)
    path = f"/v1/{MINE}{route.path.format(**known)}"
    names = [*(("marker", "sort", "limit", "offset", "project_id", "all_tenants",
                *route.collection.filters) if route.collection else ()),
             *(one.name for one in route.query)]

    def must_not_fail(what: str, asked: str, **more: Any) -> None:
        answer = send(on_sqlite.app, route.method, asked, **more)
        assert answer.status < 500, f"{what}: {answer.body!r}"
        answer.body.decode()

    for bad in BAD:
        for name in known:
            must_not_fail(f"{name} in the path: {bad[:20]!r}", f"/v1/{MINE}" + route.path.format(
                **{**known, name: bad}), body=b"{}")
        for name in dict.fromkeys(names):
            must_not_fail(f"{name}={bad[:20]!r}", path, query=f"{name}={bad}", body=b"{}")
        must_not_fail(f"{bad[:20]!r}=1", path, query=f"{bad}=1", body=b"{}")
        must_not_fail(f"content type {bad[:20]!r}", path, body=b"{}", content_type=bad)
    for header in HEADERS:
        must_not_fail(header, path, body=b"{}", headers={header: "\xff\x00"})
    if route.body:
        for body in BODIES:
            must_not_fail(f"body {body[:20]!r}", path, body=body)
        for kind in KINDS:
            must_not_fail(f"content type {kind!r}", path, body=BODIES[2], content_type=kind)


@pytest.mark.parametrize("path", ["/{}", "/v1/{}", "/v1/{}/plans", "/v1/openapi.json/{}",
                                  f"/v1/{MINE}/{{}}", f"/v1/{MINE}/plans/{ABSENT}/{{}}"])
def test_paths_that_lead_nowhere(on_sqlite: Api, path: str) -> None:
    for bad in [*BAD, "", ".json", "//"]:
        for method in ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "NO\xffNE"):
            answer = send(on_sqlite.app, method, path.format(bad), query=bad, body=b"{}")
            assert answer.status < 500 or (answer.status == 501), (method, bad[:20], answer.body)


@pytest.mark.parametrize("type", TYPES)
def test_types_of_services_that_the_cloud_lacks(api: Api, type: str) -> None:
    here = type not in ("OS::Trove::Instance", "OS::Manila::Share", "OS::Kubernetes::Pod")
    answer = api("GET", f"/protectables/{type}/instances", status=200 if here else 404)
    if not here:
        assert "this cloud has no " in answer.json["itemNotFound"]["message"]
        api("GET", f"/protectables/{type}/instances/x", status=404)


def nested(depth: int, kind: str = "[]") -> str:
    return ("[" * depth + "]" * depth) if kind == "[]" else '{"a":' * depth + "1" + "}" * depth


def deep_plan(depth: int, kind: str = "[]") -> bytes:
    plan = json.dumps({"plan": new_plan(resources=[{
        "id": "v", "type": "OS::Cinder::Volume", "name": "n", "extra_info": "@"}])})
    return plan.replace('"@"', nested(depth, kind)).encode()


@pytest.mark.parametrize("kind", ["[]", "{}"])
def test_nesting_is_refused_at_a_stated_depth(api: Api, kind: str) -> None:
    inside = DEPTH - 4      # the body, the plan, its resources, the resource
    assert send(api.app, "POST", f"/v1/{MINE}/plans", body=deep_plan(inside, kind)).status == 200
    for depth in (inside + 1, 950, 5000):
        answer = send(api.app, "POST", f"/v1/{MINE}/plans", body=deep_plan(depth, kind))
        assert answer.status == 400
        assert b"more than 64 lists and objects within each other" in answer.body
    assert len(api("GET", "/plans").json["plans"]) == 1


@given(st.recursive(st.one_of(st.none(), st.text(alphabet='[]{}"\\a')),
                    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(
                        st.text(alphabet='[]{}"\\a', max_size=4), inner, max_size=3)),
                    max_leaves=30), st.integers(0, 6))
@example([{"a": [{}]}], 3)
@example([{"a": [{}]}], 4)
def test_depth_is_counted_outside_of_texts(value: Any, depth: int) -> None:
    def depth_of(one: Any) -> int:
        inner = one.values() if isinstance(one, dict) else one if isinstance(one, list) else None
        return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)

    for raw in (json.dumps(value), json.dumps(value, indent=1, ensure_ascii=False)):
        assert deeper_than(raw.encode(), depth) == (depth_of(value) > depth)


@pytest.mark.parametrize("depth", [70, 500, 950, 5000])
@pytest.mark.parametrize("kind", ["[]", "{}"])
def test_what_was_stored_deep_before_is_shown_and_can_be_used(
        api: Api, engine: sa.Engine, depth: int, kind: str) -> None:
    plan = api.make_plan()
    stored = ('[{"id": "v", "type": "OS::Cinder::Volume", "name": "[n", "extra_info": '
              + nested(depth, kind) + "}]")
    with writing(engine) as connection:
        connection.execute(sa.text("UPDATE plans SET resources = :deep"), {"deep": stored})
    for shown in (api("GET", f"/plans/{plan['id']}").json["plan"],
                  api("GET", "/plans").json["plans"][0],
                  api("PUT", f"/plans/{plan['id']}", {"plan": {"name": "flat"}}).json["plan"]):
        (one,) = shown["resources"]
        assert (one["id"], one["name"]) == ("v", "[n")
        assert LEFT_OUT in json.dumps(one["extra_info"])
    with writing(engine) as connection:
        connection.execute(sa.select(PLANS.c.resources)).all()
    api("DELETE", f"/plans/{plan['id']}")


def test_a_plan_names_as_many_resources_as_the_cloud_allows(
        serve: Callable[..., Api], conf: Any) -> None:
    conf.set_override("osapi_max_plan_resources", 2)
    api = serve()
    three = [{"id": f"v{number}", "type": "OS::Cinder::Volume", "name": ""} for number in range(3)]
    refused = api("POST", "/plans", {"plan": new_plan(resources=three)}, status=400)
    assert refused.json["badRequest"]["message"].startswith(
        "the plan has 3 resources; this cloud allows 2")
    plan = api.make_plan(resources=three[:2])
    api("PUT", f"/plans/{plan['id']}", {"plan": {"resources": three}}, status=400)
    conf.set_override("osapi_max_plan_resources", 1)
    assert len(api("GET", f"/plans/{plan['id']}").json["plan"]["resources"]) == 2
    api("PUT", f"/plans/{plan['id']}", {"plan": {"name": "as it was"}})


def test_pages_end_before_they_are_too_large(serve: Callable[..., Api], conf: Any) -> None:
    """Whoever follows the links sees everything, one large plan as well."""
    conf.set_override("osapi_max_limit", 1000)
    conf.set_override("osapi_max_page_bytes", 3000)
    api = serve()
    large = [{"id": "v", "type": "OS::Cinder::Volume", "name": "n" * 900}]
    names = [api.make_plan(name=f"p{number}", resources=large * size)["name"]
             for number, size in enumerate([1, 1, 1, 1, 9, 1, 1])]
    seen, sizes, path = [], [], "/plans?sort=name:asc"
    while path:
        page = api("GET", path.partition("?")[0], query_string=path.partition("?")[2]).json
        seen += [one["name"] for one in page["plans"]]
        sizes.append(len(page["plans"]))
        (link,) = page.get("plans_links") or [{"href": ""}]
        path = link["href"].partition(MINE)[2]
    assert seen == names
    assert sizes in ([2, 2, 1, 2], [3, 1, 1, 2])
