"""Quotas of the API: /quotas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from karbor.api.call import Call
from karbor.api.route_declaration import Resource, route
from karbor.domain.errors import BadInput
from karbor.domain.quota import CHECKPOINTS, LARGEST, PLANS, UNLIMITED

Limit = Annotated[int, Meta(ge=UNLIMITED, le=LARGEST)]
GivenLimit = Limit | Annotated[str, Meta(pattern=r"^ *(-1|[0-9]{1,10}) *$", max_length=40)]


class NewLimits(msgspec.Struct):
    """How many of each; -1: any number. Other members are passed over."""

    plans: GivenLimit | UnsetType = UNSET
    checkpoints: GivenLimit | UnsetType = UNSET


class NewQuotaBody(msgspec.Struct):
    quota: NewLimits


class LimitsView(msgspec.Struct):
    """How many of each; -1: any number."""

    plans: int
    checkpoints: int


class QuotaView(msgspec.Struct):
    """The same, with the project whose quota it is."""

    plans: int
    checkpoints: int
    id: str


class UsageView(msgspec.Struct):
    """`reserved` is always 0: what is in use is counted when it is asked for."""

    limit: int
    in_use: int
    reserved: int = 0


class QuotaDetailView(msgspec.Struct):
    plans: UsageView
    checkpoints: UsageView
    id: str


class QuotaBody(msgspec.Struct):
    quota: QuotaView


class LimitsBody(msgspec.Struct):
    quota: LimitsView


class QuotaDetailBody(msgspec.Struct):
    quota: QuotaDetailView


_ONE = "/quotas/{quota_project_id}"
_OF = "quota_project_id"


class Quotas(Resource):
    tag = "quotas"

    @route("GET", _ONE, rule="quota:get", project_in=_OF, answer=QuotaBody)
    def show(self, call: Call[None]) -> QuotaBody:
        """Show the quota of a project."""
        return _quota(self._needs.quotas.of(call.path[_OF]), call.path[_OF])

    @route("GET", f"{_ONE}/detail", rule="quota:get", project_in=_OF, answer=QuotaDetailBody)
    def detail(self, call: Call[None]) -> QuotaDetailBody:
        """Show the quota of a project, and what is in use."""
        project_id = call.path[_OF]
        limits = self._needs.quotas.of(project_id)
        usage = {kind: UsageView(limits[kind], self._needs.counters[kind](project_id))
                 for kind in (PLANS, CHECKPOINTS)}
        return QuotaDetailBody(QuotaDetailView(usage[PLANS], usage[CHECKPOINTS], project_id))

    @route("GET", f"{_ONE}/defaults", rule="quota:get_default", project_in=_OF, answer=QuotaBody)
    def defaults(self, call: Call[None]) -> QuotaBody:
        """Show the limits of projects that have none of their own."""
        return _quota(self._needs.quotas.defaults(), call.path[_OF])

    @route("PUT", _ONE, rule="quota:update", project_in=_OF, body=NewQuotaBody, answer=LimitsBody)
    def update(self, call: Call[NewQuotaBody]) -> LimitsBody:
        """Change the quota of a project."""
        project_id = call.path[_OF]
        self._needs.quotas.set(project_id, limits_of(call.body.quota))
        limits = self._needs.quotas.of(project_id)
        return LimitsBody(LimitsView(limits[PLANS], limits[CHECKPOINTS]))

    @route("DELETE", _ONE, rule="quota:delete", project_in=_OF)
    def reset(self, call: Call[None]) -> None:
        """Give a project the default quota again. What is in use does not change."""
        self._needs.quotas.reset(call.path[_OF])


def limits_of(given: NewLimits) -> dict[str, int]:
    """Kind → limit, of those given. Raises BadInput for a number that is too large."""
    out: dict[str, int] = {}
    values: dict[str, Any] = msgspec.structs.asdict(given)
    for kind, value in values.items():
        if value is not UNSET:
            out[kind] = int(value)
            if out[kind] > LARGEST:
                raise BadInput(f"the limit of {kind} is at most {LARGEST}")
    return out


def _quota(limits: Mapping[str, int], project_id: str) -> QuotaBody:
    return QuotaBody(QuotaView(limits[PLANS], limits[CHECKPOINTS], project_id))
