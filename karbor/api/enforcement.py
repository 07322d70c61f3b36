"""Enforcement: may this caller do that, for this project? By oslo.policy."""

from __future__ import annotations

from typing import Any

from oslo_config.cfg import ConfigOpts
from oslo_policy import policy

from karbor import config
from karbor.api.context import Context
from karbor.api.policies import list_rules
from karbor.domain.errors import Forbidden

ADMIN = "context_is_admin"


class Enforcement:
    """The rules of `karbor.api.policies`, and the operator's changes to them ([oslo_policy]), which
    are read again when their files change. Safe for threads."""

    def __init__(self, conf: ConfigOpts) -> None:
        self.enforcer = policy.Enforcer(conf)
        self.enforcer.register_defaults(list_rules())
        self.enforcer.load_rules()

    def allows(self, context: Context, rule: str, project_id: str) -> bool:
        """Whether the caller may do `rule` to what belongs to the project."""
        return bool(self.enforcer.authorize(rule, self._target(context, project_id),
                                            self._credentials(context)))

    def require(self, context: Context, rule: str, project_id: str) -> None:
        """Raises Forbidden, which tells what the rule wants."""
        if not self.allows(context, rule, project_id):
            raise Forbidden(f"Policy doesn't allow {rule} to be performed.",
                            remedy=self._remedy(context, rule))

    def is_admin(self, context: Context) -> bool:
        """Whether the caller sees all projects."""
        return bool(self.enforcer.enforce(ADMIN, {}, self._credentials(context, admin=False)))

    def allows_system(self, rule: str) -> bool:
        """Whether the rule is meant for tokens of the whole system as well."""
        return "system" in (self.enforcer.registered_rules[rule].scope_types or ())

    def _remedy(self, context: Context, rule: str) -> str:
        kinds = self.enforcer.registered_rules[rule].scope_types or []
        mine = "system" if context.system_scope else "domain" if context.domain_id else "project"
        if kinds and mine not in kinds:
            return f"it wants a token of the scope {' or '.join(kinds)}, and yours is of a {mine}"
        return "ask an administrator for the role that it wants"

    @staticmethod
    def _target(context: Context, project_id: str) -> dict[str, Any]:
        return {"project_id": project_id, "tenant_id": project_id,
                "user_id": context.caller.user_id}

    def _credentials(self, context: Context, *, admin: bool = True) -> dict[str, Any]:
        # `is_admin:True` stands in policy files that were written for Karbor 1.x.
        return {**context.credentials, "is_admin": self.is_admin(context) if admin else False}


def get_enforcer() -> policy.Enforcer:
    """For oslopolicy-policy-generator and its like: the rules with the changes of this host."""
    return Enforcement(config.load()).enforcer
