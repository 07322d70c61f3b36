"""Service: requests to functions, and what all services do alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlencode

from karbor_testing.openstack.cloud import Cloud, Record
from karbor_testing.openstack.exchange import Answer, Refusal, Request

Handler = TypeVar("Handler", bound=Callable[..., Answer])
_PLACE = re.compile(r"\{(\w+)\}")
TITLES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
          405: "Method Not Allowed", 409: "Conflict", 413: "Request Entity Too Large",
          500: "Internal Server Error", 503: "Service Unavailable"}


def route(method: str, path: str) -> Callable[[Handler], Handler]:
    """Answers `method path`; `{name}` stands for one part of a path, `{name+}` for all the rest."""

    def mark(function: Handler) -> Handler:
        known = getattr(function, "answers_to", [])
        function.answers_to = [*known, (method, path)]      # type: ignore[attr-defined]
        return function
    return mark


def _pattern(path: str) -> re.Pattern[str]:
    rest = re.sub(r"\{(\w+)\+\}", r"(?P<\1>.+)", path)
    return re.compile(_PLACE.sub(r"(?P<\1>[^/]+)", rest) + r"/?\Z")


class Part:
    """Some routes of a service that belong together. Parts reach each other through the cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    def routes(self) -> Iterator[tuple[str, re.Pattern[str], Callable[..., Answer]]]:
        for name in dir(type(self)):
            function = getattr(self, name)
            for method, path in getattr(function, "answers_to", ()):
                yield method, _pattern(path), function

    def own(self, kind: str, id: str, request: Request, noun: str) -> Record:
        """The record, whatever its state; 404 when it is absent or another project's."""
        record = self.cloud.kinds[kind].get(id)
        if record is None or not self.cloud.exists(record) or not (
                record["_project"] == request.project_id or request.admin
                or record.get("_public")):
            raise Refusal(404, f"{noun} {id} could not be found.")
        return record

    def visible(self, kind: str, request: Request) -> list[Record]:
        """What this caller may list, oldest first. Every record is looked at once."""
        everything = request.admin and request.one("all_tenants") in {"1", "True", "true"}
        found = [one for one in self.cloud.kinds[kind].values()
                 if everything or one["_project"] == request.project_id or one.get("_public")]
        return [one for one in found if self.cloud.look(one)]


class Service:
    """One service: its name in paths, its entry in the catalog, its way to word an error."""

    name: ClassVar[str]                     # first part of its paths, e.g. volume
    types: ClassVar[tuple[str, ...]]        # in the catalog
    suffix: ClassVar[str] = ""              # of its address in the catalog
    open: ClassVar[tuple[str, ...]] = ()    # patterns of paths that need no token
    parts: ClassVar[tuple[type[Part], ...]] = ()

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        found = [one for part in self.parts for one in cloud.part(part).routes()]
        # What is spelled out goes before what stands for anything.
        self._routes = sorted(found, key=lambda one: (one[1].pattern.count(".+)"),
                                                      one[1].pattern.count("(?P<")))

    def answer(self, request: Request) -> Answer:
        """What the service answers; refusals are worded as the service words them."""
        try:
            if not any(re.fullmatch(one, request.path) for one in self.open):
                request.token = self.authenticated(request)
            return self.finish(request, self.dispatch(request))
        except Refusal as refusal:
            return self.finish(request, self.refused(request, refusal))

    def authenticated(self, request: Request) -> Mapping[str, Any]:
        """Whose request it is, or Refusal(401)."""
        return self.cloud.authenticated(request.headers)

    def dispatch(self, request: Request) -> Answer:
        others = False
        for method, pattern, function in self._routes:
            match = pattern.match(request.path)
            if match and method == request.method:
                return function(request, **match.groupdict())
            others = others or bool(match)
        if others:
            raise Refusal(405, "Method Not Allowed")
        raise Refusal(404, f"The resource could not be found: {request.method} {request.path}")

    def finish(self, request: Request, answer: Answer) -> Answer:
        """Headers that every answer of this service bears."""
        return answer

    def refused(self, request: Request, refusal: Refusal) -> Answer:
        if refusal.status == 401:
            return unauthorized(self.cloud.root, refusal.message)
        return Answer(refusal.status, {"error": {"code": refusal.status,
                                                 "message": refusal.message,
                                                 "title": TITLES.get(refusal.status, "Error")}})


def unauthorized(root: str, message: str) -> Answer:
    """As keystonemiddleware answers."""
    return Answer(401, {"error": {"code": 401, "title": "Unauthorized", "message": message}},
                  {"WWW-Authenticate": f'Keystone uri="{root}/identity"'})


def faultname(refusal: Refusal) -> str:
    """What Nova and Cinder call an error of this status."""
    names = {400: "badRequest", 401: "unauthorized", 403: "forbidden", 404: "itemNotFound",
             405: "badMethod", 409: "conflictingRequest", 413: "overLimit",
             429: "overLimit", 501: "notImplemented", 503: "serviceUnavailable"}
    return names.get(refusal.status, "computeFault")


def page(records: list[dict[str, Any]], request: Request, key: str, *, most: int = 1000
         ) -> dict[str, Any]:
    """A page of a collection as Nova, Cinder and Neutron give it (limit, marker, `KEY_links`)."""
    marker, limit = request.one("marker"), min(int(request.one("limit", str(most))), most)
    if marker:
        ids = [record["id"] for record in records]
        if marker not in ids:
            raise Refusal(400, f"marker [{marker}] not found")
        records = records[ids.index(marker) + 1:]
    body: dict[str, Any] = {key: records[:limit]}
    if limit and len(records) > limit:
        pairs = [(name, value) for name, values in request.query.items() for value in values
                 if name != "marker"] + [("marker", records[limit - 1]["id"])]
        address = f"{request.root}{request.path}?{urlencode(pairs)}"
        body[f"{key}_links"] = [{"rel": "next", "href": address}]
    return body


def shown(record: Mapping[str, Any], fields: Iterable[str]) -> dict[str, Any]:
    return {name: record.get(name) for name in fields}
