"""Protectable: finds resources of one type, and what belongs to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol, runtime_checkable

from karbor.domain.resource import Resource
from karbor.plugin.cloud import Cloud
from karbor.plugin.list_cache import list_cache, name_of_list, now


class DiscoveryLists:
    """What one discovery has listed so far, so that nothing is asked for twice.

    A discovery that asks several protectables about the same list (servers are asked for by the
    project, their volumes by the servers) sends one request for it; and so do the first stages of
    the operation that it is made for.
    """

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self._begun = now()
        self._lists: dict[str, list[dict[str, object]]] = {}

    def list(self, service: str, path: str, key: str, **params: str) -> list[dict[str, object]]:
        """Return all items of a collection as Api.list does, but ask only once per discovery."""
        which = name_of_list(service, path, **params)
        if which not in self._lists:
            self._lists[which] = list_cache(self.cloud).ask(
                which, lambda: self.cloud.api(service).list(path, key, params=params),
                since=self._begun)
        return self._lists[which]


class Protectable(Protocol):
    """One resource type. Stateless; methods may be called from any thread.

    Bulk calls only: the number of requests must depend on the number of *kinds*, not of resources
    (pages aside, and what a list lacks: it is asked for by itself before it is said to be gone). A
    list that fails raises; an empty answer means that there is nothing. A cloud
    without the service at all has no such resources: `dependents` finds none there and asks for
    nothing; `list`, which is what somebody asks for by name, raises ServiceAbsent.
    """

    type: ClassVar[str]
    parents: ClassVar[frozenset[str]]       # types of resources that may bring this one along

    def list(self, listings: DiscoveryLists) -> Sequence[Resource]:
        """Return all that the caller's project has of this type, in a state worth protecting or
        not: the state stands in the facts, so that a dry run can say why something will not
        work."""

    def dependents(self, parents: Sequence[Resource], listings: DiscoveryLists
                   ) -> Mapping[str, Sequence[Resource]]:
        """Return for *all* given parents at once: parent key → its resources of this type."""


@runtime_checkable
class Composite(Protocol):
    """A protectable whose resource stands for many things of its service, as a network topology
    stands for networks. Optional: a protectable without this method has no such resource."""

    def holding(
        self, name_or_id: str, listings: DiscoveryLists, *, by_name: bool
    ) -> Resource | None:
        """Return the resource by which the named thing is protected; None when the caller's
        project sees no such thing. Names count `by_name` only: an id cannot mean anything else."""


def composite_of(protectable: Protectable | None) -> Composite | None:
    """Return the protectable where it is a Composite, else None."""
    return protectable if hasattr(protectable, "holding") else None     # type: ignore[return-value]
