"""Who may be meant by a rule: the personas that all others refer to."""

from __future__ import annotations

from oslo_policy import policy

READER = "rule:project_reader_or_admin"
MEMBER = "rule:project_member_or_admin"
ADMIN = "rule:admin_api"
ADMIN_OR_SYSTEM_READER = "rule:admin_or_system_reader"

PROJECT = ["project"]
ANY = ["project", "system"]

RULES = [
    policy.RuleDefault("context_is_admin", "role:admin",
                       "Administrators: they see and change what belongs to any project."),
    policy.RuleDefault("admin_api", "rule:context_is_admin",
                       "What is for administrators only."),
    policy.RuleDefault("project_reader_api", "role:reader and project_id:%(project_id)s",
                       "Whoever may look at what belongs to the project."),
    policy.RuleDefault("project_member_api", "role:member and project_id:%(project_id)s",
                       "Whoever may change what belongs to the project."),
    policy.RuleDefault("project_reader_or_admin",
                       "rule:project_reader_api or rule:context_is_admin",
                       "The usual rule of what only looks."),
    policy.RuleDefault("project_member_or_admin",
                       "rule:project_member_api or rule:context_is_admin",
                       "The usual rule of what changes something."),
    policy.RuleDefault("system_reader_api", "role:reader and system_scope:all",
                       "Whoever may look at the whole system."),
    policy.RuleDefault("admin_or_system_reader",
                       "rule:admin_api or rule:system_reader_api",
                       "The usual rule of what looks at the service itself."),
    policy.RuleDefault("admin_or_owner",
                       "is_admin:True or (role:admin and is_admin_project:True) or "
                       "project_id:%(project_id)s",
                       "The usual rule of Karbor 1.x: anybody of the project, whatever the role. "
                       "Used by no rule; for policy files that refer to it."),
    policy.RuleDefault("default", "rule:project_member_or_admin",
                       "What is asked when a rule is not there."),
]


def rule(name: str, check: str, description: str, *operations: tuple[str, str],
         scopes: list[str] | None = None) -> policy.DocumentedRuleDefault:
    """One operation's rule; `operations` are methods and paths below /v1/{project_id}."""
    return policy.DocumentedRuleDefault(
        name, check, description,
        [{"method": method, "path": f"/v1/{{project_id}}{path}"} for method, path in operations],
        scope_types=scopes or PROJECT)
