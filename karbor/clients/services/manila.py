"""Manila: shares and their snapshots."""

from karbor.clients.service import Service

MANILA = Service(
    name="manila",
    types=("shared-file-system", "sharev2"),
    version_path="/v2",
    sdk="shared_file_system",
    microversion="2.65",    # Xena: the oldest release whose API Karbor is written for
    microversion_headers=(("X-OpenStack-Manila-API-Version", ""),
                          ("OpenStack-API-Version", "shared-file-system ")),
)
