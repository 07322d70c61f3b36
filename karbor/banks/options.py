"""Options of banks: from a provider's file, where everything is text, or from a program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from karbor.domain.errors import BadInput

_WORDS = {"true": True, "yes": True, "on": True, "1": True,
          "false": False, "no": False, "off": False, "0": False}


def flag(options: Mapping[str, Any], name: str, default: bool) -> bool:
    """Raises BadInput for what is neither true nor false."""
    value = options.get(name, default)
    if isinstance(value, str):
        value = _WORDS.get(value.strip().lower())
    if not isinstance(value, bool):
        raise BadInput(f"the option {name} of a bank is true or false")
    return value
