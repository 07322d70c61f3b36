"""Rules of protectables."""

from __future__ import annotations

from karbor.api.policies.personas import READER, rule

_TYPE = "/protectables/{protectable_type}"

RULES = [
    rule("protectable:get", READER, "Show a type of resources.", ("GET", _TYPE)),
    rule("protectable:get_all", READER, "List the types of resources.", ("GET", "/protectables")),
    rule("protectable:instance_get", READER, "Show a resource that can be protected.",
         ("GET", f"{_TYPE}/instances/{{resource_id}}")),
    rule("protectable:instance_get_all", READER, "List resources that can be protected.",
         ("GET", f"{_TYPE}/instances")),
]
