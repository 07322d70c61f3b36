"""Rules of scheduled operations."""

from __future__ import annotations

from karbor.api.policies.personas import MEMBER, READER, rule

_ALL = "/scheduled_operations"
_ONE = f"{_ALL}/{{scheduled_operation_id}}"

RULES = [
    rule("scheduled_operation:create", MEMBER, "Create a scheduled operation.", ("POST", _ALL)),
    rule("scheduled_operation:update", MEMBER,
         "Change, enable or disable a scheduled operation.", ("PUT", _ONE)),
    rule("scheduled_operation:run", MEMBER, "Run a scheduled operation now.",
         ("POST", f"{_ONE}/run")),
    rule("scheduled_operation:take_over", MEMBER,
         "Let a scheduled operation run on one's own rights.", ("POST", f"{_ONE}/take_over")),
    rule("scheduled_operation:delete", MEMBER, "Delete a scheduled operation.",
         ("DELETE", _ONE)),
    rule("scheduled_operation:get", READER, "Show a scheduled operation.", ("GET", _ONE),
         ("GET", f"{_ONE}/occurrences"), ("GET", f"{_ONE}/retention")),
    rule("scheduled_operation:list", READER, "List scheduled operations.", ("GET", _ALL)),
]
