"""The data path: disks cut into chunks, each stored once in a project, compressed and sealed."""

from karbor.vault.disk_writer import Paused, Source
from karbor.vault.disks import DiskVault, KeptDisk
from karbor.vault.kept_bytes import KeptStream, open_kept
from karbor.vault.project_vault import ensure_key

__all__ = ["DiskVault", "KeptDisk", "KeptStream", "Paused", "Source", "ensure_key", "open_kept"]
