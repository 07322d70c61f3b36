"""Entry points → named plugins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stevedore import ExtensionManager

from karbor.domain.errors import BadInput
from karbor.plugin.bank import BankPlugin
from karbor.plugin.protectable import Protectable
from karbor.plugin.protection import Protection


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


def protections(names: Iterable[str]) -> dict[str, Protection]:
    """The named protections, by resource type; as in Karbor 1.x the last that claims a type wins.

    Raises BadInput for a name that no installed package brings.
    """
    installed = _load("karbor.protections")
    found: dict[str, Protection] = {}
    for name in names:
        if name not in installed:
            raise BadInput(f"no protection plugin is called {name}",
                           remedy="installed: " + ", ".join(sorted(installed)))
        plugin = installed[name]()
        found.update(dict.fromkeys(plugin.types, plugin))
    return found


def bank(name: str) -> BankPlugin:
    installed = _load("karbor.banks")
    if name not in installed:
        raise BadInput(f"no bank plugin is called {name}",
                       remedy="installed: " + ", ".join(sorted(installed)))
    plugin: BankPlugin = installed[name]
    return plugin
