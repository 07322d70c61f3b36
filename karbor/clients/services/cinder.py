"""Cinder: volumes, snapshots, backups."""

from karbor.clients.service import PolledKind, Service

CINDER = Service(
    name="cinder",
    types=("block-storage", "volumev3", "block-store", "volume"),
    version_path="/v3",
    sdk="block_storage",
    # 3.70 (Xena): metadata of backups (3.43), availability zones of backups (3.51), encryption key
    # ids (3.64), snapshots of attached volumes without `force` (3.66), addresses without the
    # project (3.67).
    microversion="3.70",
    microversion_headers=(("OpenStack-API-Version", "volume "),),
    looks={
        "volume": PolledKind("/volumes/detail", "volumes", "/volumes/", "volume",
                             ("status", "migration_status")),
        "snapshot": PolledKind("/snapshots/detail", "snapshots", "/snapshots/", "snapshot"),
        "backup": PolledKind("/backups/detail", "backups", "/backups/", "backup"),
    },
)
