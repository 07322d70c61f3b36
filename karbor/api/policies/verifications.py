"""Rules of verifications."""

from __future__ import annotations

from karbor.api.policies.personas import MEMBER, READER, rule

RULES = [
    rule("verification:create", MEMBER, "Verify a checkpoint.", ("POST", "/verifications")),
    rule("verification:get", READER, "Show a verification.",
         ("GET", "/verifications/{verification_id}")),
    rule("verification:get_all", READER, "List verifications.", ("GET", "/verifications")),
]
