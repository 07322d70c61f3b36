"""Entry points → named plugins."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from karbor.domain.errors import BadInput
from karbor.plugin.bank import BankPlugin
from karbor.plugin.checked import checked_protectable, checked_protection
from karbor.plugin.protectable import Protectable
from karbor.plugin.protection import Protection

LOG = logging.getLogger(__name__)

_OLD = "karbor.services.protection."
CLASSES_OF_KARBOR_1 = {
    _OLD + path: name for path, name in {
        "bank_plugins.swift_bank_plugin.SwiftBankPlugin": "karbor-swift-bank-plugin",
        "bank_plugins.file_system_bank_plugin.FileSystemBankPlugin": "karbor-fs-bank-plugin",
        "protection_plugins.volume.cinder_protection_plugin.CinderBackupProtectionPlugin":
            "karbor-volume-protection-plugin",
        "protection_plugins.volume.volume_snapshot_plugin.VolumeSnapshotProtectionPlugin":
            "karbor-volume-snapshot-plugin",
        "protection_plugins.image.image_protection_plugin.GlanceProtectionPlugin":
            "karbor-image-protection-plugin",
        "protection_plugins.server.nova_protection_plugin.NovaProtectionPlugin":
            "karbor-server-protection-plugin",
        "protection_plugins.network.neutron_protection_plugin.NeutronProtectionPlugin":
            "karbor-network-protection-plugin",
        "protection_plugins.share.share_snapshot_plugin.ManilaSnapshotProtectionPlugin":
            "karbor-share-protection-plugin",
        "protection_plugins.noop_plugin.NoopProtectionPlugin": "karbor-noop-protection-plugin",
    }.items()}
"""Files of Karbor 1.x may name a plugin by its class."""

MISSING = {
    "karbor-database-protection-plugin": "databases",
    "karbor-pod-protection-plugin": "pods",
    "karbor-volume-glance-plugin": "volumes as images",
    "karbor-volume-freezer-plugin": "volumes by Freezer",
}
"""Plugins of Karbor 1.x that are not here: what they protected."""


PROTECTABLES, PROTECTIONS, BANKS = "karbor.protectables", "karbor.protections", "karbor.banks"


@dataclass(frozen=True)
class Broken:
    """An installed entry point that cannot be used, and why."""

    namespace: str
    name: str
    why: str

    def __str__(self) -> str:
        return f"the installed plugin {self.name} of {self.namespace} cannot be loaded: {self.why}"


def names(namespace: str) -> list[str]:
    """Return the names of everything that is installed, whether it can be loaded or not: nothing is
    imported."""
    return sorted(_entries(namespace))


def broken(*namespaces: str) -> list[Broken]:
    """Return what is installed and cannot be loaded. Each takes nothing away but itself: it is
    an error where it is asked for by name, and what is found by protectables lacks what it would
    find."""
    brokens = []
    for namespace in namespaces or (BANKS, PROTECTABLES, PROTECTIONS):
        for name in names(namespace):
            try:
                if namespace == BANKS:
                    _load(namespace, name)
                else:
                    _made(namespace, name)
            except BadInput as error:
                brokens.append(
                    Broken(namespace, name, error.message.split("cannot be loaded: ")[-1])
                )
    return brokens


@cache
def _entries(namespace: str) -> dict[str, tuple[EntryPoint, ...]]:
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for entry in entry_points(group=namespace):
        if entry not in found.get(entry.name, ()):
            found[entry.name] = (*found.get(entry.name, ()), entry)
    return found


@cache
def _load(namespace: str, name: str) -> Any:
    """Return the named class. Raises BadInput when it cannot be loaded; whatever else is
    installed is not touched."""
    first, *others = _entries(namespace)[name]
    if others:
        raise BadInput(f"two plugins of {namespace} bear the name {name}",
                       remedy="uninstall one of the packages that bring it")
    try:
        return first.load()
    except Exception as error:      # whatever somebody else's module does while it is imported
        LOG.warning("plugin %s of %s", name, namespace, exc_info=error)
        raise BadInput(
            str(Broken(namespace, name, f"{type(error).__name__}: {error} ({first.value})")),
            remedy="repair or uninstall the package that brings it") from error


def _made(namespace: str, name: str) -> Any:
    """Return an instance that says of which types it is. Raises BadInput."""
    member, kind = ("type", str) if namespace == PROTECTABLES else ("types", frozenset)
    plugin = _load(namespace, name)
    try:
        made = plugin()
        if not isinstance(getattr(made, member, None), kind):
            raise TypeError(f"it has no {member} that is a {kind.__name__}")
    except Exception as error:
        raise BadInput(str(Broken(namespace, name, f"{type(error).__name__}: {error}")),
                       remedy="repair or uninstall the package that brings it") from error
    return made


def protectables() -> dict[str, Protectable]:
    """Return the protectables by resource type. One that cannot be loaded is left out, with a
    warning in the log; see `broken`. Raises BadInput when two plugins claim one type."""
    found: dict[str, Protectable] = {}
    for name in names(PROTECTABLES):
        try:
            plugin = checked_protectable(_made(PROTECTABLES, name), name)
        except BadInput as error:
            LOG.warning("%s", error)
            continue
        if plugin.type in found:
            raise BadInput(f"the protectable {name} claims {plugin.type}, as another one does")
        found[plugin.type] = plugin
    return found


def protection(name: str) -> Protection | None:
    """Return the named one, under its name or the class that it was in Karbor 1.x; None for one
    of Karbor 1.x that this version does not have. Raises BadInput for a name that nobody knows,
    and for one that cannot be loaded."""
    name = CLASSES_OF_KARBOR_1.get(name, name)
    if name in _entries(PROTECTIONS):
        return checked_protection(_made(PROTECTIONS, name), name)
    if name in MISSING:
        return None
    raise BadInput(f"no protection plugin is called {name}",
                   remedy="installed: " + ", ".join(names(PROTECTIONS)))


def protections(names: Iterable[str]) -> dict[str, Protection]:
    """Return the named protections, by resource type; as in Karbor 1.x the last that claims a type
    wins.

    Raises BadInput for a name that nobody knows. What Karbor 1.x had and this version has not is
    passed over with a warning: its types then have no protection.
    """
    found: dict[str, Protection] = {}
    for name in names:
        plugin = protection(name)
        if plugin is None:
            LOG.warning("the plugin %s of Karbor 1.x is not in this version: %s are not protected",
                        name, MISSING[CLASSES_OF_KARBOR_1.get(name, name)])
            continue
        found.update(dict.fromkeys(plugin.types, plugin))
    return found


def bank(name: str) -> BankPlugin:
    """Return the named bank, opened with these options. Raises BadInput."""
    name = CLASSES_OF_KARBOR_1.get(name, name)
    if name not in _entries(BANKS):
        raise BadInput(f"no bank plugin is called {name}",
                       remedy="installed: " + ", ".join(names(BANKS)))
    plugin: BankPlugin = _load(BANKS, name)
    return plugin
