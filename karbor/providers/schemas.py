"""What enabled providers take: the JSON Schemas of their protections' parameters."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from karbor.domain.errors import KarborError, NotFound, PluginFault
from karbor.domain.operation import Verb
from karbor.providers.catalog import ProviderCatalog, ProviderInfo

LOG = logging.getLogger(__name__)

_KINDS: Mapping[str, str] = {"options": Verb.PROTECT, "restore": Verb.RESTORE,
                             "verify": Verb.VERIFY, "saved_info": "saved_info"}


@dataclass(frozen=True)
class ProviderFacts:
    """A provider that may be used. `schemas` has for `options`, `restore`, `saved_info` and
    `verify` the resource types with their JSON Schemas."""

    id: str
    name: str
    description: str
    schemas: Mapping[str, Mapping[str, Mapping[str, Any]]]


class EnabledProviders:
    """The providers that are enabled, with what their protections say of parameters."""

    def __init__(self, catalog: ProviderCatalog) -> None:
        self._catalog = catalog

    def all(self) -> Sequence[ProviderFacts]:
        """Return them in the order of their ids."""
        listed = sorted(
            (info for info in self._catalog.list() if info.enabled), key=lambda info: info.id
        )
        return [ProviderFacts(info.id, info.name, info.description,
                              _schemas(self._catalog, info)) for info in listed]

    def options(self, provider_id: str) -> Mapping[str, Mapping[str, Any]]:
        """Return the JSON Schema of what a protect takes, by resource type. Raise NotFound."""
        for provider_facts in self.all():
            if provider_facts.id == provider_id:
                return provider_facts.schemas["options"]
        raise NotFound(f"Provider {provider_id} could not be found.")


def _schemas(providers: ProviderCatalog, listed: ProviderInfo
             ) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """Return the schemas of all providers. One that cannot be opened has no options, and a
    protection whose schema is broken has none: neither takes the others away."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {kind: {} for kind in _KINDS}
    try:
        protections = providers.open(listed).protections
    except KarborError as error:
        LOG.warning("provider %s has no options: %s", listed.name, error)
        return found
    for kind, verb in _KINDS.items():
        for type, protection in protections.items():
            try:
                found[kind][type] = protection.options_schema(verb)
            except PluginFault as error:
                LOG.warning("provider %s: %s", listed.name, error)
    return found
