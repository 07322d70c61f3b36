"""The list of the resources of the REST API v1.

A new one is a file in `karbor.api.v1`, a line in the list below, and, where that is not there yet,
what it needs in `karbor.api.dependencies`."""

from __future__ import annotations

from karbor.api.route_declaration import Resource
from karbor.api.v1.checkpoints import Checkpoints
from karbor.api.v1.copies import Copies
from karbor.api.v1.operation_logs import OperationLogs
from karbor.api.v1.plans import Plans
from karbor.api.v1.protectables import Protectables
from karbor.api.v1.providers import Providers
from karbor.api.v1.quota_classes import QuotaClasses
from karbor.api.v1.quotas import Quotas
from karbor.api.v1.restores import Restores
from karbor.api.v1.scheduled_operations import ScheduledOperations
from karbor.api.v1.services import Services
from karbor.api.v1.triggers import Triggers
from karbor.api.v1.verifications import Verifications

RESOURCES: tuple[type[Resource], ...] = (
    Plans, Providers, Checkpoints, Copies, Protectables, Restores, Verifications,
    Triggers, ScheduledOperations, OperationLogs, Services, Quotas, QuotaClasses)
