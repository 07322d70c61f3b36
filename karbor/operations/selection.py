"""What a user means by `web-1`: names and ids → resources of the caller's project."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from karbor.domain.errors import AmbiguousName, ServiceAbsent, UnknownName
from karbor.domain.resource import DATABASE, Resource, labels_of
from karbor.plugin import registry
from karbor.plugin.protectable import DiscoveryLists, Protectable, composite_of


def short(type: str) -> str:
    """`OS::Nova::Server` → `server`: what people type. (An instance is a server to most.)"""
    if type == DATABASE:
        return "database"
    return type.rsplit("::", 1)[-1].lower()


def select(words: Sequence[str], protectables: Mapping[str, Protectable], listings: DiscoveryLists,
           origins: Callable[[], Mapping[str, str]] = dict) -> list[Resource]:
    """The resources meant by words of the form `NAME`, `ID`, `TYPE:NAME` or `TYPE:ID` (TYPE as
    `server` or `OS::Nova::Server`), in their order, each once.

    Lists each type that may be meant once. Raises UnknownName and AmbiguousName, the latter with
    the ids to choose from, the newest first, when each was made, and where it comes from: `origins`
    tells that by the id, and is asked only then. Raises ServiceAbsent for a TYPE whose service this
    cloud does not have.
    """
    chosen: dict[str, Resource] = {}
    for word in words:
        types, name = _split(word, protectables)
        everything = [resource for type in types
                      for resource in _all(protectables[type], listings, expressly=len(types) == 1)]
        resources = ([resource for resource in everything if resource.id == name]
                     or [resource for resource in everything if resource.name == name])
        if not resources:
            resources = [one for type in types if (one := _holding(
                protectables[type], name, listings, by_name=len(types) == 1))]
        if not resources:
            raise UnknownName(f"nothing in project {listings.cloud.project_name} is called {word}",
                              remedy="see what there is with: karbor resources")
        if len(resources) > 1:
            known = origins()
            raise AmbiguousName(
                f"{word} means several resources",
                remedy="give one of: "
                + ", ".join(
                    _described(resource, known.get(resource.id, ""))
                    for resource in _newest(resources)[:8]
                ),
            )
        chosen.setdefault(resources[0].key, resources[0])
    return list(chosen.values())


def _holding(protectable: Protectable, name_or_id: str, listings: DiscoveryLists, *, by_name: bool
             ) -> Resource | None:
    """The resource that stands for a thing which is none of its own: see Composite."""
    composite = composite_of(protectable)
    return composite.holding(name_or_id, listings, by_name=by_name) if composite else None


def _newest(found: Sequence[Resource]) -> list[Resource]:
    return sorted(
        found, key=lambda resource: str(resource.facts.get("created_at", "")), reverse=True
    )


def _described(resource: Resource, origin: str) -> str:
    made = str(resource.facts.get("created_at") or "")[:19].replace("T", " ")
    told = ", ".join(filter(None, (f"made {made} UTC" if made else "", origin)))
    return f"{short(resource.type)}:{resource.id}" + (f" ({told})" if told else "")


def _all(
    protectable: Protectable, listings: DiscoveryLists, *, expressly: bool
) -> Sequence[Resource]:
    """A name without a type cannot mean what the cloud has no service for."""
    try:
        return protectable.list(listings)
    except ServiceAbsent:
        if expressly:
            raise
        return ()


def _split(word: str, protectables: Mapping[str, Protectable]) -> tuple[list[str], str]:
    for type in protectables:
        for prefix in (f"{type}:", f"{type}#", f"{short(type)}:"):
            if word.startswith(prefix) and len(word) > len(prefix):
                return [type], word[len(prefix):]
    return list(protectables), word


Selector = Mapping[str, Any]
"""`{"type": …, "tags": [LABEL, …], "metadata": {KEY: VALUE}}`: resources that bear all of these."""


def resolve(wanted: Sequence[Mapping[str, Any]], selectors: Sequence[Selector],
            protectables: Mapping[str, Protectable], listings: DiscoveryLists) -> list[Resource]:
    """The resources that a plan names by type and id, and those that its selectors mean now, each
    once. One list per type. Raises UnknownName for what is not there (any more), for a type that
    nothing here finds, and where all of it comes to nothing."""
    chosen: dict[str, Resource] = {}
    for one in wanted:
        resource = next((r for r in _of_type(one["type"], protectables, listings)
                         if r.id == one["id"]), None)
        if resource is None:
            resource = _holding(protectables[one["type"]], str(one["id"]), listings, by_name=False)
        if resource is None:
            raise UnknownName(
                f"the project has no {one['type']} {one.get('name') or one['id']} ({one['id']})",
                remedy="it may have been deleted: take it out of the plan")
        chosen.setdefault(resource.key, resource)
    for selector in selectors:
        labels = labels_wanted(selector)
        for r in _of_type(str(selector["type"]), protectables, listings):
            if labels <= r.labels:
                chosen.setdefault(r.key, r)
    if not chosen:
        raise UnknownName("nothing in the project is what the plan's selectors look for",
                          remedy="tag a resource, or change the plan")
    return list(chosen.values())


def labels_wanted(selector: Selector) -> set[str]:
    """What a resource must bear."""
    return set(labels_of(selector.get("tags") or (), selector.get("metadata") or {}))


def _of_type(type: str, protectables: Mapping[str, Protectable], listings: DiscoveryLists
             ) -> Sequence[Resource]:
    if type not in protectables:
        broken = "".join(f"; {one}" for one in registry.broken(registry.PROTECTABLES))
        raise UnknownName(f"nothing here finds resources of the type {type}{broken}",
                          remedy="types: " + ", ".join(sorted(protectables)))
    return protectables[type].list(listings)
