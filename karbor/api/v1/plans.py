"""Plans of the API: /plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from karbor.api.bodies import Description, Key, Name, Scalar, Uuid, must_be_uuid
from karbor.api.call import Call
from karbor.api.lists import Collection, Link
from karbor.api.route_declaration import Resource, route
from karbor.domain.errors import BadInput, NotFound
from karbor.domain.identifiers import time_ordered_uuid
from karbor.domain.plan import Parameters, Plan, Selector
from karbor.domain.resource import TYPES
from karbor.operations.parameters import fitted, misfit

Status = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]
Type = Annotated[str, Meta(min_length=1, max_length=255)]


class PlanResource(msgspec.Struct):
    """Something that the plan protects. Other members are passed over."""

    id: Annotated[str, Meta(min_length=1, max_length=255)]
    type: Type
    name: str | None
    extra_info: Any | UnsetType = UNSET


class PlanSelector(msgspec.Struct, forbid_unknown_fields=True):
    """Resources of a type that bear all of the tags, or all of the metadata, when the plan is
    carried out. Give one of the two."""

    type: Type
    tags: list[Annotated[str, Meta(min_length=1, max_length=255)]] | UnsetType = UNSET
    metadata: dict[Annotated[str, Meta(min_length=1, max_length=255)], str] | UnsetType = UNSET


class NewPlan(msgspec.Struct, forbid_unknown_fields=True):
    """A plan to be made. Without selectors it needs resources."""

    name: Name
    provider_id: Uuid
    parameters: dict[Key, dict[str, Scalar] | None]
    description: Description | None = None
    resources: list[PlanResource] = []
    selectors: list[PlanSelector] = []


class NewPlanBody(msgspec.Struct, forbid_unknown_fields=True):
    plan: NewPlan


class PlanChange(msgspec.Struct, forbid_unknown_fields=True):
    """What a plan is to have from now on. Resources and selectors are replaced as a whole."""

    name: Name | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    status: Status | UnsetType = UNSET
    resources: list[PlanResource] | UnsetType = UNSET
    selectors: list[PlanSelector] | UnsetType = UNSET


class PlanChangeBody(msgspec.Struct, forbid_unknown_fields=True):
    plan: PlanChange


class PlanView(msgspec.Struct):
    """A plan. The values of its parameters are texts, whatever they were given as."""

    id: str
    name: str
    description: str | None
    provider_id: str
    status: str
    resources: list[PlanResource]
    parameters: dict[str, dict[str, str] | None]
    selectors: list[PlanSelector] | UnsetType = UNSET


class PlanBody(msgspec.Struct):
    plan: PlanView


class PlansBody(msgspec.Struct):
    plans: list[PlanView]
    plans_links: list[Link] | UnsetType = UNSET


PLANS = Collection("plans", ("id", "name", "status", "created_at", "provider_id"), {
    "name": "Only plans whose name contains this.",
    "description": "Only plans whose description contains this.",
    "status": "Only plans of this status."})


class Plans(Resource):
    tag = "plans"

    @route("GET", "/plans", rule="plan:get_all", answer=PlansBody, collection=PLANS,
           refuses=(404,))
    def list(self, call: Call[None]) -> PlansBody:
        """List plans."""
        asked = call.listing()
        page = self._needs.plans.list(asked)
        return PlansBody([_view(plan) for plan in page],
                         call.next_page(asked, [plan.id for plan in page], cut=page.cut))

    @route("POST", "/plans", rule="plan:create", body=NewPlanBody, answer=PlanBody,
           refuses=(413,))
    def create(self, call: Call[NewPlanBody]) -> PlanBody:
        """Create a plan."""
        given, now = call.body.plan, self._needs.clock()
        self._must_be_few(given.resources)
        _check_parameters(given.parameters, self._options(given.provider_id))
        plan = Plan(
            time_ordered_uuid(now), call.project_id, given.name, given.provider_id,
            given.description, resources=_resources(given.resources),
            parameters=given.parameters, selectors=_selectors(given.selectors), created_at=now)
        plan.must_choose_something()
        self._needs.plans.add(plan)
        return PlanBody(_view(plan))

    @route("GET", "/plans/{plan_id}", rule="plan:get", answer=PlanBody, refuses=(404,))
    def show(self, call: Call[None]) -> PlanBody:
        """Show a plan."""
        return PlanBody(_view(self._admitted(call)))

    @route("PUT", "/plans/{plan_id}", rule="plan:update", body=PlanChangeBody, answer=PlanBody,
           refuses=(404,))
    def update(self, call: Call[PlanChangeBody]) -> PlanBody:
        """Change a plan."""
        given = {name: value for name, value in msgspec.structs.asdict(call.body.plan).items()
                 if value is not UNSET}
        if not given:
            raise BadInput("Missing updated parameters in request body.")
        self._must_be_few(given.get("resources", ()))
        plan = self._admitted(call)
        return PlanBody(_view(self._needs.plans.change(
            plan.project_id, plan.id, lambda stored: self._changed(stored, given))))

    @route("DELETE", "/plans/{plan_id}", rule="plan:delete", refuses=(404,))
    def delete(self, call: Call[None]) -> None:
        """Delete a plan. Its checkpoints stay."""
        plan = self._admitted(call)
        self._needs.plans.drop(plan.project_id, plan.id)

    def _must_be_few(self, resources: Sequence[PlanResource]) -> None:
        most = self._needs.most_resources()
        if len(resources) > most:
            raise BadInput(f"the plan has {len(resources)} resources; this cloud allows {most}",
                           remedy="make several plans, or select resources by tag or metadata")

    def _admitted(self, call: Call[Any]) -> Plan:
        plan_id = call.path["plan_id"]
        plan = call.find(lambda project: self._needs.plans.show(project, plan_id))
        call.admit(plan.project_id, "Plan", plan_id)
        return plan

    def _changed(self, plan: Plan, given: Mapping[str, Any]) -> Plan:
        plan.must_be_changeable(list(given), given.get("status", plan.status))
        values = dict(given)
        if "resources" in values:
            values["resources"] = _resources(values["resources"])
        if "selectors" in values:
            values["selectors"] = _selectors(values["selectors"])
        changed = replace(plan, **values, updated_at=self._needs.clock())
        changed.must_choose_something()
        return changed

    def _options(self, provider_id: str) -> Mapping[str, Mapping[str, Any]]:
        try:
            return self._needs.providers.options(provider_id)
        except NotFound as error:
            raise BadInput("The provider could not be found.",
                           remedy="GET …/providers lists them") from error


def _check_parameters(parameters: Parameters, schemas: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises BadInput for a type or an option that nobody knows, or a value that does not fit: a
    schedule would fail on it every night. A type that the provider does not
    protect may have any."""
    for key, given in parameters.items():
        type, cut, id = key.partition("#")
        if type not in TYPES:
            raise BadInput(f"parameters for {key}: there is no type {type}",
                           remedy="types: " + ", ".join(TYPES))
        if cut:
            must_be_uuid(f"parameters for {key}", id)
        schema = schemas.get(type, {})
        known = schema.get("properties")
        unknown = sorted(set(given or ()) - set(known)) if known is not None else []
        if unknown:
            raise BadInput(f"parameters for {key}: there is no option {unknown[0]}",
                           remedy="options: " + (", ".join(sorted(known or ())) or "none"))
        for name, value in fitted(given or {}, schema).items():
            if problem := misfit(value, (known or {}).get(name, {}), name):
                raise BadInput(f"parameters for {key}: {problem}")


def _resources(given: Sequence[PlanResource]) -> tuple[dict[str, Any], ...]:
    return tuple(msgspec.to_builtins(plan_resource) for plan_resource in given)


def _selectors(given: Sequence[PlanSelector]) -> tuple[Selector, ...]:
    for plan_selector in given:
        if plan_selector.type not in TYPES:
            raise BadInput(f"a selector is for {plan_selector.type}, which is no type",
                           remedy="types: " + ", ".join(TYPES))
        if bool(plan_selector.tags) == bool(plan_selector.metadata):
            raise BadInput("a selector has either tags or metadata, and at least one of them")
    return tuple(
        Selector(
            plan_selector.type, tuple(plan_selector.tags or ()), dict(plan_selector.metadata or {})
        )
        for plan_selector in given
    )


def _view(plan: Plan) -> PlanView:
    return PlanView(
        plan.id, plan.name, plan.description, plan.provider_id, plan.status,
        [msgspec.convert(resource, PlanResource) for resource in plan.resources],
        {key: None if one is None else {name: str(value) for name, value in one.items()}
         for key, one in plan.parameters.items()},
        [msgspec.convert(selector.to_dict(), PlanSelector) for selector in plan.selectors] or UNSET)
