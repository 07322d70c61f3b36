"""Policies: the rule of every operation of the API, with what it is unless an operator says else.

Names are those of Karbor 1.x. The roles are Keystone's usual ones: *reader* looks, *member*
changes what belongs to the project, *admin* sees and changes what belongs to any.
"""

from __future__ import annotations

from oslo_policy import policy

from karbor.api.policies import (
    checkpoints,
    operation_logs,
    personas,
    plans,
    protectables,
    providers,
    quotas,
    restores,
    scheduled_operations,
    services,
    triggers,
    verifications,
)


def list_rules() -> list[policy.RuleDefault]:
    """All of them; an entry point of oslo.policy."""
    return [rule for room in (personas, plans, restores, protectables, providers, checkpoints,
                              triggers, scheduled_operations, operation_logs, verifications,
                              services, quotas)
            for rule in room.RULES]
