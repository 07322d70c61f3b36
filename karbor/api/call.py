"""Call: one request as the method of a resource sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from karbor.api.context import Context
from karbor.api.enforcement import Permissions
from karbor.api.lists import Link, listing, next_page
from karbor.api.route_declaration import Route
from karbor.domain.errors import NotFound
from karbor.domain.listing import Listing

B = TypeVar("B")
T = TypeVar("T")


@dataclass(frozen=True)
class Call(Generic[B]):
    """`path` are the parameters of the path, `query` those behind it, `body` is decoded.
    `base` is what addresses in answers begin with, up to and without /v1. `last_event` is None
    where no stream of events is asked for, else the id of the last one that the client has seen."""

    context: Context
    route: Route
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: B
    base: str
    longest: int
    largest_bytes: int
    permissions: Permissions
    last_event: str | None = None

    @property
    def project_id(self) -> str:
        """Whose things are meant, and whose a new thing will be: the project of the token."""
        return self.path["project_id"]

    def find(self, show: Callable[[str | None], T]) -> T:
        """Return what `show` finds of this name in the project, or, for administrators, in any
        (None). What is found then has to pass `admit`. Raises NotFound."""
        try:
            return show(self.project_id)
        except NotFound:
            if not self.permissions.is_admin:
                raise
            return show(None)

    def admit(self, project_id: str, noun: str, id: str) -> None:
        """Ask the rule again, for the project that the thing belongs to. Raises NotFound: what one
        may not have does not exist."""
        if project_id == self.project_id:
            return      # that was asked before
        if not self.permissions.allows(self.route.rule, project_id):
            raise NotFound(f"{noun} {id} could not be found.")

    def listing(self) -> Listing:
        """Which part of the collection is asked for. Raises BadInput."""
        assert self.route.collection is not None    # noqa: S101 - of routes that are lists only
        return listing(self.query, self.route.collection, project_id=self.project_id,
                       admin=self.permissions.is_admin, longest=self.longest,
                       largest_bytes=self.largest_bytes)

    def next_page(self, asked: Listing, ids: Sequence[str], *, cut: bool = False
                  ) -> list[Link] | msgspec.UnsetType:
        """For the member `…_links` of the answer. `cut`: more follow, although fewer than were
        asked for are there."""
        return next_page(self.base + "/v1" + self._path(), self.query, asked, ids, cut=cut)

    def _path(self) -> str:
        return f"/{{project_id}}{self.route.path}".format(**self.path)
