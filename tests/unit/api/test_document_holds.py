"""Requests made up from the OpenAPI document: none ends in a 500, or as the document does not say.

Operations that are added later are covered as soon as they are in the document. Give `known` the
ids of things that exist, or only absent ones are asked for.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.specs.openapi import checks

from karbor.api import openapi
from karbor.api.application import make_app
from karbor.api.endpoints import PREFIX
from karbor.api.resources import RESOURCES
from karbor.store.connect import connect
from karbor.store.upgrade import upgrade
from tests.unit.api.conftest import PROVIDER, Api, configured, wiring_of
from tests.unit.api.people import ADMIN, MINE, fake_keystone

DOCUMENT = openapi.document(RESOURCES)
OPERATIONS = [(method, path) for path, item in DOCUMENT["paths"].items()
              for method in item if method != "parameters"]
EXAMPLES = max(4, 160 // len(OPERATIONS))   # some 15 seconds, however many operations there are


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Any:
    place: Path = tmp_path_factory.mktemp("api")
    engine = connect(f"sqlite:///{place / 'karbor.sqlite'}")
    upgrade(engine)
    conf = configured(place)
    wiring = wiring_of(conf, engine)
    yield Api(make_app(conf, wiring, fake_keystone), wiring)
    engine.dispose()


@pytest.fixture(scope="module")
def known(api: Api) -> Mapping[str, str]:
    """Name of a path parameter, or of a member of a body → the id of something that is there."""
    return {"project_id": MINE, "quota_project_id": MINE, "class_name": "default",
            "plan_id": api.make_plan()["id"], "provider_id": PROVIDER}


def with_known(known: Mapping[str, str]) -> dict[str, Any]:
    """The document, in which only things that are there are named by the well-meaning."""
    document = copy.deepcopy(DOCUMENT)
    for item in document["paths"].values():
        for parameter in item.get("parameters", ()):
            if parameter["name"] in known:
                parameter["schema"] = {"enum": [known[parameter["name"]]]}
    for schema in document["components"]["schemas"].values():
        for name in schema.get("properties", {}):
            if name in known:
                schema["properties"][name] = {"enum": [known[name]]}
            elif name == "parameters":
                schema["properties"][name]["propertyNames"] = {"enum": ["OS::Nova::Server"]}
    return document


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_the_document_holds(api: Api, known: Mapping[str, str], method: str, path: str) -> None:
    schema = schemathesis.openapi.from_dict(with_known(known))
    schema.app = api.app
    operation = schema[path][method.upper()]
    said = {int(one) for one in DOCUMENT["paths"][path][method]["responses"]}
    seen: set[int] = set()

    @hypothesis.settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
                         suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(case=operation.as_strategy() | operation.as_strategy(
        schemathesis.GenerationMode.NEGATIVE))
    def ask(case: Any) -> None:
        answer = case.call(headers=ADMIN.headers if path.startswith(PREFIX) else {})
        seen.add(answer.status_code)
        assert answer.status_code != 500, answer.text
        assert answer.status_code in said, answer.text
        case.validate_response(answer, checks=[
            checks.status_code_conformance, checks.content_type_conformance,
            checks.response_schema_conformance, checks.response_headers_conformance])

    ask()
    assert seen
