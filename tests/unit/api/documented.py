"""What the OpenAPI document says of an answer, compared with the answer."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import falcon.testing
import jsonschema

from karbor.api import openapi
from karbor.api.resources import RESOURCES

DOCUMENT = openapi.document(RESOURCES)


def must_be_documented(method: str, path: str, answer: falcon.testing.Result) -> None:
    """Fails for a status, a body or a header that the document does not have. What has no route is
    not in the document either."""
    found = [item for pattern, item in _paths() if pattern.fullmatch(path)]
    if not found or method.lower() not in found[0]:
        assert answer.status_code in (401, 404), answer.status_code
        return
    responses = found[0][method.lower()]["responses"]
    assert str(answer.status_code) in responses, (method, path, answer.status_code)
    said = responses[str(answer.status_code)]
    if "$ref" in said:
        said = DOCUMENT["components"]["responses"][said["$ref"].rpartition("/")[2]]
    for name in ("x-openstack-request-id", "x-compute-request-id"):
        assert answer.headers[name].startswith("req-")
    if "content" not in said:
        assert answer.content == b""
        return
    kind = answer.headers["content-type"].partition(";")[0]
    schema = {**said["content"][kind]["schema"], "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(schema).validate(
        answer.json if kind == "application/json" else answer.text)


@cache
def _paths() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    return [(re.compile(re.sub(r"\{[^}]*\}", "[^/]+", path) + r"(\.json)?"), item)
            # A path that is written out counts before one with parameters (OpenAPI 3.1, 4.8.8.2).
            for path, item in sorted(DOCUMENT["paths"].items(), key=lambda one: one[0].count("{"))]
