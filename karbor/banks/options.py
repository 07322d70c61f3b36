"""Options of banks: from a provider's file, where everything is text, or from a program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from karbor.domain.errors import BadInput

_WORDS = {"true": True, "yes": True, "on": True, "1": True,
          "false": False, "no": False, "off": False, "0": False}


def refuse_unknown(options: Mapping[str, Any], bank: str, meant: Iterable[str],
                   ignored: Iterable[str] = ()) -> None:
    """Raise BadInput for an option that the bank (named as in "a bank in Swift") does not have.
    `meant` are those that the message offers; `ignored` are accepted beside them."""
    meant = list(meant)
    if unknown := sorted(set(options) - set(meant) - set(ignored)):
        raise BadInput(f"{bank} has no option {unknown[0]}", remedy=f"it has: {', '.join(meant)}")


def flag(options: Mapping[str, Any], name: str, default: bool) -> bool:
    """Return the option as a boolean; raise BadInput for what is neither true nor false."""
    value = options.get(name, default)
    if isinstance(value, str):
        value = _WORDS.get(value.strip().lower())
    if not isinstance(value, bool):
        raise BadInput(f"the option {name} of a bank is true or false")
    return value
