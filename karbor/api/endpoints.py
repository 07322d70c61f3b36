"""Endpoints: routes → Falcon. What every request goes through before a resource sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import falcon
from oslo_config.cfg import ConfigOpts

from karbor.api import event_stream
from karbor.api.bodies import decode, encode, must_be_uuid
from karbor.api.call import Call
from karbor.api.context import Context, from_environ
from karbor.api.enforcement import Enforcement
from karbor.api.route_declaration import UUID, Resource, Route
from karbor.domain.errors import BadInput

Responder = Callable[..., None]
PREFIX = "/v1/{project_id}"


@dataclass(frozen=True)
class Manners:
    """What is the same for all endpoints."""

    policy: Enforcement
    longest_list: int
    largest_page: int   # bytes
    longest_body: int
    base_url: str       # empty: what the request was sent to

    @classmethod
    def of(cls, conf: ConfigOpts, policy: Enforcement) -> Manners:
        return cls(policy, conf.osapi_max_limit, conf.osapi_max_page_bytes,
                   conf.osapi_max_request_body_size,
                   (conf.osapi_karbor_base_URL or "").rstrip("/"))

    def base(self, request: falcon.Request) -> str:
        return self.base_url or request.prefix


class Endpoint:
    """All methods of one path, named as Falcon wants them (on_get, on_post, …)."""

    def __init__(self, methods: Mapping[str, Responder]) -> None:
        for method, responder in methods.items():
            setattr(self, f"on_{method.lower()}", responder)


def add(app: falcon.App[Any, Any], resources: Iterable[Resource], manners: Manners) -> None:
    """Make the app answer to all routes of the resources."""
    paths: dict[str, dict[str, Responder]] = {}
    for resource in resources:
        for route in resource.routes():
            responder = _responder(route, getattr(resource, route.name), manners)
            paths.setdefault(route.path, {})[route.method] = responder
    for path, methods in paths.items():
        app.add_route(PREFIX + path, Endpoint(methods))


def _responder(route: Route, answer: Callable[[Call[Any]], Any], manners: Manners) -> Responder:
    def respond(request: falcon.Request, response: falcon.Response, **path: str) -> None:
        context = from_environ(request.env)
        _check_project(route, context, path, manners.policy)
        project_id = path[route.project_in or "project_id"]
        for name, kind in route.parameters.items():
            if kind == UUID:
                must_be_uuid(name, path[name])
        permissions = manners.policy.of(context)
        permissions.require(route.rule, project_id)
        query = _query(request)
        body = decode(request, route.body, manners.longest_body) if route.body else None
        result = answer(Call(context, route, path, query, body, manners.base(request),
                             manners.longest_list, manners.largest_page, permissions,
                             _last_event(request, route)))
        if result is None:
            response.data = b""
        elif isinstance(result, Iterator):
            response.stream = result
            response.content_type = event_stream.MEDIA
            response.cache_control = ["no-cache"]
            response.set_header("X-Accel-Buffering", "no")      # a proxy in front would collect it
        else:
            response.data = encode(result)
            response.content_type = falcon.MEDIA_JSON

    return respond


def _last_event(request: falcon.Request, route: Route) -> str | None:
    if not route.streams or event_stream.MEDIA not in request.accept:
        return None
    return request.get_header("Last-Event-ID") or ""


def _check_project(route: Route, context: Context, path: Mapping[str, str],
                   policy: Enforcement) -> None:
    if path["project_id"] == context.project_id:
        return
    if context.system_scope and policy.allows_system(route.rule):
        return      # such a token is for no project; the path needs one nevertheless
    raise BadInput("Malformed request url",
                   remedy="its project must be the one that the token is for")


def _query(request: falcon.Request) -> dict[str, str]:
    out: dict[str, str] = {}
    for name, value in request.params.items():
        if not isinstance(value, str):
            raise BadInput(f"{name} is given more than once")
        if "\x00" in name + value:
            raise BadInput(f"{name!r} has a NUL character")
        out[name] = value
    return out
