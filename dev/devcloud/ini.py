"""Configuration files from dictionaries."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

Sections = dict[str, dict[str, Any]]


def write(path: pathlib.Path, sections: Mapping[str, Mapping[str, Any]]) -> pathlib.Path:
    """Write an INI file; a list makes one line per item (oslo.config's MultiStrOpt)."""
    lines = []
    for name, options in sections.items():
        lines.append(f"[{name}]")
        for key, value in options.items():
            for item in value if isinstance(value, list) else [value]:
                text = str(item).lower() if isinstance(item, bool) else str(item)
                lines.append(f"{key} = {text}".rstrip())
        lines.append("")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines))
    return path
