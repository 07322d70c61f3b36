"""Rules of triggers."""

from __future__ import annotations

from karbor.api.policies.personas import MEMBER, READER, rule

RULES = [
    rule("trigger:create", MEMBER, "Create a trigger.", ("POST", "/triggers")),
    rule("trigger:update", MEMBER, "Change a trigger.", ("PUT", "/triggers/{trigger_id}")),
    rule("trigger:delete", MEMBER, "Delete a trigger.", ("DELETE", "/triggers/{trigger_id}")),
    rule("trigger:get", READER, "Show a trigger.", ("GET", "/triggers/{trigger_id}")),
    rule("trigger:list", READER, "List triggers.", ("GET", "/triggers")),
]
