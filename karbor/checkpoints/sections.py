"""Names of resources where `TYPE#ID` cannot stand."""

from __future__ import annotations

from karbor.domain.resource import Resource


def section_name(resource: Resource) -> str:
    """The resource's part of its checkpoint, e.g. `volume-1c2d…` (see docs/bank-format.md)."""
    kind = resource.type.rsplit("::", 1)[-1].lower()
    return f"{kind}-{resource.id}" + (f"@{resource.within}" if resource.within else "")
