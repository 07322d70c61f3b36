"""Declare the routes of the API: what a resource says of each of its operations.

From this both the routing (`karbor.api.endpoints`) and the OpenAPI document (`karbor.api.openapi`)
are made, so that neither can tell of something that the other does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import msgspec

from karbor.api.dependencies import Dependencies
from karbor.api.lists import Collection

F = TypeVar("F", bound=Callable[..., Any])

UUID = "uuid"
"""The form of a path parameter that is an id: anything else is a 400."""
TEXT = "text"


@dataclass(frozen=True)
class QueryParameter:
    """One that is no part of a list's paging. Its value arrives as the text it is."""

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class Route:
    """One operation. `path` is below /v1/{project_id}.

    `rule` is asked for the project of the token before anything else is done, or, with
    `project_in`, for the project that this path parameter names. `refuses` are the statuses of
    errors besides those that every route can have (400, 401, 403, 500, 503). One that `streams`
    also answers with server-sent events, to whoever accepts nothing else.
    """

    method: str
    path: str
    rule: str
    answer: type[msgspec.Struct] | None
    body: type[msgspec.Struct] | None
    refuses: Sequence[int]
    collection: Collection | None
    query: Sequence[QueryParameter]
    parameters: Mapping[str, str]
    project_in: str
    streams: bool
    name: str           # of the method that answers
    summary: str


def route(method: str, path: str, *, rule: str, answer: type[msgspec.Struct] | None = None,
          body: type[msgspec.Struct] | None = None, refuses: Sequence[int] = (),
          collection: Collection | None = None, query: Sequence[QueryParameter] = (),
          text: Sequence[str] = (), project_in: str = "", streams: bool = False
          ) -> Callable[[F], F]:
    """Makes a method of a Resource answer to a request: it is given a `Call` and returns the
    `answer`, or None for an empty one. Its docstring's first line is the operation's summary.

    Path parameters are UUIDs, those named in `text` whatever they are.
    """
    parameters = {part[1:-1]: TEXT if part[1:-1] in text else UUID
                  for part in path.split("/") if part.startswith("{")}

    def mark(function: F) -> F:
        summary = (function.__doc__ or "").strip().splitlines()[0].rstrip(".")
        function.route = Route(                 # type: ignore[attr-defined]
            method, path, rule, answer, body, tuple(refuses), collection, tuple(query),
            parameters, project_in, streams, function.__name__, summary)
        return function

    return mark


class Resource:
    """A collection of the API: its methods with `@route`."""

    tag: ClassVar[str]          # under which heading the document has it

    def __init__(self, needs: Dependencies) -> None:
        self._needs = needs

    @classmethod
    def routes(cls) -> list[Route]:
        """In the order in which they are written."""
        return [var.route for var in vars(cls).values() if hasattr(var, "route")]
