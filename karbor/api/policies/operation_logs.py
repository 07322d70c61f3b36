"""Rules of operation logs."""

from __future__ import annotations

from karbor.api.policies.personas import READER, rule

_ONE = "/operation_logs/{operation_log_id}"

RULES = [
    rule("operation_log:get", READER, "Show what an operation did.", ("GET", _ONE)),
    rule("operation_log:list", READER, "List what operations did.", ("GET", "/operation_logs")),
    rule("operation_log:events", READER, "List what happened during an operation.",
         ("GET", f"{_ONE}/events")),
]
