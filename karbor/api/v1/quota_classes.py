"""Quota classes of the API: /quota_classes. The class `default` has the limits of all projects."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from karbor.api.call import Call
from karbor.api.route_declaration import Resource, route
from karbor.api.v1.quotas import LimitsView, NewLimits, QuotaView, limits_of
from karbor.domain.errors import BadInput
from karbor.domain.quota import CHECKPOINTS, PLANS


class NewQuotaClassBody(msgspec.Struct):
    quota_class: NewLimits


class QuotaClassBody(msgspec.Struct):
    quota_class: QuotaView


class ClassLimitsBody(msgspec.Struct):
    quota_class: LimitsView


_ONE = "/quota_classes/{class_name}"


class QuotaClasses(Resource):
    tag = "quotas"

    @route("GET", _ONE, rule="quota_class:get", text=("class_name",), answer=QuotaClassBody)
    def show(self, call: Call[None]) -> QuotaClassBody:
        """Show the limits of a quota class."""
        limits = self._limits(call)
        return QuotaClassBody(QuotaView(limits[PLANS], limits[CHECKPOINTS],
                                        call.path["class_name"]))

    @route("PUT", _ONE, rule="quota_class:update", text=("class_name",), body=NewQuotaClassBody,
           answer=ClassLimitsBody)
    def update(self, call: Call[NewQuotaClassBody]) -> ClassLimitsBody:
        """Change the limits of a quota class."""
        self._needs.quotas.set_class(_name(call), limits_of(call.body.quota_class))
        limits = self._limits(call)
        return ClassLimitsBody(LimitsView(limits[PLANS], limits[CHECKPOINTS]))

    def _limits(self, call: Call[None] | Call[NewQuotaClassBody]) -> Mapping[str, int]:
        return self._needs.quotas.of_class(_name(call))


def _name(call: Call[None] | Call[NewQuotaClassBody]) -> str:
    name = call.path["class_name"]
    if len(name) > 255 or not name.isprintable():
        raise BadInput("the name of a quota class has at most 255 printable characters")
    return name
