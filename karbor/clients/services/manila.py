"""Manila: shares and their snapshots."""

from karbor.clients.service import PolledKind, Service

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
