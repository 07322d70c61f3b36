"""The section [vault_plugin] of a provider's file: with what the projects' vaults are encrypted.

    [vault_plugin]
    encryption = key-file
    key_file = /etc/karbor/vault.key
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from karbor.domain.errors import BadInput
from karbor.plugin.vault_location import NO_KEYS, Encryption, VaultKeySource

SECTION = "vault_plugin"
_OPTIONS = frozenset({"encryption", "key_file"})


def vault_keys(sections: Mapping[str, Mapping[str, str]]) -> VaultKeySource:
    """Return what the section says; without one, vaults are not encrypted. The key itself is read
    when a vault is opened. Raises BadInput."""
    options = sections.get(SECTION)
    if options is None:
        return NO_KEYS
    if unknown := sorted(set(options) - _OPTIONS):
        raise BadInput(f"[{SECTION}] has no option {unknown[0]}",
                       remedy="it has: " + ", ".join(sorted(_OPTIONS)))
    named = options.get("encryption", Encryption.NONE).strip()
    try:
        encryption = Encryption(named)
    except ValueError:
        raise BadInput(f"[{SECTION}] encryption is not {named}",
                       remedy="it is one of " + ", ".join(Encryption)) from None
    path = options.get("key_file", "").strip()
    if (encryption is Encryption.NONE) == bool(path):
        raise BadInput(f"[{SECTION}] encryption = {encryption} " + (
            "takes no key_file" if path else "needs a key_file"))
    return VaultKeySource(encryption, Path(path).expanduser() if path else None)
