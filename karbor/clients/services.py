"""The services that plugins may ask for."""

from __future__ import annotations

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
"""Cinder: volumes, snapshots, backups."""

NOVA = Service(
    name="nova",
    types=("compute",),
    version_path="/v2.1",
    sdk="compute",
    # 2.90 (Zed): tags at creation (2.52), flavors embedded in servers (2.47), attachments with
    # delete_on_termination (2.70) and tags (2.70), server groups of a server (2.71), device
    # details (2.89), hostnames (2.90). Not beyond: 2.96 and later changed what may be left out.
    microversion="2.90",
    microversion_headers=(("OpenStack-API-Version", "compute "),
                          ("X-OpenStack-Nova-API-Version", "")),
    looks={
        "server": PolledKind("/servers/detail", "servers", "/servers/", "server",
                             ("status", "OS-EXT-STS:task_state", "OS-EXT-STS:vm_state"),
                             complete=False),       # it may leave out those of a cell that is down
    },
)
"""Nova: servers, key pairs, server groups, attachments."""

GLANCE = Service(
    name="glance",
    types=("image",),
    version_path="/v2",
    sdk="image",
    page=1000,      # 25 otherwise
    looks={
        # Of the project only: a list without this filter has every public image of the cloud.
        "image": PolledKind("/images", "images", "/images/", "",
                            query={"owner": "%(project_id)s"}),
    },
)
"""Glance: images and their bytes. No microversions."""

NEUTRON = Service(name="neutron", types=("network",), version_path="/v2.0", sdk="network")
"""Neutron: networks, subnets, ports, routers, security groups, floating addresses."""

SWIFT = Service(
    name="swift",
    types=("object-store",),
    # Swift's catalog entry names the account; one without it is an operator's override.
    version_path="/v1/AUTH_%(project_id)s",
    sdk="object_store",
)
"""Swift: containers and objects of the project's account. Lists have no enclosing object: pass an
empty `key`, and `format=json` is asked for."""

MANILA = Service(
    name="manila",
    types=("shared-file-system", "sharev2"),
    version_path="/v2",
    sdk="shared_file_system",
    # 2.73 (Zed): metadata of snapshots, which bears their mark (2.73); access rules of a share as
    # a list of their own, with metadata (2.45); shares that are being made from a snapshot say so
    # (2.54).
    microversion="2.73",
    microversion_headers=(("X-OpenStack-Manila-API-Version", ""),
                          ("OpenStack-API-Version", "shared-file-system ")),
    looks={
        "share": PolledKind("/shares/detail", "shares", "/shares/", "share"),
        "snapshot": PolledKind("/snapshots/detail", "snapshots", "/snapshots/", "snapshot"),
    },
)
"""Manila: shares and their snapshots."""

TROVE = Service(name="trove", types=("database",), version_path="/v1.0/%(project_id)s",
                sdk="database")
"""Trove: database instances. No microversions."""

BARBICAN = Service(name="barbican", types=("key-manager",), version_path="/v1",
                   sdk="key_manager", page=100)    # 10 otherwise
"""Barbican: secrets."""

KNOWN: dict[str, Service] = {
    one.name: one for one in (CINDER, NOVA, GLANCE, NEUTRON, SWIFT, MANILA, TROVE, BARBICAN)}

LOOKED: dict[str, tuple[Service, PolledKind]] = {
    f"{service.name}.{kind}": (service, looked)
    for service in KNOWN.values() for kind, looked in service.looks.items()}
"""What Cloud.look understands."""
