"""OpenAPI 3.1: the document of the API, made of the routes and the schemas of their bodies.

`python -m karbor.api.openapi > docs/api/openapi.json` writes the copy that is checked in.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from karbor.api import event_stream
from karbor.api.bodies import UUID_PATTERN
from karbor.api.endpoints import PREFIX
from karbor.api.errors import KEYS
from karbor.api.lists import Collection
from karbor.api.route_declaration import UUID, Resource, Route
from karbor.api.unauthenticated import DOCUMENT, HEALTH, ROOT

JSON = "application/json"
EVERY_ROUTE = (400, 401, 403, 500, 503)
"""Statuses of errors that any operation can have."""

_REF = "#/components/schemas/{name}"
_MEANING = {
    400: "What was sent means nothing here, or the state of the thing forbids it.",
    401: "No token, or none that is good.",
    403: "The policy does not let the caller do this.",
    404: "No such thing, or none that the caller may see.",
    413: "The quota is used up, or the body is too large.",
    424: "Something else still needs the thing.",
    500: "Karbor, or a service behind it, has erred.",
    503: "Something that is needed does not answer now."}


def document(resources: Iterable[type[Resource]]) -> dict[str, Any]:
    """The whole of it, as JSON."""
    routes = [(resource, route) for resource in resources for route in resource.routes()]
    structs = sorted({type for _, route in routes for type in (route.answer, route.body) if type},
                     key=lambda struct: (struct.__name__, struct.__module__))
    found, schemas = msgspec.json.schema_components(structs, ref_template=_REF)
    for schema in schemas.values():
        if "description" in schema:     # a docstring: indented or not, as the Python is
            schema["description"] = inspect.cleandoc(schema["description"])
    refs = dict(zip(structs, found, strict=True))
    paths: dict[str, dict[str, Any]] = dict(_front())
    for resource, route in routes:
        path = paths.setdefault(PREFIX + route.path, {"parameters": _path_parameters(route)})
        path[route.method.lower()] = _operation(resource, route, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Karbor", "version": "1.0",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Data protection for OpenStack, REST API v1. The service type in "
                           "Keystone's catalog is data-protect."},
        "security": [{"token": []}],
        "tags": [{"name": name} for name in dict.fromkeys(
            resource.tag for resource, _ in routes)],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {
                "type": "apiKey", "in": "header", "name": "X-Auth-Token",
                "description": "A token of Keystone for the project in the path."}},
            "headers": {"RequestId": {
                "description": "What the request is called in Karbor's log.",
                "schema": {"type": "string"}}},
            "responses": {str(status): _error(status) for status in _MEANING},
            "schemas": {**dict(sorted(schemas.items())), "Error": _ERROR}}}


def _operation(resource: type[Resource], route: Route, refs: Mapping[Any, Any]
               ) -> dict[str, Any]:
    room = resource.__module__.rpartition(".")[2]
    content = {JSON: {"schema": refs[route.answer]}} if route.answer else None
    if content and route.streams:
        content[event_stream.MEDIA] = {"schema": {"type": "string"}}
    made: dict[str, Any] = {
        "operationId": f"{room}_{route.name}",
        "tags": [resource.tag],
        "summary": route.summary,
        "description": f"Policy: `{route.rule}`.",
        "parameters": [
            *(_list_parameters(route.collection) if route.collection else ()),
            *(
                {
                    "name": query_parameter.name,
                    "in": "query",
                    "description": query_parameter.description,
                    "schema": dict(query_parameter.schema),
                }
                for query_parameter in route.query
            ),
        ],
        "responses": {"200": _success("Done.", content), **_errors(route)},
    }
    if route.body:
        made["requestBody"] = {"required": True, "content": {JSON: {"schema": refs[route.body]}}}
    return made


def _errors(route: Route) -> dict[str, Any]:
    statuses = {*EVERY_ROUTE, *route.refuses, *([413] if route.body else [])}
    return {str(status): {"$ref": f"#/components/responses/{status}"}
            for status in sorted(statuses)}


def _success(description: str, content: Mapping[str, Any] | None) -> dict[str, Any]:
    made: dict[str, Any] = {
        "description": description,
        "headers": {name: {"$ref": "#/components/headers/RequestId"}
                    for name in ("x-openstack-request-id", "x-compute-request-id")}}
    return made | ({"content": content} if content else {})


def _error(status: int) -> dict[str, Any]:
    made = _success(_MEANING[status], {JSON: {"schema": _of_error(status)}})
    if status == 413:
        made["headers"]["Retry-After"] = {"schema": {"type": "string"}}
    return made


def _of_error(status: int) -> dict[str, Any]:
    name = {"$ref": "#/components/schemas/Error"}
    if status == 401:       # Keystone's middleware has a name of its own
        return name
    return {"allOf": [name, {"required": [KEYS.get(status, "computeFault")]}]}


_ERROR: dict[str, Any] = {
    "title": "Error", "type": "object", "minProperties": 1, "maxProperties": 1,
    "description": "One member, named after the kind of the error.",
    "additionalProperties": {
        "type": "object", "required": ["code", "message"],
        "properties": {"code": {"type": "integer"},
                       "message": {"type": "string",
                                   "description": "What happened, and what to do about it."},
                       "title": {"type": "string"},
                       "retryAfter": {"type": "string"}}}}


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [{
        "name": "project_id", "in": "path", "required": True, "schema": {"type": "string"},
        "description": "The project that the token is for."}]
    for name, kind in route.parameters.items():
        schema: dict[str, Any] = {"type": "string"}
        if kind == UUID:
            schema |= {"pattern": UUID_PATTERN}
        made.append({"name": name, "in": "path", "required": True, "schema": schema})
    return made


def _list_parameters(collection: Collection) -> Sequence[dict[str, Any]]:
    number = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
    known: dict[str, tuple[str, dict[str, Any]]] = {
        "limit": ("At most so many items.", {**number, "minimum": 1}),
        "marker": ("The id of the last item of the page before.", {"type": "string"}),
        "offset": ("Leave out so many items.", number),
        "sort": ("KEY[:asc|desc][,KEY…], by: " + ", ".join(collection.sort_keys) + ".",
                 {"type": "string", "default": "created_at:desc"}),
        "sort_key": ("The old form of sort.",
                     {"type": "string", "enum": list(collection.sort_keys)}),
        "sort_dir": ("The old form of sort.", {"type": "string", "enum": ["asc", "desc"]}),
        "all_tenants": ("Administrators: those of all projects.", {"type": "boolean"}),
        "project_id": ("Administrators, with all_tenants: those of this project.",
                       {"type": "string"})}
    for name, what in collection.filters.items():
        known[name] = (what, {"type": "string"})
    for name, what in collection.admin_filters.items():
        known[name] = (f"Administrators: {what}", {"type": "string"})
    return [{"name": name, "in": "query", "description": what, "schema": schema}
            for name, (what, schema) in known.items()]


def _front() -> dict[str, Any]:
    def get(name: str, summary: str, responses: Mapping[str, Any]) -> dict[str, Any]:
        return {"get": {"operationId": name, "tags": ["front"], "summary": summary,
                        "security": [], "responses": dict(responses)}}

    anything = {JSON: {"schema": {"type": "object"}}}
    reasons = {JSON: {"schema": {"type": "object", "required": ["reasons"], "properties": {
        "reasons": {"type": "array", "items": {"type": "string"}}}}},
        "text/plain": {"schema": {"type": "string"}}}
    return {
        ROOT: get("versions", "List the versions of the API",
                  {"300": _success("The versions.", anything)}),
        "/v1/": get("version", "Describe this version",
                    {"200": _success("The version.", anything)}),
        DOCUMENT: get("document", "Show this document",
                      {"200": _success("The document.", anything)}),
        HEALTH: get("healthcheck", "Whether requests can be answered", {
            "200": _success("They can.", reasons),
            "503": _success("They cannot, or are not to be sent here.", reasons)})}


def text(resources: Iterable[type[Resource]]) -> str:
    """As it is checked in."""
    return json.dumps(document(resources), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    from karbor.api.resources import RESOURCES

    sys.stdout.write(text(RESOURCES))
