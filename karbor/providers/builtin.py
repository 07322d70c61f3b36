"""The built-in provider: a bank in a directory, and the protections that Karbor ships."""

from __future__ import annotations

from karbor import config
from karbor.operations.execution_context import Provider
from karbor.plugin import registry

ID = "cf56bd3e-97a7-4078-b6d5-f36246333fd9"
"""As in Karbor 1.x, where this was the default provider's id; checkpoints bear it."""

NAME = "karbor"
DESCRIPTION = "a bank in a directory, and every protection that Karbor has"
BANK = "karbor-fs-bank-plugin"
"""The plugin of its bank, as its entry point is called."""

PROTECTIONS = ("karbor-project-protection-plugin", "karbor-server-protection-plugin",
               "karbor-volume-protection-plugin", "karbor-image-protection-plugin",
               "karbor-network-protection-plugin", "karbor-share-protection-plugin")


def built_in(conf: config.ConfigOpts) -> Provider:
    """Return the built-in provider. Opens the bank, and makes it if there is none. Raises
    BankError, BadInput."""
    bank = registry.bank(BANK)({"path": str(config.bank_path(conf))})
    return Provider(ID, NAME, bank, registry.protections(PROTECTIONS),
                    vault_index=config.vault_index(conf))
