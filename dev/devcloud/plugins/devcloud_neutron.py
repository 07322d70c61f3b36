"""Neutron's WSGI entry point, with its policies loaded before the first request.

Neutron loads them at the first request; to a second one that comes meanwhile it answers 403.
"""

from neutron import policy
from neutron.wsgi.api import application

policy.init()

__all__ = ["application"]
