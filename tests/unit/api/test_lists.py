"""Pages, orders and links, the same for every collection."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import falcon.testing
import pytest
import sqlalchemy as sa

from karbor import config
from karbor.api.application import make_app
from tests.unit.api.conftest import Api, wiring_of
from tests.unit.api.people import MINE, fake_keystone


@pytest.fixture
def full(api: Api) -> Api:
    """Five plans; the configuration lets three of them into one answer."""
    for name, status in (("e", "x"), ("d", "y"), ("c", "x"), ("b", "y"), ("a", "x")):
        id = api.make_plan(name=name)["id"]
        api("PUT", f"/plans/{id}", {"plan": {"status": status}})
    return api


def names(api: Api, query: str = "") -> str:
    return "".join(one["name"] for one in api("GET", "/plans", query_string=query).json["plans"])


@pytest.mark.parametrize(("query", "expected"), [
    ("", "abc"), ("limit=2", "ab"), ("limit=9999999", "abc"), ("limit=2&offset=3", "de"),
    ("sort=created_at:asc", "edc"), ("sort=created_at:desc", "abc"), ("sort=name", "edc"),
    ("sort=name:asc", "abc"), ("sort=status:desc,name:asc", "bda"),
    ("sort=status:asc,name:desc", "eca"), ("sort_key=name&sort_dir=asc", "abc"),
    ("sort_key=name", "edc"), ("sort_dir=asc", "edc"), ("sort=name:asc,name:desc", "abc"),
    ("all_tenants=no&nosuch=1", "abc"), ("sort=", "abc"),
])
def test_orders(full: Api, query: str, expected: str) -> None:
    assert names(full, query) == expected


@pytest.mark.parametrize("query", [
    "limit=0", "limit=-1", "limit=x", "limit=1.5", "limit=", "limit=99999999999999999999",
    "limit=%D9%A3", "offset=-1", "offset=x", "offset=4294967296", "sort=nosuch:asc", "sort=name:up",
    "sort=project_id", "sort=description", "sort=name:asc&sort_key=name", "sort=name&sort_dir=asc",
    "sort_key=nosuch", "sort_dir=up", "all_tenants=maybe", "limit=1&limit=2", "name=%00",
])
def test_what_means_nothing(full: Api, query: str) -> None:
    assert full("GET", "/plans", query_string=query, status=400).json["badRequest"]["message"]


@pytest.mark.parametrize("order", [
    "", "&sort=name:asc", "&sort=status:desc,name:asc", "&sort=status:asc", "&sort=id:asc"])
def test_links_lead_through_all_of_it(full: Api, order: str) -> None:
    query, seen = f"limit=2{order}&status=x", ""
    for _ in range(5):
        answer = full("GET", "/plans", query_string=query).json
        seen += "".join(one["name"] for one in answer["plans"])
        if "plans_links" not in answer:
            break
        [link] = answer["plans_links"]
        assert link["rel"] == "next"
        where = urlsplit(link["href"])
        assert where.path == f"/v1/{MINE}/plans"
        assert parse_qs(where.query)["marker"] == [answer["plans"][-1]["id"]]
        query = where.query
    assert sorted(seen) == ["a", "c", "e"]


def test_a_page_that_is_not_full_has_no_link(full: Api) -> None:
    assert "plans_links" not in full("GET", "/plans", query_string="limit=3&name=a").json
    assert "plans_links" in full("GET", "/plans").json


def test_an_unknown_marker(full: Api, serve: Callable[..., Api]) -> None:
    full("GET", "/plans", query_string=f"marker={MINE}", status=404)
    full("GET", "/plans", query_string="marker=%27", status=404)


@pytest.mark.parametrize(("said", "headers", "expected"), [
    ("", {}, "http://falconframework.org"),
    ("osapi_karbor_base_URL = https://cloud.example/data-protect/\n", {},
     "https://cloud.example/data-protect"),
    ("", {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "outside"},
     "http://falconframework.org"),
    ("[oslo_middleware]\nenable_proxy_headers_parsing = True\n",
     {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "outside", "X-Forwarded-Prefix": "/dp"},
     "https://outside/dp"),
])
def test_addresses_are_those_that_clients_can_reach(
        tmp_path: Path, engine: sa.Engine, said: str, headers: dict[str, str], expected: str
        ) -> None:
    file = tmp_path / "other.conf"
    file.write_text(f"[DEFAULT]\n{said}")
    wiring = wiring_of(engine)
    app = make_app(config.load([file]), wiring, fake_keystone)
    api = Api(app, wiring)
    api.make_plan()
    [link] = api("GET", "/plans", query_string="limit=1", headers=headers).json["plans_links"]
    assert link["href"].startswith(f"{expected}/v1/{MINE}/plans?limit=1&marker=")
    [version] = falcon.testing.simulate_get(app, "/", headers=headers).json["versions"]
    assert version["links"][0] == {"rel": "self", "href": f"{expected}/v1/"}


def test_a_mount_point_is_part_of_addresses(api: Api) -> None:
    answer = falcon.testing.simulate_get(api.app, "/", root_path="/data-protect")
    [version] = answer.json["versions"]
    assert version["links"][0]["href"] == "http://falconframework.org/data-protect/v1/"
