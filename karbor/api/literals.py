"""Dictionaries in the query, as clients of Karbor 1.x write them: `parameters={'name': 'x'}`."""

from __future__ import annotations

import ast

from karbor.domain.errors import BadInput

LONGEST = 4096
Literal = str | int | bool | None


def dictionary(name: str, text: str) -> dict[str, Literal]:
    """Texts, numbers, True, False and None under names; nothing is evaluated. Raises BadInput."""
    try:
        if len(text) > LONGEST:
            raise ValueError
        return _read(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BadInput(f"{name} is no dictionary of texts: {text[:80]!r}",
                       remedy="write it like {'name': 'value'}") from error


def _read(node: ast.expr) -> dict[str, Literal]:
    if not isinstance(node, ast.Dict):
        raise ValueError
    out: dict[str, Literal] = {}
    for key, value in zip(node.keys, node.values, strict=True):
        if not isinstance(key, ast.Constant) or not isinstance(value, ast.Constant):
            raise ValueError
        if not isinstance(key.value, str) or not isinstance(value.value, str | int | None):
            raise ValueError
        out[key.value] = value.value
    return out
