"""Rules of plans."""

from __future__ import annotations

from karbor.api.policies.personas import MEMBER, READER, rule

RULES = [
    rule("plan:create", MEMBER, "Create a plan.", ("POST", "/plans")),
    rule("plan:update", MEMBER, "Change a plan.", ("PUT", "/plans/{plan_id}")),
    rule("plan:delete", MEMBER, "Delete a plan.", ("DELETE", "/plans/{plan_id}")),
    rule("plan:get", READER, "Show a plan.", ("GET", "/plans/{plan_id}")),
    rule("plan:get_all", READER, "List plans.", ("GET", "/plans")),
]
