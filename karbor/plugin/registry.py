"""Entry points → named plugins."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import cache
from typing import Any

from stevedore import ExtensionManager

from karbor.domain.errors import BadInput
from karbor.plugin.bank import BankPlugin
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


@cache
def _load(namespace: str) -> dict[str, Any]:
    def broken(_manager: object, entry: object, error: BaseException) -> None:
        raise BadInput(f"the plugin {entry} of {namespace} cannot be loaded: {error}") from error

    found: dict[str, Any] = {}
    for extension in ExtensionManager(namespace, invoke_on_load=False,
                                      on_load_failure_callback=broken):
        if extension.name in found:
            raise BadInput(f"two plugins of {namespace} bear the name {extension.name}",
                           remedy="uninstall one of the packages that bring it")
        found[extension.name] = extension.plugin
    return found


def protectables() -> dict[str, Protectable]:
    """By resource type. Raises BadInput when two plugins claim one type."""
    found: dict[str, Protectable] = {}
    for name, plugin in sorted(_load("karbor.protectables").items()):
        if plugin.type in found:
            raise BadInput(f"the protectable {name} claims {plugin.type}, as another one does")
        found[plugin.type] = plugin()
    return found


def protection(name: str) -> Protection | None:
    """The named one, under its name or the class that it was in Karbor 1.x; None for one of Karbor
    1.x that this version does not have. Raises BadInput for a name that nobody knows."""
    installed = _load("karbor.protections")
    name = CLASSES_OF_KARBOR_1.get(name, name)
    if name in installed:
        made: Protection = installed[name]()
        return made
    if name in MISSING:
        return None
    raise BadInput(f"no protection plugin is called {name}",
                   remedy="installed: " + ", ".join(sorted(installed)))


def protections(names: Iterable[str]) -> dict[str, Protection]:
    """The named protections, by resource type; as in Karbor 1.x the last that claims a type wins.

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
    """Raises BadInput."""
    installed = _load("karbor.banks")
    name = CLASSES_OF_KARBOR_1.get(name, name)
    if name not in installed:
        raise BadInput(f"no bank plugin is called {name}",
                       remedy="installed: " + ", ".join(sorted(installed)))
    plugin: BankPlugin = installed[name]
    return plugin
