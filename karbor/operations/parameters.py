"""Parameters of protections: checked against what each says it takes, before anything is done."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from karbor.domain.errors import AmbiguousName, BadInput, UnknownName
from karbor.domain.operation import Operation, Verb
from karbor.domain.resource import Resource, ResourceGraph
from karbor.operations.selection import short
from karbor.plugin.protection import Protection

Parameters = Mapping[str, Mapping[str, Any]]
"""Resource type, or key of one resource → option → value."""

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str, "integer": int, "number": (int, float), "boolean": bool,
    "object": Mapping, "array": (list, tuple)}


def asked_parameters(operation: Operation) -> Parameters:
    """As they were asked for; of a plan, as they were made to fit when its run was planned."""
    given: Parameters = (operation.plan if "parameters" in operation.plan
                         else operation.request).get("parameters", {})
    return given


def parameters_of(operation: Operation, resource: Resource) -> dict[str, Any]:
    """For the type, overlaid by those for the one resource; with the answers of `--map`."""
    request = operation.request
    given = asked_parameters(operation)
    common = {name: request[name] for name in ("map", "new_networks") if name in request}
    return {**common, **given.get(resource.type, {}), **given.get(resource.key, {})}


def check(parameters: Parameters, verb: str, graph: ResourceGraph,
          protections: Mapping[str, Protection]) -> None:
    """Raises BadInput for an option that no protection takes, a value that does not fit, or a
    resource that is not part of the graph."""
    for target, given in parameters.items():
        type = graph[target].type if target in graph else target
        if type not in protections:
            raise BadInput(
                f"parameters for {target}: no such resource type or resource here",
                remedy="types: " + ", ".join(short(protection) for protection in protections),
            )
        schema = protections[type].options_schema(verb)
        if problem := misfit(given, schema):
            raise BadInput(f"parameters for {short(type)} ({verb}): {problem}")


def with_names(parameters: Parameters, names: Mapping[str, str], graph: ResourceGraph,
               protections: Mapping[str, Protection]) -> dict[str, dict[str, Any]]:
    """The parameters of a restore, and in them new names for the resources that bear (or have as
    id or key) an old one. Raises UnknownName, AmbiguousName, BadInput."""
    out = {target: dict(given) for target, given in parameters.items()}
    for old, new in names.items():
        resources = [
            resource
            for resource in graph
            if old in (resource.id, resource.key) and not resource.within
        ] or [resource for resource in graph if resource.name == old and not resource.within]
        if not resources:
            raise UnknownName(f"the checkpoint holds nothing called {old}")
        if len(resources) > 1:
            raise AmbiguousName(
                f"{old} means several resources of the checkpoint",
                remedy="give one of: " + ", ".join(resource.key for resource in resources[:8]),
            )
        [resource] = resources
        options = protections[resource.type].options_schema(Verb.RESTORE).get("properties", {})
        if "restore_name" not in options:
            raise BadInput(f"a restored {short(resource.type)} cannot be given another name")
        out.setdefault(resource.key, {})["restore_name"] = new
    return out


def fitted(given: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same with texts as the kinds that the schema wants, where they can be read so: clients
    of Karbor 1.x send every value as text. A number is the text that it is written as, where a
    text is wanted. What cannot be read is left, for `check` to say."""
    known = schema.get("properties", {})
    return {name: _read(value, known.get(name, {}).get("type")) for name, value in given.items()}


def _read(value: Any, kind: Any) -> Any:
    if kind == "string" and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or kind not in ("boolean", "integer", "number"):
        return value
    if kind == "boolean":
        return {"true": True, "false": False}.get(value.lower(), value)
    try:
        return int(value) if kind == "integer" else float(value)
    except ValueError:
        return value


def applicable(parameters: Parameters, verb: str, graph: ResourceGraph,
               protections: Mapping[str, Protection]) -> dict[str, dict[str, Any]]:
    """Those of a plan's parameters that are for this graph, with their values `fitted`. A plan may
    speak of what is not there today, and of types that the provider does not keep."""
    out = {}
    for target, given in parameters.items():
        type = graph[target].type if target in graph else target
        if type in protections:
            out[target] = fitted(given, protections[type].options_schema(verb))
    return out

def misfit(value: Any, schema: Mapping[str, Any], where: str = "") -> str:
    """Why a value does not fit the schema, or "".

    Of JSON Schema the part that options need: type, enum, minimum, maximum, minLength, maxLength,
    pattern, properties, required, additionalProperties, items.
    """
    name = where or "the value"
    wanted = schema.get("type")
    if wanted is not None:
        kinds = wanted if isinstance(wanted, list) else [wanted]
        if not any(_is(value, kind) for kind in kinds):
            return f"{name} must be {_article(' or '.join(kinds))}, not {value!r}"
    if "enum" in schema and value not in schema["enum"]:
        choices = ", ".join(str(one) for one in schema["enum"])
        return f"{name} must be one of {choices}; not {value!r}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value < schema.get("minimum", value):
            return f"{name} must be at least {schema['minimum']}"
        if value > schema.get("maximum", value):
            return f"{name} must be at most {schema['maximum']}"
    if isinstance(value, str):
        if len(value) < schema.get("minLength", 0):
            return f"{name} is too short"
        if len(value) > schema.get("maxLength", len(value)):
            return f"{name} is too long (at most {schema['maxLength']} characters)"
        if "pattern" in schema and not re.search(schema["pattern"], value):
            return f"{name} has characters that are not allowed there: {value!r}"
    if isinstance(value, Mapping):
        return _members(value, schema, where)
    if isinstance(value, list | tuple) and "items" in schema:
        return next((found for at, one in enumerate(value)
                     if (found := misfit(one, schema["items"], f"{name}[{at}]"))), "")
    return ""


def _members(value: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> str:
    known: Mapping[str, Any] = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            return f"{where + '.' if where else ''}{name} is missing"
    for name, one in value.items():
        full = f"{where}.{name}" if where else name
        if name in known:
            if found := misfit(one, known[name], full):
                return found
        elif schema.get("additionalProperties", True) is False:
            choices = ", ".join(sorted(known)) or "no options at all"
            return f"there is no option {full} (it takes: {choices})"
        elif (isinstance(extra := schema.get("additionalProperties"), Mapping)
              and (found := misfit(one, extra, full))):
            return found
    return ""


def _is(value: Any, kind: str) -> bool:
    if kind == "null":
        return value is None
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES.get(kind, object))


def _article(word: str) -> str:
    return ("an " if word[0] in "aeio" else "a ") + word
