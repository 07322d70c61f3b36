"""Enforcement: may this caller do that, for this project? By oslo.policy."""

from __future__ import annotations

from functools import cached_property

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
        self.enforcer = _Enforcer(conf)
        self.enforcer.register_defaults(list_rules())
        self.enforcer.look()

    def of(self, context: Context) -> Permissions:
        """Return what the sender of a request may do, by the rules as they are now."""
        self.enforcer.look()
        return Permissions(self.enforcer, context)

    def allows_system(self, rule: str) -> bool:
        """Return whether the rule is meant for tokens of the whole system as well."""
        return "system" in (self.enforcer.registered_rules[rule].scope_types or ())


class Permissions:
    """What the sender of one request may do."""

    def __init__(self, enforcer: policy.Enforcer, context: Context) -> None:
        self._enforcer = enforcer
        self._context = context

    @cached_property
    def is_admin(self) -> bool:
        """Whether they see all projects; asked once per request."""
        return bool(self._enforcer.enforce(ADMIN, {}, {**self._context.credentials,
                                                       "is_admin": False}))

    def allows(self, rule: str, project_id: str) -> bool:
        """Return whether they may do `rule` to what belongs to the project."""
        return bool(self._enforcer.authorize(
            rule,
            {"project_id": project_id, "tenant_id": project_id,
             "user_id": self._context.caller.user_id},
            # `is_admin:True` stands in policy files that were written for Karbor 1.x, and in no
            # rule of ours: without such a file nobody asks.
            {**self._context.credentials,
             "is_admin": bool(self._enforcer.file_rules) and self.is_admin}))

    def require(self, rule: str, project_id: str) -> None:
        """Raise Forbidden, which tells what the rule wants, unless they may."""
        if not self.allows(rule, project_id):
            raise Forbidden(f"Policy doesn't allow {rule} to be performed.",
                            remedy=self._remedy(rule))

    def _remedy(self, rule: str) -> str:
        kinds = self._enforcer.registered_rules[rule].scope_types or []
        context = self._context
        mine = "system" if context.system_scope else "domain" if context.domain_id else "project"
        if kinds and mine not in kinds:
            return f"it wants a token of the scope {' or '.join(kinds)}, and yours is of a {mine}"
        return "ask an administrator for the role that it wants"


class _Enforcer(policy.Enforcer):     # type: ignore[misc]
    """Looks at the operator's files when it is told to: a request asks several rules, and for each
    oslo.policy would search the directories of the configuration again."""

    def look(self) -> None:
        super().load_rules()

    def load_rules(self, force_reload: bool = False) -> None:
        if force_reload:
            super().load_rules(force_reload)


def get_enforcer() -> policy.Enforcer:
    """For oslopolicy-policy-generator and its like: the rules with the changes of this host."""
    return Enforcement(config.load()).enforcer
