"""A provider's file, in the format of Karbor 1.x: which bank, which protections, their options.

    [provider]
    name = OS Infra Provider
    id = cf56bd3e-97a7-4078-b6d5-f36246333fd9
    bank = karbor-swift-bank-plugin
    plugin = karbor-volume-protection-plugin
    plugin = karbor-server-protection-plugin
    enabled = True

    [swift_bank_plugin]
    bank_swift_object_container = karbor
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from oslo_config import cfg, types

from karbor.domain.errors import BadInput

_OPTIONS = frozenset({"name", "id", "description", "bank", "plugin", "enabled"})


@dataclass(frozen=True, eq=False)
class ProviderFile:
    """What one says. `sections` are the options of the bank, its client and the plugins."""

    path: Path
    id: str
    name: str
    bank: str
    plugins: Sequence[str]
    description: str = ""
    enabled: bool = False
    sections: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)


def read(path: Path) -> ProviderFile:
    """Read the file of a provider. Raises BadInput, with the name of the file and what is wrong in
    it."""
    try:
        return _read(path)
    except BadInput as error:
        raise BadInput(f"{path}: {error.message}", remedy=error.remedy) from error


def _read(path: Path) -> ProviderFile:
    raw: dict[str, dict[str, list[str]]] = {}
    try:
        cfg.ConfigParser(str(path), raw).parse()
    except (cfg.ParseError, OSError, UnicodeError) as error:
        why = str(error.strerror) if isinstance(error, OSError) else " ".join(str(error).split())
        why = why.removeprefix(f"at {path}:")       # the file is named anyway
        raise BadInput(f"cannot be read: {why}") from error
    if "provider" not in raw:
        raise BadInput("has no section [provider]")
    own = raw.pop("provider")
    for section, options in (("provider", own), *raw.items()):
        if section == "provider" and (unknown := sorted(set(options) - _OPTIONS)):
            raise BadInput(f"[provider] has no option {unknown[0]}",
                           remedy="it has: " + ", ".join(sorted(_OPTIONS)))
        if section != "provider" and not section.endswith(("_plugin", "_client")):
            raise BadInput(f"the section [{section}] belongs to nothing")
    plugins = [one.strip() for one in own.get("plugin", ()) if one.strip()]
    if not plugins:
        raise BadInput("[provider] names no plugin")
    return ProviderFile(
        path, _id(_one(own, "id")), _one(own, "name"), _one(own, "bank"), plugins,
        own.get("description", [""])[-1].strip(), _enabled(own.get("enabled", ["False"])[-1]),
        {name: {option: values[-1] for option, values in options.items()}
         for name, options in raw.items()})


def _one(options: Mapping[str, Sequence[str]], name: str) -> str:
    values = [one.strip() for one in options.get(name, ()) if one.strip()]
    if len(values) != 1:
        raise BadInput(f"[provider] names {'no' if not values else 'more than one'} {name}")
    return values[0]


def _id(text: str) -> str:
    try:
        UUID(text)
    except ValueError:
        raise BadInput(f"[provider] id is a UUID, not {text}",
                       remedy="python3 -c 'import uuid; print(uuid.uuid4())' makes one") from None
    return text


def _enabled(text: str) -> bool:
    try:
        return bool(types.Boolean()(text.strip()))
    except ValueError:
        raise BadInput(f"[provider] enabled is true or false, not {text}") from None
