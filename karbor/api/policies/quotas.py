"""Rules of quotas. Their project is the one whose quota it is, not that of the token."""

from __future__ import annotations

from karbor.api.policies.personas import ADMIN, ADMIN_OR_SYSTEM_READER, ANY, READER, rule

_ONE = "/quotas/{quota_project_id}"
_LOOK = f"{READER} or {ADMIN_OR_SYSTEM_READER}"

RULES = [
    rule("quota:get", _LOOK, "Show the quota of a project, and what is in use.",
         ("GET", _ONE), ("GET", f"{_ONE}/detail"), scopes=ANY),
    rule("quota:get_default", _LOOK, "Show the limits of projects that have none of their own.",
         ("GET", f"{_ONE}/defaults"), scopes=ANY),
    rule("quota:update", ADMIN, "Change the quota of a project.", ("PUT", _ONE), scopes=ANY),
    rule("quota:delete", ADMIN, "Give a project the default quota again.", ("DELETE", _ONE),
         scopes=ANY),
    rule("quota_class:get", ADMIN_OR_SYSTEM_READER, "Show the limits of a quota class.",
         ("GET", "/quota_classes/{class_name}"), scopes=ANY),
    rule("quota_class:update", ADMIN, "Change the limits of a quota class.",
         ("PUT", "/quota_classes/{class_name}"), scopes=ANY),
]
