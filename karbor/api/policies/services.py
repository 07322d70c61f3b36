"""Rules of Karbor's own processes."""

from __future__ import annotations

from karbor.api.policies.personas import ADMIN, ADMIN_OR_SYSTEM_READER, ANY, rule

RULES = [
    rule("service:get_all", ADMIN_OR_SYSTEM_READER, "List Karbor's processes.",
         ("GET", "/os-services"), scopes=ANY),
    rule("service:update", ADMIN, "Enable or disable one of Karbor's processes.",
         ("PUT", "/os-services/{service_id}"), scopes=ANY),
]
