"""Where a project's vault lies and with what it is opened: given to plugins as `Work.vault`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from karbor.plugin.bank import Section


class Encryption(StrEnum):
    """With what the key of a vault is wrapped."""

    NONE = "none"
    KEY_FILE = "key-file"
    PASSPHRASE = "passphrase"  # noqa: S105  a word, not one of them


@dataclass(frozen=True)
class VaultKeySource:
    """Where the key-encryption key comes from. `path` is the file with the key (base64 of 32 bytes)
    or the passphrase; None without encryption. It is read when a vault is opened, never before, and
    never shown."""

    encryption: Encryption = Encryption.NONE
    path: Path | None = None


NO_KEYS = VaultKeySource()


@dataclass(frozen=True)
class VaultLocation:
    """`project` is the project's own part of a bank, the vault is below it. `index_directory` is
    where this machine caches which chunks the vault has; without one it is kept in memory."""

    project: Section
    keys: VaultKeySource = NO_KEYS
    index_directory: Path | None = field(default=None)

    @property
    def section(self) -> Section:
        """The vault's own part of the bank."""
        return self.project.section("vault")
