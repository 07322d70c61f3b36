"""The document says what the routes do, and the copy that is checked in is the same."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from karbor.api import openapi, v1
from karbor.api.endpoints import PREFIX
from karbor.api.policies import list_rules
from karbor.api.resources import RESOURCES
from karbor.api.route_declaration import Resource
from tests.unit.api.conftest import Api

COPY = Path(__file__).parents[3] / "docs" / "api" / "openapi.json"


def test_the_copy_is_up_to_date() -> None:
    assert COPY.read_text() == openapi.text(RESOURCES), (
        "python -m karbor.api.openapi > docs/api/openapi.json")


def test_anybody_may_read_it(api: Api) -> None:
    import falcon.testing

    answer = falcon.testing.simulate_get(api.app, "/v1/openapi.json")
    assert answer.json == openapi.document(RESOURCES)


def test_every_resource_is_in_the_list() -> None:
    for module in pkgutil.iter_modules(v1.__path__):
        importlib.import_module(f"{v1.__name__}.{module.name}")
    assert sorted(RESOURCES, key=str) == sorted(Resource.__subclasses__(), key=str)


def test_every_operation_has_a_rule_that_names_it() -> None:
    rules = {one.name: one for one in list_rules()}
    for resource in RESOURCES:
        assert resource.routes()
        for route in resource.routes():
            wanted = {"method": route.method, "path": PREFIX + route.path}
            assert wanted in rules[route.rule].operations, route.rule


def test_operations_have_names_of_their_own() -> None:
    names = [operation["operationId"] for path in openapi.document(RESOURCES)["paths"].values()
             for method, operation in path.items() if method != "parameters"]
    assert len(names) == len(set(names))
