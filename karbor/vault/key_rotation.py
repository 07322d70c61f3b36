"""Changes who can open a vault: wraps its secret with another key, or takes keys away. No data is
rewritten."""

from __future__ import annotations

import json
from collections.abc import Sequence

from karbor.domain.errors import ObjectMissing, VaultSealed
from karbor.plugin.vault_location import Encryption, VaultKeySource, VaultLocation
from karbor.vault.key_wrapping import KeyEncryptionKey, WrappedKey
from karbor.vault.project_vault import KEY, open_vault, secret_of, wrapped_keys


def rotate(location: VaultLocation, to: VaultKeySource) -> bool:
    """Wrap the vault's secret with another key as well; the keys that open it now go on doing so.
    Return False where there is no vault, or the other key opens it already.

    Raises VaultSealed when the vault is not encrypted, or one of the keys will not do; BankError.
    """
    if to.encryption is Encryption.NONE:
        raise VaultSealed("a vault's secret can only be wrapped with a key")
    vault = open_vault(location)
    if vault is None:
        return False
    if not vault.keys.encrypted:
        raise VaultSealed("the project's vault was made without encryption, so it has no key that "
                          "could be changed", remedy="use another bank to have one encrypted")
    key, other = _key_of(location), KeyEncryptionKey(to)
    if any(other.unwrap(wrapped, vault.id) for wrapped in wrapped_keys(location.section, key)):
        return False
    wrapped = other.wrap(secret_of(location), vault.id)
    location.section.put(f"keys/{key}/{wrapped.wrapped_by}.json", [wrapped.body()], absent=True)
    return True


def other_keys(location: VaultLocation) -> Sequence[WrappedKey]:
    """Return the vault's secret as other keys have wrapped it than that of the provider, which
    opens it. Raises VaultSealed, BankError."""
    vault = open_vault(location)
    if vault is None or not vault.keys.encrypted:
        return []
    mine = KeyEncryptionKey(location.keys)
    return [wrapped for wrapped in wrapped_keys(location.section, _key_of(location))
            if mine.unwrap(wrapped, vault.id) is None]


def remove_keys(location: VaultLocation, keys: Sequence[WrappedKey]) -> None:
    """Remove wrapped secrets: whoever has only their keys opens the vault no more."""
    key = _key_of(location)
    location.section.delete([f"keys/{key}/{wrapped.wrapped_by}.json" for wrapped in keys])


def shred(location: VaultLocation) -> int:
    """Remove the vault's secret, however it is wrapped, so that nothing in the vault can be read
    ever again; return how many copies there were. Needs no key. Raises VaultSealed where the vault
    is not encrypted, and BankError."""
    section = location.section
    try:
        encrypted = "key" in json.loads(b"".join(section.get(KEY)))
    except ObjectMissing:
        return 0
    if not encrypted:
        raise VaultSealed("the project's vault was made without encryption: without its secret it "
                          "could still be read", remedy="delete its checkpoints instead")
    names = [stored.key for stored in section.all("keys/")]
    section.delete(names)
    return len(names)


def _key_of(location: VaultLocation) -> str:
    return str(json.loads(b"".join(location.section.get(KEY)))["key"])
