"""Keystone's WSGI entry point, with its policies loaded before the first request.

Keystone loads them at the first request that needs any. Two threads of a worker that come first at
the same time both do, and one of them finds rules missing: 403 for an administrator, or 500.
"""

from keystone.common.rbac_enforcer.enforcer import RBACEnforcer
from keystone.wsgi.api import application

RBACEnforcer()._enforcer.load_rules()

__all__ = ["application"]
