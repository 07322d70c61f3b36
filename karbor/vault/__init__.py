"""The data path: streams of bytes cut, compressed, checksummed and kept in a bank."""

from karbor.vault.manifest import Manifest
from karbor.vault.storing import Paused, Source
from karbor.vault.vault import Vault

__all__ = ["Manifest", "Paused", "Source", "Vault"]
