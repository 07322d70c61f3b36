"""Texts that users may give to what protections make; the options' names are Karbor 1.x's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TEXT: Mapping[str, Any] = {"type": "string", "minLength": 1, "maxLength": 255,
                           "pattern": "^[^\U00010000-\U0010ffff]*$"}
"""Without characters beyond the Basic Multilingual Plane (emoji): Nova, Neutron and Glance refuse
them, and Cinder and Manila answer an internal error where their MySQL keeps three bytes each."""
NO_FORCE: Mapping[str, Any] = {
    "type": "boolean", "default": False, "description":
    "taken as in Karbor 1.x, and without effect: a snapshot is taken whether the volume is in use "
    "or not"}


def text(description: str) -> dict[str, Any]:
    """Return an option that is a name or a description."""
    return {**TEXT, "description": description}


def schema(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of options: these, and no others."""
    return {"type": "object", "properties": dict(properties), "additionalProperties": False}
