"""Rules of providers."""

from __future__ import annotations

from karbor.api.policies.personas import READER, rule

RULES = [
    rule("provider:get", READER, "Show a provider.", ("GET", "/providers/{provider_id}")),
    rule("provider:get_all", READER, "List providers.", ("GET", "/providers")),
]
