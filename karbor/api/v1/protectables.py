"""Protectables of the API: what there is in the caller's project that can be protected."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from karbor.api.call import Call
from karbor.api.lists import Collection, Link
from karbor.api.literals import dictionary
from karbor.api.route_declaration import QueryParameter, Resource, route
from karbor.domain.errors import BadInput, NotFound
from karbor.domain.resource import IMAGE, TYPES, VOLUME, ResourceGraph
from karbor.domain.resource import Resource as Protected

PARAMETERS = QueryParameter(
    "parameters", "Further facts that name the resource, as a Python dictionary of texts: "
    "{'name': 'x'}. Clients of Karbor 1.x send them for pods.", {"type": "string"})
TYPE = QueryParameter("type", "Sent by clients of Karbor 1.x; the path says the type already.",
                      {"type": "string"})


class TypeNames(msgspec.Struct):
    protectable_type: list[str]


class TypeView(msgspec.Struct):
    name: str
    dependent_types: list[str]


class TypeBody(msgspec.Struct):
    protectable_type: TypeView


class Dependent(msgspec.Struct):
    """A resource that is protected together with the one that it belongs to."""

    id: str
    type: str
    name: str
    extra_info: dict[str, Any] | None


class Instance(msgspec.Struct):
    """A resource, with what belongs to it directly."""

    id: str
    type: str
    name: str
    extra_info: dict[str, Any] | None
    dependent_resources: list[Dependent]


class InstanceBody(msgspec.Struct):
    instance: Instance


class InstancesBody(msgspec.Struct):
    instances: list[Instance]
    instances_links: list[Link] | UnsetType = UNSET


INSTANCES = Collection("instances", ("id", "name", "status", "created_at"), {
    "name": "Only instances whose name contains this.",
    "status": "Only instances of this status, in the word of their service."})


class Protectables(Resource):
    tag = "protectables"

    @route("GET", "/protectables", rule="protectable:get_all", answer=TypeNames)
    def list(self, call: Call[None]) -> TypeNames:
        """List the types of resources that can be protected."""
        return TypeNames(self._types())

    @route("GET", "/protectables/{protectable_type}", rule="protectable:get", answer=TypeBody,
           text=("protectable_type",))
    def show(self, call: Call[None]) -> TypeBody:
        """Show which types may belong to resources of a type."""
        known = self._needs.checkpoints.types()
        return TypeBody(TypeView(self._type(call), sorted(known[call.path["protectable_type"]])))

    @route("GET", "/protectables/{protectable_type}/instances", rule="protectable:instance_get_all",
           answer=InstancesBody, collection=INSTANCES, query=(PARAMETERS, TYPE),
           text=("protectable_type",), refuses=(404, 413))
    def instances(self, call: Call[None]) -> InstancesBody:
        """List the resources of a type, with what belongs to them."""
        asked, type = call.listing(), self._type(call)
        parameters(call.query)
        graph = self._needs.checkpoints.instances(call.context, type)
        resources = [
            resource for resource in graph if resource.type == type and not resource.within
        ]
        if wanted := asked.filters.get("name"):
            resources = [
                resource for resource in resources if wanted.lower() in resource.name.lower()
            ]
        if wanted := asked.filters.get("status"):
            resources = [resource for resource in resources
                         if str(resource.facts.get("status", "")).lower() == wanted.lower()]
        for sort in reversed(asked.sort):  # what nobody knows of them leaves them as they are
            resources.sort(
                key=lambda resource: str(
                    getattr(resource, sort.key, resource.facts.get(sort.key, ""))
                ),
                reverse=sort.descending,
            )
        if asked.marker:
            ids = [resource.id for resource in resources]
            if asked.marker not in ids:
                raise NotFound(f"{type} {asked.marker} could not be found.")
            resources = resources[ids.index(asked.marker) + 1:]
        resources = resources[asked.offset:][:asked.limit]
        instances = fitting((_instance(resource, graph) for resource in resources),
                            asked.largest_bytes)
        return InstancesBody(instances, call.next_page(
            asked, [instance.id for instance in instances],
            cut=len(instances) < len(resources)))

    @route("GET", "/protectables/{protectable_type}/instances/{resource_id}",
           rule="protectable:instance_get", answer=InstanceBody, query=(PARAMETERS,),
           text=("protectable_type", "resource_id"), refuses=(404, 413))
    def instance(self, call: Call[None]) -> InstanceBody:
        """Show a resource, with what belongs to it."""
        type, id = self._type(call), call.path["resource_id"]
        wanted = parameters(call.query)
        graph = self._needs.checkpoints.instances(call.context, type)
        known = {
            resource.id: resource
            for resource in graph
            if resource.type == type and not resource.within
        }
        found = known.get(id) or known.get(self._needs.checkpoints.holder(call.context, type, id))
        if found is not None and all(
                str(found.facts.get(key, getattr(found, key, ""))) == value
                for key, value in wanted.items()):
            return InstanceBody(_instance(found, graph))
        raise NotFound(f"The resource {id} of type {type} could not be found: "
                       "the project has none of this id")

    def _types(self) -> builtins.list[str]:
        known = self._needs.checkpoints.types()
        return [*(type for type in TYPES if type in known),
                *(type for type in known if type not in TYPES)]

    def _type(self, call: Call[Any]) -> str:
        type = call.path["protectable_type"]
        if type not in self._needs.checkpoints.types():
            raise BadInput("Invalid input received: Invalid protectable type provided.",
                           remedy="types: " + ", ".join(self._types()))
        return type


def fitting(instances: Iterable[Instance], largest_bytes: int) -> builtins.list[Instance]:
    """Return as many as have no more bytes together in the answer; at least one."""
    found: builtins.list[Instance] = []
    together = 0
    for instance in instances:
        together += len(msgspec.json.encode(instance))
        if found and largest_bytes and together > largest_bytes:
            break
        found.append(instance)
    return found


def parameters(query: Mapping[str, str]) -> dict[str, str]:
    """Raises BadInput."""
    text = query.get("parameters", "")
    return {name: str(value) for name, value in dictionary("parameters", text).items()
            } if text else {}


def _instance(resource: Protected, graph: ResourceGraph) -> Instance:
    return Instance(resource.id, resource.type, resource.name, _extra(resource), [
        Dependent(child.id, child.type, child.name, _extra(child))
        for child in graph.children(resource.key)])


def _extra(resource: Protected) -> dict[str, Any] | None:
    if resource.type == VOLUME:
        return {"availability_zone": resource.facts.get("availability_zone", "")}
    if resource.type == IMAGE and resource.within:
        return {"server_id": resource.within}
    if resource.facts.get("namespace"):
        return {"namespace": resource.facts["namespace"]}
    return None
