"""Providers of the API: /providers."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from karbor.api.call import Call
from karbor.api.lists import Collection, Link
from karbor.api.route_declaration import Resource, route
from karbor.domain.errors import NotFound
from karbor.providers.schemas import ProviderFacts


class Schemas(msgspec.Struct):
    """Resource type → JSON Schema of the parameters it takes."""

    options_schema: dict[str, Any]
    restore_schema: dict[str, Any]
    saved_info_schema: dict[str, Any]
    verify_schema: dict[str, Any]


class ProviderView(msgspec.Struct):
    """A bank, and how resources of each type are protected."""

    id: str
    name: str
    description: str
    extended_info_schema: Schemas


class ProviderBody(msgspec.Struct):
    provider: ProviderView


class ProvidersBody(msgspec.Struct):
    providers: list[ProviderView]
    providers_links: list[Link] | UnsetType = UNSET


PROVIDERS = Collection("providers", ("id", "name", "status", "created_at"), {
    "name": "Only the provider of this name.",
    "description": "Only providers of this description."})


class Providers(Resource):
    tag = "providers"

    @route("GET", "/providers", rule="provider:get_all", answer=ProvidersBody,
           collection=PROVIDERS, refuses=(404,))
    def list(self, call: Call[None]) -> ProvidersBody:
        """List providers."""
        asked = call.listing()
        provider_factss = [
            provider_facts
            for provider_facts in self._needs.providers.all()
            if all(getattr(provider_facts, name) == value for name, value in asked.filters.items())
        ]
        if not {"sort", "sort_key", "sort_dir"}.isdisjoint(call.query):     # else by their ids
            for sort in reversed(asked.sort):
                provider_factss.sort(
                    key=lambda provider_facts: str(getattr(provider_facts, sort.key, "")),
                    reverse=sort.descending,
                )
        if asked.marker:
            ids = [provider_facts.id for provider_facts in provider_factss]
            if asked.marker not in ids:
                raise NotFound(f"Provider {asked.marker} could not be found.")
            provider_factss = provider_factss[ids.index(asked.marker) + 1:]
        provider_factss = provider_factss[asked.offset:][:asked.limit]
        return ProvidersBody(
            [_view(provider_facts) for provider_facts in provider_factss],
            call.next_page(asked, [provider_facts.id for provider_facts in provider_factss]),
        )

    @route("GET", "/providers/{provider_id}", rule="provider:get", answer=ProviderBody,
           refuses=(404,))
    def show(self, call: Call[None]) -> ProviderBody:
        """Show a provider."""
        wanted = call.path["provider_id"]
        for provider_facts in self._needs.providers.all():
            if provider_facts.id == wanted:
                return ProviderBody(_view(provider_facts))
        raise NotFound(f"Provider {wanted} could not be found.")


def _view(provider_facts: ProviderFacts) -> ProviderView:
    return ProviderView(
        provider_facts.id,
        provider_facts.name,
        provider_facts.description,
        Schemas(
            *(
                {
                    type: dict(schema)
                    for type, schema in provider_facts.schemas.get(kind, {}).items()
                }
                for kind in ("options", "restore", "saved_info", "verify")
            )
        ),
    )
