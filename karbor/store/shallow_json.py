"""Shallow JSON: what an older Karbor stored deeper than anything can follow is read without its
depths. The API refuses such bodies at the door (`karbor.api.bodies`)."""

from __future__ import annotations

import json
import re
from typing import Any

DEPTH = 64      # lists and objects within each other
LEFT_OUT = "(left out: too many lists and objects within each other)"

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{\]}]', re.DOTALL)


def loads(text: str | bytes) -> Any:
    """Read JSON as json.loads does, which recurses; what it cannot follow is read without what lies
    deep."""
    try:
        return json.loads(text)
    except RecursionError:
        return json.loads(_cut(text if isinstance(text, str) else text.decode()))


def shallow(value: Any, depth: int = DEPTH) -> Any:
    """Return the value with LEFT_OUT in place of what lies deeper."""
    if isinstance(value, dict | list) and depth <= 0:
        return LEFT_OUT
    if isinstance(value, dict):
        return {key: shallow(one, depth - 1) for key, one in value.items()}
    if isinstance(value, list):
        return [shallow(one, depth - 1) for one in value]
    return value


def _cut(text: str) -> str:
    parts, depth, copied = [], 0, 0
    for token in _TOKEN.finditer(text):
        if token[0] in "[{":
            depth += 1
            if depth == DEPTH + 1:
                parts += [text[copied:token.start()], json.dumps(LEFT_OUT)]
        elif token[0] in "]}":
            if depth == DEPTH + 1:
                copied = token.end()
            depth -= 1
    return "".join([*parts, text[copied:]])
