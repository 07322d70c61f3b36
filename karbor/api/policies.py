"""Policies: the rule of every operation of the API, with what it is unless an operator says else.

Names are those of Karbor 1.x. The roles are Keystone's usual ones: *reader* looks, *member*
changes what belongs to the project, *admin* sees and changes what belongs to any.
"""

from __future__ import annotations

from oslo_policy import policy

READER = "rule:project_reader_or_admin"
MEMBER = "rule:project_member_or_admin"
ADMIN = "rule:admin_api"
ADMIN_OR_SYSTEM_READER = "rule:admin_or_system_reader"

PROJECT = ["project"]
ANY = ["project", "system"]

PERSONAS = [
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


# Rules of plans.
PLANS = [
    rule("plan:create", MEMBER, "Create a plan.", ("POST", "/plans")),
    rule("plan:update", MEMBER, "Change a plan.", ("PUT", "/plans/{plan_id}")),
    rule("plan:delete", MEMBER, "Delete a plan.", ("DELETE", "/plans/{plan_id}")),
    rule("plan:get", READER, "Show a plan.", ("GET", "/plans/{plan_id}")),
    rule("plan:get_all", READER, "List plans.", ("GET", "/plans")),
]

# Rules of restores.
RESTORES = [
    rule("restore:create", MEMBER, "Restore a checkpoint.", ("POST", "/restores")),
    rule("restore:update", MEMBER, "Change a restore. No request asks this; it is here for policy "
         "files of Karbor 1.x.", ("PUT", "/restores/{restore_id}")),
    rule("restore:get", READER, "Show a restore.", ("GET", "/restores/{restore_id}")),
    rule("restore:get_all", READER, "List restores.", ("GET", "/restores")),
]

# Rules of protectables.
_PROTECTABLE_TYPE = "/protectables/{protectable_type}"

PROTECTABLES = [
    rule("protectable:get", READER, "Show a type of resources.", ("GET", _PROTECTABLE_TYPE)),
    rule("protectable:get_all", READER, "List the types of resources.", ("GET", "/protectables")),
    rule("protectable:instance_get", READER, "Show a resource that can be protected.",
         ("GET", f"{_PROTECTABLE_TYPE}/instances/{{resource_id}}")),
    rule("protectable:instance_get_all", READER, "List resources that can be protected.",
         ("GET", f"{_PROTECTABLE_TYPE}/instances")),
]

# Rules of providers.
PROVIDERS = [
    rule("provider:get", READER, "Show a provider.", ("GET", "/providers/{provider_id}")),
    rule("provider:get_all", READER, "List providers.", ("GET", "/providers")),
]

# Rules of checkpoints, which the API keeps below their provider.
_CHECKPOINTS = "/providers/{provider_id}/checkpoints"
_CHECKPOINT = f"{_CHECKPOINTS}/{{checkpoint_id}}"

CHECKPOINTS = [
    rule("provider:checkpoint_get", READER, "Show a checkpoint.", ("GET", _CHECKPOINT)),
    rule("provider:checkpoint_get_all", READER, "List checkpoints.", ("GET", _CHECKPOINTS)),
    rule("provider:checkpoint_create", MEMBER, "Protect now: create a checkpoint.",
         ("POST", _CHECKPOINTS)),
    rule("provider:checkpoint_delete", MEMBER, "Delete a checkpoint.", ("DELETE", _CHECKPOINT)),
    rule("provider:checkpoint_update", MEMBER, "Reset the state of a checkpoint.",
         ("PUT", _CHECKPOINT)),
    rule("copy:create", MEMBER, "Copy checkpoints.", ("POST", f"{_CHECKPOINTS}/action")),
]

# Rules of triggers.
TRIGGERS = [
    rule("trigger:create", MEMBER, "Create a trigger.", ("POST", "/triggers")),
    rule("trigger:update", MEMBER, "Change a trigger.", ("PUT", "/triggers/{trigger_id}")),
    rule("trigger:delete", MEMBER, "Delete a trigger.", ("DELETE", "/triggers/{trigger_id}")),
    rule("trigger:get", READER, "Show a trigger.", ("GET", "/triggers/{trigger_id}")),
    rule("trigger:list", READER, "List triggers.", ("GET", "/triggers")),
]

# Rules of scheduled operations.
_SCHEDULES = "/scheduled_operations"
_SCHEDULE = f"{_SCHEDULES}/{{scheduled_operation_id}}"

SCHEDULED_OPERATIONS = [
    rule("scheduled_operation:create", MEMBER, "Create a scheduled operation.",
         ("POST", _SCHEDULES)),
    rule("scheduled_operation:update", MEMBER,
         "Change, enable or disable a scheduled operation.", ("PUT", _SCHEDULE)),
    rule("scheduled_operation:run", MEMBER, "Run a scheduled operation now.",
         ("POST", f"{_SCHEDULE}/run")),
    rule("scheduled_operation:take_over", MEMBER,
         "Let a scheduled operation run on one's own rights.",
         ("POST", f"{_SCHEDULE}/take_over")),
    rule("scheduled_operation:delete", MEMBER, "Delete a scheduled operation.",
         ("DELETE", _SCHEDULE)),
    rule("scheduled_operation:get", READER, "Show a scheduled operation.",
         ("GET", _SCHEDULE), ("GET", f"{_SCHEDULE}/occurrences"),
         ("GET", f"{_SCHEDULE}/retention")),
    rule("scheduled_operation:list", READER, "List scheduled operations.", ("GET", _SCHEDULES)),
]

# Rules of operation logs.
_OPERATION_LOG = "/operation_logs/{operation_log_id}"

OPERATION_LOGS = [
    rule("operation_log:get", READER, "Show what an operation did.", ("GET", _OPERATION_LOG)),
    rule("operation_log:list", READER, "List what operations did.", ("GET", "/operation_logs")),
    rule("operation_log:remove_left", MEMBER,
         "Remove what an operation that is over made and could not remove.",
         ("POST", f"{_OPERATION_LOG}/remove_left")),
    rule("operation_log:events", READER, "List what happened during an operation.",
         ("GET", f"{_OPERATION_LOG}/events")),
]

# Rules of verifications.
VERIFICATIONS = [
    rule("verification:create", MEMBER, "Verify a checkpoint.", ("POST", "/verifications")),
    rule("verification:get", READER, "Show a verification.",
         ("GET", "/verifications/{verification_id}")),
    rule("verification:get_all", READER, "List verifications.", ("GET", "/verifications")),
]

# Rules of Karbor's own processes.
SERVICES = [
    rule("service:get_all", ADMIN_OR_SYSTEM_READER, "List Karbor's processes.",
         ("GET", "/os-services"), scopes=ANY),
    rule("service:update", ADMIN, "Enable or disable one of Karbor's processes.",
         ("PUT", "/os-services/{service_id}"), scopes=ANY),
]

# Rules of quotas. Their project is the one whose quota it is, not that of the token.
_QUOTA = "/quotas/{quota_project_id}"
_LOOK_AT_QUOTAS = f"{READER} or {ADMIN_OR_SYSTEM_READER}"

QUOTAS = [
    rule("quota:get", _LOOK_AT_QUOTAS, "Show the quota of a project, and what is in use.",
         ("GET", _QUOTA), ("GET", f"{_QUOTA}/detail"), scopes=ANY),
    rule("quota:get_default", _LOOK_AT_QUOTAS,
         "Show the limits of projects that have none of their own.",
         ("GET", f"{_QUOTA}/defaults"), scopes=ANY),
    rule("quota:update", ADMIN, "Change the quota of a project.", ("PUT", _QUOTA), scopes=ANY),
    rule("quota:delete", ADMIN, "Give a project the default quota again.", ("DELETE", _QUOTA),
         scopes=ANY),
    rule("quota_class:get", ADMIN_OR_SYSTEM_READER, "Show the limits of a quota class.",
         ("GET", "/quota_classes/{class_name}"), scopes=ANY),
    rule("quota_class:update", ADMIN, "Change the limits of a quota class.",
         ("PUT", "/quota_classes/{class_name}"), scopes=ANY),
]


def list_rules() -> list[policy.RuleDefault]:
    """Return the rules of all operations; an entry point of oslo.policy."""
    return [*PERSONAS, *PLANS, *RESTORES, *PROTECTABLES, *PROVIDERS, *CHECKPOINTS, *TRIGGERS,
            *SCHEDULED_OPERATIONS, *OPERATION_LOGS, *VERIFICATIONS, *SERVICES, *QUOTAS]
