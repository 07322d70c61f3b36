"""Texts that users may give to what protections make; the options' names are Karbor 1.x's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TEXT: Mapping[str, Any] = {"type": "string", "minLength": 1, "maxLength": 255}
NO_FORCE: Mapping[str, Any] = {
    "type": "boolean", "default": False, "description":
    "taken as in Karbor 1.x, and without effect: a snapshot is taken whether the volume is in use "
    "or not"}


def text(description: str) -> dict[str, Any]:
    """An option that is a name or a description."""
    return {**TEXT, "description": description}
