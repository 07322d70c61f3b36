"""The list of the resources of the REST API v1.

A new one is a file in `karbor.api.v1`, a line in each of the two lists below, and what it needs
in `karbor.api.wiring`."""

from __future__ import annotations

from karbor.api.routes import Resource
from karbor.api.v1.plans import Plans
from karbor.api.v1.quota_classes import QuotaClasses
from karbor.api.v1.quotas import Quotas
from karbor.api.wiring import Wiring

RESOURCES: tuple[type[Resource], ...] = (Plans, Quotas, QuotaClasses)


def resources(wiring: Wiring) -> list[Resource]:
    """One of each; written out so that mypy compares what each needs with what there is."""
    return [Plans(wiring), Quotas(wiring), QuotaClasses(wiring)]
