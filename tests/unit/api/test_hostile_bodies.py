"""Bodies that are right but for one thing, for every route that takes one: never a 500."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from karbor.api.bodies import DEPTH
from karbor.domain.scheduled_operation import OperationType, ScheduledOperation
from karbor.store.scheduled_operations import ScheduledOperations
from karbor.store.services import Services
from tests.unit.api.conftest import PROVIDER, Api, new_plan
from tests.unit.api.hostile import send
from tests.unit.api.people import MINE
from tests.unit.api.test_hostile_requests import ABSENT, ROUTES, application

PLAN = new_plan(selectors=[{"type": "OS::Nova::Server", "tags": ["gold"]}], description="d",
                parameters={"OS::Cinder::Volume": {"backup_mode": "full"}})
TRIGGER = {"name": "t", "type": "time", "properties": {
    "format": "calendar", "pattern": "BEGIN:VEVENT\nRRULE:FREQ=DAILY\nEND:VEVENT",
    "start_time": "2026-01-01 00:00:00", "end_time": "2369-12-31 23:59:59", "window": 900,
    "time_zone": "Europe/Berlin"}}
SCHEDULE = {"name": "s", "description": "d", "operation_type": "protect", "trigger_id": ABSENT,
            "operation_definition": {"plan_id": ABSENT, "provider_id": PROVIDER}}
SCHEDULED = "77777777-7777-4777-8777-777777777777"
RIGHT: Mapping[str, Any] = {
    "POST /plans": {"plan": PLAN},
    "PUT /plans/{plan_id}": {"plan": {
        "name": "p", "description": "d", "status": "suspended",
        **{key: PLAN[key] for key in ("resources", "selectors", "parameters")}}},
    "POST /providers/{provider_id}/checkpoints": {"checkpoint": {
        "plan_id": ABSENT, "extra-info": {"k": "v"}}},
    "PUT /providers/{provider_id}/checkpoints/{checkpoint_id}": {
        "os-resetState": {"state": "error"}},
    "POST /providers/{provider_id}/checkpoints/action": {"copy": {
        "plan_id": ABSENT, "checkpoint_id": ABSENT, "target_provider_id": ABSENT,
        "parameters": {"OS::Nova::Server": {"k": "v"}}}},
    "POST /restores": {"restore": {"provider_id": PROVIDER, "checkpoint_id": ABSENT, "parameters": {
        "OS::Nova::Server": {"k": "v"}}, "restore_target": "http://keystone/v3",
        "restore_auth": {"type": "password"}}},
    "POST /verifications": {"verification": {
        "provider_id": PROVIDER, "checkpoint_id": ABSENT,
        "parameters": {"OS::Nova::Server": {"k": "v"}}}},
    "POST /triggers": {"trigger_info": TRIGGER},
    "PUT /triggers/{trigger_id}": {"trigger_info": {
        key: TRIGGER[key] for key in ("name", "properties")}},
    "POST /scheduled_operations": {"scheduled_operation": SCHEDULE},
    "PUT /scheduled_operations/{scheduled_operation_id}": {"scheduled_operation": {
        "name": "s", "description": "d", "enabled": False, "trigger_id": ABSENT,
        "operation_definition": SCHEDULE["operation_definition"]}},
    "PUT /os-services/{service_id}": {"status": "disabled", "disabled_reason": "maintenance"},
    "PUT /quotas/{quota_project_id}": {"quota": {"plans": 1, "checkpoints": 2}},
    "PUT /quota_classes/{class_name}": {"quota_class": {"plans": 1, "checkpoints": 2}}}
RAW = [b"9" * 5000, b"-" + b"9" * 25, b"1e400", b"-0.0", b"NaN", b"\xff", b'"\xff"',
       b'"\\ud800"', b'"\\ud83d\\ude00"', b'"\\u0000"', b'"\\udc00\\ud800"', b"'",
       b"[" * (DEPTH - 8) + b"]" * (DEPTH - 8), b'{"a":' * (DEPTH + 1) + b"1" + b"}" * (DEPTH + 1),
       b'{"a":1,"a":2,"a":{}}', b'"' + b"x" * 70_000 + b'"', b"", b"1 2"]
"""What stands in a body as it is: no library would write it."""
TEXTS = [raw for raw in RAW if raw.startswith(b'"')]
"""The others reach no database, or reach all alike."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def hostile(request: pytest.FixtureRequest, empty_database: Path) -> Iterator[Api]:
    """One application for all requests. Texts that SQLite takes, PostgreSQL may not."""
    with application(request, empty_database, request.param) as made:
        yield made


@pytest.fixture(scope="module")
def known(hostile: Api) -> Mapping[str, str]:
    """Things that are there: name of a path parameter → id. Their ids stand in bodies, too."""
    plan_id = hostile.make_plan()["id"]
    trigger = hostile("POST", "/triggers", {"trigger_info": TRIGGER}).json["trigger_info"]
    database = hostile.wiring.services._engine
    ScheduledOperations(database).add(ScheduledOperation(
        SCHEDULED, MINE, "s", OperationType.PROTECT, trigger["id"],
        {"plan_id": plan_id, "provider_id": PROVIDER}, {"user_id": "user-admin"}, {}, 1.0))
    service = Services(database).beat("karbor-worker", "here", 1.0)
    return {"plan_id": plan_id, "trigger_id": trigger["id"], "provider_id": PROVIDER,
            "scheduled_operation_id": SCHEDULED, "service_id": str(service.id),
            "checkpoint_id": ABSENT, "quota_project_id": MINE, "class_name": "default"}


TEXT = st.one_of(st.sampled_from(["\ud800", "a\udfff", "\x00", "", " ", "x" * 70_000, "é\u2028"]),
                 st.text(max_size=12))
VALUE = st.recursive(st.one_of(
    st.none(), st.booleans(), TEXT, st.integers(-10**30, 10**30), st.floats()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=6)
def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where in a body something could stand instead."""
    inner = (value.items() if isinstance(value, dict)
             else enumerate(value) if isinstance(value, list) else ())
    return [path, *(one for key, item in inner for one in places(item, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], by)
    return copy


def with_known(value: Any, known: Mapping[str, str], name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: with_known(one, known, key) for key, one in value.items()}
    if isinstance(value, list):
        return [with_known(one, known) for one in value]
    return known.get(name, value) if isinstance(value, str) else value


def asked(known: Mapping[str, str], name: str) -> tuple[str, str, Any]:
    method, _, path = name.partition(" ")
    return method, f"/v1/{MINE}{path.format(**known)}", with_known(RIGHT[name], known)


def test_every_route_with_a_body_is_here() -> None:
    assert {f"{route.method} {route.path}" for route in ROUTES if route.body} == set(RIGHT)


@pytest.mark.parametrize("name", RIGHT)
def test_a_good_body_with_bytes_in_it_that_no_library_writes(
        hostile: Api, known: Mapping[str, str], name: str) -> None:
    method, path, right = asked(known, name)
    on_sqlite = hostile.wiring.services._engine.dialect.name == "sqlite"
    marker = "a text that stands nowhere else"
    for place in places(right):
        around = json.dumps(replaced(right, place, marker)).encode()
        for raw in RAW if on_sqlite else TEXTS:
            answer = send(hostile.app, method, path,
                          body=around.replace(json.dumps(marker).encode(), raw))
            assert answer.status < 500, (place, raw[:40], answer.body)
            answer.body.decode()


@pytest.mark.parametrize("name", RIGHT)
def test_a_good_body_with_something_strange_in_it(
        hostile: Api, known: Mapping[str, str], name: str) -> None:
    method, path, right = asked(known, name)

    @settings(max_examples=25, deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(places(right)), VALUE)
    def ask(place: tuple[Any, ...], value: Any) -> None:
        body = json.dumps(replaced(right, place, value)).encode()
        answer = send(hostile.app, method, path, body=body)
        assert answer.status < 500, (body[:300], answer.body)

    ask()
    for one in ("/plans", "/triggers", "/scheduled_operations"):
        assert send(hostile.app, "GET", f"/v1/{MINE}{one}").status == 200
