"""OS::Keystone::Project: what holds the others.

Whoever protects a project protects all that it has: discovery follows it to the resources, and
the plugins of their types keep them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from karbor.domain.resource import PROJECT, Resource
from karbor.plugin.protection import Protection, Target


class ProjectProtection(Protection):
    """A project has no data of its own: everything is kept with its servers, volumes, images and
    networks. So there are no stages; and since nothing is kept, there is nothing to prove: a
    resource without verify stages does not lower the evidence of its checkpoint. A restore goes to
    the project of whoever restores."""

    types: ClassVar[frozenset[str]] = frozenset({PROJECT})

    def restore_preview(self, resource: Resource, target: Target) -> Sequence[str]:
        """Return nothing: there is nothing to make."""
        return ()
